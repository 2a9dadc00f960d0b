"""``penstock tasks``: what tasks there are, and what they lack before they can be routed with proof."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import msgspec
import typer

if TYPE_CHECKING:
    from penstock.remote import Remote

app = typer.Typer(name="tasks", help="Tasks: list, show, check.", no_args_is_help=True)
ALIASES = ("task",)
"""Other names under which these commands are found."""
HERE = "http://127.0.0.1:8080"
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]
Json = Annotated[bool, typer.Option("--json", help="Print what the API answers.")]
_SIGNS = {"ok": "ok  ", "off": "off ", "warn": "WARN", "fail": "FAIL"}


@app.command("list")
def list_tasks(running: Running = HERE, as_json: Json = False) -> None:
    """List the tasks that the key's organisation finds."""
    found = _remote(running).ask("GET", "/v1/tasks")
    if as_json:
        _print(found)
        return
    for task in found["data"]:
        told = task["declaration"]
        sys.stdout.write(f"{task['name']:40} {told.get('mode', 'route'):8} {told['owner']}\n")


@app.command()
def show(name: Annotated[str, typer.Argument(help="The task's name.")], running: Running = HERE) -> None:
    """Print a task as it is declared, with the digest that a change has to name."""
    _print(_remote(running).ask("GET", f"/v1/tasks/{quote(name, safe='')}"))


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(help="The task's name; every task when left out.")] = None,
    running: Running = HERE,
    as_json: Json = False,
) -> None:
    """Say what tasks lack before they can be routed with proof; exit with 1 when something is missing."""
    remote = _remote(running)
    names = [name] if name is not None else [task["name"] for task in remote.ask("GET", "/v1/tasks")["data"]]
    found = [remote.ask("GET", f"/v1/tasks/{quote(one, safe='')}/check") for one in names]
    if as_json:
        _print(found[0] if name is not None else found)
    else:
        for one in found:
            _say(one)
        if not found:
            sys.stdout.write("there is no task; docs/tasks.md shows how to declare one\n")
    raise typer.Exit(0 if all(one["ready"] for one in found) else 1)


def _say(checked: dict[str, Any]) -> None:
    missing = sum(one["status"] == "fail" for one in checked["findings"])
    verdict = "can be routed with proof" if checked["ready"] else f"{missing} missing before it can be routed with proof"
    sys.stdout.write(f"{checked['task']}: {verdict}\n")
    for one in checked["findings"]:
        sys.stdout.write(f"  {_SIGNS[one['status']]}  {one['name']}: {one['what']}\n")
        if one.get("mend") and one["status"] in ("warn", "fail"):
            sys.stdout.write(f"        -> {one['mend']}\n")


def _print(told: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n")


def _remote(running: str) -> Remote:
    # The client is needed by commands that run, not by `--help`.
    from penstock.remote import Remote

    return Remote.of_environment(running)
