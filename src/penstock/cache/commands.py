"""``penstock cache``: asks a running Penstock, with the key in PENSTOCK_KEY."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(name="cache", help="The cache of replies: what it saves, clearing, calibrating.", no_args_is_help=True)
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]
HERE = "http://127.0.0.1:8080"
CHUNK = 250
"""Pairs in one request: routes take bodies of 1 MiB."""
CALIBRATION_SECONDS = 600.0


@app.command()
def stats(running: Running = HERE, days: Annotated[int, typer.Option(help="How many days back, today included.")] = 7) -> None:
    """Print lookups, hits and what they saved, by task."""
    found = _asked(running, "GET", f"/v1/cache?days={days}")
    rows: list[dict[str, Any]] = [*found["tasks"], {**found["total"], "name": "all"}]
    for one in rows:
        name = one["name"] or "(no task)"
        sys.stdout.write(
            f"{name}: {one['lookups']} lookups, {one['exact']} exact and {one['semantic']} semantic hits ({one['hit_rate']:.1%}),"
            f" about {one['saved'] / 1e6:.6f} USD saved, {one['unpriced']} hits without a known price\n"
        )


@app.command()
def clear(
    running: Running = HERE,
    task: Annotated[str | None, typer.Option(help="Only replies of this task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only replies to this name of a model.")] = None,
) -> None:
    """Forget the replies of the key's organisation; of all, with an admin key of the one that runs the installation."""
    found = _asked(running, "POST", "/v1/cache/clear", {"task": task, "model": model})
    sys.stdout.write(f"{found['entries']} replies forgotten\n")


@app.command()
def calibrate(
    task: Annotated[str, typer.Argument(help="The task whose questions are compared.")],
    running: Running = HERE,
    pairs: Annotated[
        Path | None,
        typer.Option(help='Judged pairs, a JSON object a line: {"a": "...", "b": "...", "same": true}. Default: those of the traffic.'),
    ] = None,
    bound: Annotated[float | None, typer.Option(help="Share of semantic hits that may be false; default: cache.false_hits.")] = None,
    confidence: Annotated[float | None, typer.Option(help="How sure that must be; default: cache.confidence.")] = None,
) -> None:
    """Find from which similarity on questions of a task have the same answer; exit with 1 when the pairs support no threshold."""
    source = "traffic"
    if pairs is not None:
        source = pairs.name
        given = _read(pairs)
        for start in range(0, max(1, len(given)), CHUNK):
            body = {"task": task, "source": source, "pairs": given[start : start + CHUNK], "replace": start == 0}
            _asked(running, "POST", "/v1/cache/pairs", body)
    found = _asked(running, "POST", "/v1/cache/calibrations", {"task": task, "source": source, "bound": bound, "confidence": confidence})
    evidence = found["evidence"]
    if found["threshold"] is None:
        sys.stdout.write(f"no threshold from {evidence['pairs']} pairs: {evidence['reason']}\n")
        raise typer.Exit(1)
    sys.stdout.write(
        f"threshold {found['threshold']:g}: {evidence['hits']} of {evidence['pairs']} pairs would be hits,"
        f" {evidence['false']} of them false;"
        f" at most {evidence['upper']:.2%} with the confidence asked for. "
        + ("In force.\n" if found["holds"] else f"Not in force: {found['why_not']}.\n")
    )


def _read(path: Path) -> list[Any]:
    import msgspec

    from penstock.cache.service import LabelledPair
    from penstock.kernel.errors import RequestError

    found: list[Any] = []
    try:
        lines = path.read_bytes().splitlines()
    except OSError as fault:
        raise RequestError(f"{path}: {fault.strerror}", param="pairs") from fault
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(msgspec.json.decode(line, type=LabelledPair))
            except (msgspec.DecodeError, UnicodeDecodeError) as fault:
                raise RequestError(f"{path}, line {number}: {fault}", param="pairs") from fault
    return found


def _asked(running: str, method: str, path: str, body: object = None) -> Any:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running, seconds=CALIBRATION_SECONDS).ask(method, path, body)
