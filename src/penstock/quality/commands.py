"""``penstock evaluate`` and ``penstock quality``: datasets and evaluations of a running Penstock, from the terminal."""

from __future__ import annotations

import enum
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from penstock.remote import Remote

app = typer.Typer(name="quality", help="Quality: datasets, evaluations, judges.", no_args_is_help=True)
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]
Id = Annotated[str, typer.Argument(help="Id of the evaluation.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show how far it is until it has ended.")]


class Kind(enum.StrEnum):
    """Whose logs come in and go out."""

    INSPECT = "inspect"


HERE = "http://127.0.0.1:8080"
ENDED = ("done", "stopped", "failed")
BAR = 24
ALONE = ("evaluate",)
"""What most people come for has a short name: `penstock evaluate`."""
CALIBRATION_SECONDS = 3600.0
"""Every labelled reply is judged anew, which a large detector takes its time for."""


def evaluate(
    task: Annotated[str, typer.Argument(help="Name of the task; without one, give --candidates and --judge.")] = "",
    dataset: Annotated[str, typer.Option(help="A JSONL file, or the id or name of a dataset that is there.")] = "",
    candidates: Annotated[str, typer.Option(help="Models, separated by commas; the task's own by default.")] = "",
    judge: Annotated[str, typer.Option(help="Kind of judge, such as exact or numeric; the task's own by default.")] = "",
    cap: Annotated[float | None, typer.Option(help="Dollars that it may cost at most.", min=0)] = None,
    limit: Annotated[int | None, typer.Option(help="Take so many items, drawn by chance.", min=1)] = None,
    bias: Annotated[str, typer.Option(help="Ask counterfactual twins too: gender, origin, or both with a comma.")] = "",
    running: Running = HERE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has ended and print the results.")] = True,
) -> None:
    """Evaluate a task's candidates on a dataset; exit with 1 when it did not come to its end."""
    if not dataset:
        raise typer.BadParameter("name a dataset, or a JSONL file", param_hint="--dataset")
    remote = _remote(running)
    body: dict[str, Any] = {"dataset": _dataset(remote, dataset)}
    if task:
        body["task"] = task
    if candidates:
        body["candidates"] = [name.strip() for name in candidates.split(",") if name.strip()]
    if judge:
        body["judge"] = {"kind": judge}
    if cap is not None:
        body["cap"] = round(cap * 1_000_000)
    if limit is not None:
        body["limit"] = limit
    if bias:
        body["bias"] = {"attributes": [name.strip() for name in bias.split(",") if name.strip()]}
    id = remote.ask("POST", "/v1/evaluations", body)["id"]
    sys.stdout.write(f"{id}\n")
    if wait:
        sys.stdout.flush()
        _shown(remote, id, True)


@app.command("list")
def list_evaluations(running: Running = HERE, limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100)] = 20) -> None:
    """List evaluations, newest first."""
    for one in _remote(running).ask("GET", f"/v1/evaluations?limit={limit}")["data"]:
        sys.stdout.write(f"{one['id']}  {one['name']:20}  {_line(one)}\n")


@app.command()
def show(id: Id, running: Running = HERE, follow: Follow = False) -> None:
    """Show an evaluation with its results; exit with 1 when it did not come to its end."""
    _shown(_remote(running), id, follow)


@app.command()
def cancel(id: Id, running: Running = HERE) -> None:
    """Stop an evaluation; what is done stays done."""
    sys.stdout.write(_line(_remote(running).ask("POST", f"/v1/evaluations/{quote(id, safe='')}/cancel")) + "\n")


@app.command()
def calibrate(
    task: Annotated[str, typer.Argument(help="Name of the task, whose judge is of kind groundedness.")],
    error: Annotated[float, typer.Option(help="Share of ungrounded replies that may be called grounded, and the other way round.")] = 0.1,
    confidence: Annotated[float, typer.Option(help="How sure that must be.")] = 0.95,
    most: Annotated[int, typer.Option(help="Use so many labels at most, the last ones.", min=1, max=5000)] = 1000,
    running: Running = HERE,
) -> None:
    """Fit a task's limits of groundedness on what people said of its replies, and use them from now on."""
    body = {"task": task, "error": error, "confidence": confidence, "most": most}
    sys.stdout.write(_limits(_remote(running, seconds=CALIBRATION_SECONDS).ask("POST", "/v1/groundedness/calibrations", body)) + "\n")


@app.command()
def calibrations(task: Annotated[str, typer.Argument(help="Of this task alone.")] = "", running: Running = HERE) -> None:
    """List the limits of groundedness that tasks have, the latest first."""
    query = f"?task={quote(task, safe='')}" if task else ""
    for one in _remote(running).ask("GET", f"/v1/groundedness/calibrations{query}")["data"]:
        sys.stdout.write(_limits(one) + "\n")


@app.command()
def uncalibrate(id: Annotated[str, typer.Argument(help="Id of the calibration.")], running: Running = HERE) -> None:
    """Delete a task's calibration; the one before it is in use again, or none."""
    _remote(running).ask("DELETE", f"/v1/groundedness/calibrations/{quote(id, safe='')}")
    sys.stdout.write(f"{id} deleted\n")


@app.command()
def datasets(running: Running = HERE, limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100)] = 20) -> None:
    """List datasets, newest first."""
    for one in _remote(running).ask("GET", f"/v1/datasets?limit={limit}")["data"]:
        sys.stdout.write(f"{one['id']}  {one['name']} v{one['version']}  {one['items']:,} items  {one['digest'][:12]}\n")


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="JSONL file, one item a line.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(help="Name of the dataset; the file's by default.")] = "",
    running: Running = HERE,
) -> None:
    """Make a dataset, or the next version of one, of a file."""
    made = _uploaded(_remote(running), file, name)
    sys.stdout.write(f"{made['id']}  {made['name']} v{made['version']}  {made['items']:,} items\n")


@app.command("import")
def bring(
    kind: Annotated[Kind, typer.Argument(help="Whose logs: inspect.")],
    files: Annotated[list[Path], typer.Argument(help="Logs of Inspect AI (.eval, .json), one a model.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(help="Name of the evaluation; the task's by default.")] = "",
    running: Running = HERE,
) -> None:
    """Bring in logs of Inspect AI as an evaluation, and print its results."""
    remote = _remote(running)
    ids: list[str] = []
    try:
        for file in files:
            ids.append(remote.upload(file, "user_data"))
        one = remote.ask("POST", "/v1/evaluations/import", {"files": ids, "name": name})
    finally:
        for id in ids:
            remote.ask("DELETE", f"/v1/files/{quote(id, safe='')}")
    sys.stdout.write(f"{one['id']}\n")
    for row in table(one["results"]):
        sys.stdout.write(row + "\n")


@app.command()
def export(
    kind: Annotated[Kind, typer.Argument(help="Whose logs: inspect.")],
    id: Id,
    candidate: Annotated[str, typer.Option(help="Whose answers.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .eval or .json.")],
    running: Running = HERE,
) -> None:
    """Write one candidate's answers as a log of Inspect AI."""
    form = "json" if output.suffix == ".json" else "eval"
    path = f"/v1/evaluations/{quote(id, safe='')}/inspect?format={form}&candidate={quote(candidate, safe='')}"
    output.write_bytes(_remote(running).get(path))


def _remote(running: str, seconds: float = 120.0) -> Remote:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running, seconds=seconds)


def _dataset(remote: Remote, named: str) -> str:
    path = Path(named)
    return str(_uploaded(remote, path, "")["id"]) if path.is_file() else named


def _uploaded(remote: Remote, file: Path, name: str) -> dict[str, Any]:
    safe = "".join(c if c.isalnum() or c in "._- " else "_" for c in (name or file.stem)) or "dataset"
    id = remote.upload(file, "user_data")
    try:
        return remote.ask("POST", "/v1/datasets", {"name": safe, "file": id})
    finally:
        remote.ask("DELETE", f"/v1/files/{quote(id, safe='')}")


def _shown(remote: Remote, id: str, follow: bool) -> None:
    one = remote.followed(f"/v1/evaluations/{quote(id, safe='')}", _line, ENDED, follow=follow)
    if one["results"] is not None:
        for row in table(one["results"]):
            sys.stdout.write(row + "\n")
    if one["status"] in ENDED and one["status"] != "done":
        raise typer.Exit(1)


def _limits(one: dict[str, Any]) -> str:
    found = one["found"]
    day = time.strftime("%Y-%m-%d", time.gmtime(one["created_at"]))
    between = f"{found['unsure']:.0%} of the labels between them"
    return (
        f"{one['id']}  {one['task']}  {day}  {'in use' if one['in_use'] else 'replaced'}: grounded up to {found['limits']['low']:.3g}, "
        f"ungrounded from {found['limits']['high']:.3g}, {between}; {found['grounded']:,} grounded and {found['ungrounded']:,} ungrounded "
        f"replies, at most {found['error']:.0%} wrong of either at {found['confidence']:g} confidence; {one['detector']}"
    )


def table(results: dict[str, Any]) -> list[str]:
    """The results as lines of text."""
    width = max([len(one["candidate"]) for one in results["candidates"]] + [9])
    head = f"{'candidate':{width}}  {'mean':>6}  {'95 % interval':>15}  {'judged':>7}  {'floor':>9}  {'cost':>9}  {'p50 ms':>7}"
    rows = [head]
    for one in results["candidates"]:
        mean = "-" if one["mean"] is None else f"{one['mean']:.3f}"
        low, high = one["interval"]["low"], one["interval"]["high"]
        floor = one["floor"]["verdict"].replace("_", " ") if one["floor"] is not None else "-"
        p50 = "-" if one["latency_p50"] is None else f"{one['latency_p50']:.0f}"
        rows.append(
            f"{one['candidate']:{width}}  {mean:>6}  {low:>7.3f}-{high:<7.3f}  {one['judged']:>7,}  {floor:>9}  "
            f"${one['cost'] / 1e6:>8.4f}  {p50:>7}"
        )
        for what, count in (("failed", one["failed"]), ("not judged", one["unjudged"]), ("waiting for a label", one["waiting"])):
            if count:
                rows.append(f"{'':{width}}  {count:,} {what}")
    for one in results["comparisons"]:
        told = one["difference"]
        rows.append(
            f"{one['first']} - {one['second']}: {told['difference']:+.3f} ({told['low']:+.3f} to {told['high']:+.3f}), "
            f"p {told['p']:.3g} ({told['method']}, {told['items']:,} items)"
        )
    for one in results.get("bias", []):
        first, second = one["groups"]
        why = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in one["skipped"].items())
        found = f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})" if one["difference"] is not None else "no pairs"
        rows.append(
            f"{one['attribute']} ({second} - {first})  {one['candidate']}: {found}, {one['verdict'].replace('_', ' ')}, "
            f"p {one['adjusted']:.3g} ({one['method']}, {one['pairs']:,} pairs{'; skipped: ' + why if why else ''})"
        )
    for one in results["slices"]:
        if one["few"] or one["mean"] is None:
            rows.append(f"{one['by']}={one['group']}  {one['candidate']}: too few ({one['judged']:,})")
        else:
            floor = f", floor {one['floor']['level']:g} {one['floor']['verdict']}" if one["floor"] is not None else ""
            rows.append(f"{one['by']}={one['group']}  {one['candidate']}: {one['mean']:.3f} of {one['judged']:,}{floor}")
    return rows + list(results["notes"])


def _line(one: dict[str, Any]) -> str:
    total, done = one["total"], one["done"]
    part = done / total if total else 0.0
    bar = "#" * int(part * BAR) + "." * (BAR - int(part * BAR))
    text = f"{one['status']:10} [{bar}] {done:,}/{total:,}"
    for what in ("failed", "unjudged", "waiting", "cached"):
        if one[what]:
            text += f", {one[what]:,} {what}"
    text += f", ${one['cost'] / 1e6:.4f}"
    return f"{text} ({one['why']})" if one["why"] else text
