"""``penstock batches``: batches of a running Penstock, from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from penstock.remote import Remote

app = typer.Typer(name="batches", help="Batches: make, list, follow, cancel, download.", no_args_is_help=True)
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]
Id = Annotated[str, typer.Argument(help="Id of the batch.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show how far it is until it has ended.")]
HERE = "http://127.0.0.1:8080"
ENDED = ("completed", "failed", "expired", "cancelled")
BAR = 24


@app.command("list")
def list_batches(running: Running = HERE, limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100)] = 20) -> None:
    """List batches of both shapes, newest first."""
    for batch in _remote(running).ask("GET", f"/v1/batches?shape=any&limit={limit}")["data"]:
        sys.stdout.write(f"{batch['id']}  {_line(batch)}\n")


@app.command()
def show(id: Id, running: Running = HERE, follow: Follow = False) -> None:
    """Show a batch; exit with 1 when it has not been completed in the end."""
    _shown(_remote(running), id, follow)


@app.command()
def create(
    file: Annotated[Path, typer.Argument(help="JSONL file, one request a line.", exists=True, dir_okay=False)],
    running: Running = HERE,
    endpoint: Annotated[str, typer.Option(help="Path that every line calls.")] = "/v1/chat/completions",
    follow: Follow = False,
) -> None:
    """Upload a file and make a batch of it."""
    remote = _remote(running)
    body = {"input_file_id": remote.upload(file, "batch"), "endpoint": endpoint, "completion_window": "24h"}
    id = remote.ask("POST", "/v1/batches", body)["id"]
    sys.stdout.write(f"{id}\n")
    if follow:
        sys.stdout.flush()
        _shown(remote, id, True)


@app.command()
def cancel(id: Id, running: Running = HERE) -> None:
    """Stop a batch; what is done stays done."""
    sys.stdout.write(_line(_remote(running).ask("POST", f"/v1/batches/{quote(id, safe='')}/cancel")) + "\n")


@app.command()
def results(
    id: Id,
    running: Running = HERE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; standard output by default.")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="The lines without a good answer instead.")] = False,
) -> None:
    """Download the results of a batch that has ended."""
    pieces = _remote(running).pieces(f"/v1/batches/{quote(id, safe='')}/{'errors' if errors else 'results'}")
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    draft = output.with_name(output.name + ".part")
    with draft.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    draft.replace(output)


def _remote(running: str) -> Remote:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running)


def _shown(remote: Remote, id: str, follow: bool) -> None:
    batch = remote.followed(f"/v1/batches/{quote(id, safe='')}", _line, ENDED, follow=follow)
    errors: list[dict[str, Any]] = batch["errors"]["data"] if batch["errors"] else []
    for error in errors:
        where = f"line {error['line']}: " if error["line"] else ""
        sys.stdout.write(f"{where}{error['message']} [{error['code']}]\n")
    for code, count in batch["penstock"]["codes"].items():
        sys.stdout.write(f"{count} failed with {code}\n")
    if batch["status"] in ENDED and batch["status"] != "completed":
        raise typer.Exit(1)


def _line(batch: dict[str, Any]) -> str:
    counts, more = batch["request_counts"], batch["penstock"]
    total, done = counts["total"], counts["completed"] + counts["failed"]
    part = done / total if total else 0.0
    bar = "#" * int(part * BAR) + "." * (BAR - int(part * BAR))
    text = f"{batch['status']:11} [{bar}] {done:,}/{total:,}"
    if counts["failed"]:
        text += f", {counts['failed']:,} failed"
    if more["lines_per_second"]:
        text += f", {more['lines_per_second']:.1f}/s"
    if more["seconds_left"] is not None:
        left = int(more["seconds_left"])
        text += f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    text += f", ${more['cost_micros'] / 1e6:.4f}"
    full = more["realtime_cost_micros"]
    return text if full == more["cost_micros"] else f"{text} (${full / 1e6:.4f} in real time)"
