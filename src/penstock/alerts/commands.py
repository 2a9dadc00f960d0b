"""``penstock alerts``: asks a running Penstock, with the key in PENSTOCK_KEY."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from penstock.remote import Remote

app = typer.Typer(name="alerts", help="Alerts: what is open, which rules there are, and keeping quiet.", no_args_is_help=True)
HERE = "http://127.0.0.1:8080"
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]


@app.command("list")
def list_alerts(
    running: Running = HERE, resolved: Annotated[bool, typer.Option(help="Also those of the last week that have ended.")] = False
) -> None:
    """List open alerts, one a line; exit with 1 when one of them is a page."""
    found = _remote(running).ask("GET", "/v1/alerts" + ("" if resolved else "?state=open"))["data"]
    for one in found:
        _say(one)
    if not found:
        sys.stdout.write("no alert is open\n")
    if any(one["severity"] == "page" and one["state"] == "open" for one in found):
        raise typer.Exit(1)


@app.command()
def rules(running: Running = HERE) -> None:
    """List rules, and why one cannot be looked at."""
    found = _remote(running).ask("GET", "/v1/alerts/rules")["data"]
    for one in found:
        rule = one["rule"]
        told = one["fault"] or (f"{one['open']} open" if one["open"] else "quiet")
        sys.stdout.write(f"{rule['id']:40} {rule['name']:30} {rule['terms']['measure']:24} {told}\n")
    if not found:
        sys.stdout.write("there is no rule; docs/alerts.md shows how to declare one\n")


@app.command()
def acknowledge(alert: Annotated[str, typer.Argument(help="The alert's id.")], running: Running = HERE) -> None:
    """Say that somebody looks after an alert: reminders stop."""
    _say(_remote(running).ask("POST", f"/v1/alerts/{quote(alert, safe='')}", {"what": "acknowledge"}))


@app.command()
def silence(
    why: Annotated[str, typer.Argument(help="Why; whoever looks for the alert reads it.")],
    hours: Annotated[float, typer.Option(help="For how long.")],
    rule: Annotated[str, typer.Option(help="Pattern for the rule's name; * stands for anything.")] = "*",
    group: Annotated[str, typer.Option(help="Pattern for the group.")] = "*",
    running: Running = HERE,
) -> None:
    """Have nobody told of alerts that match."""
    body = {"match": {"rule": rule, "group": group}, "until": time.time() + hours * 3600, "why": why}
    made = _remote(running).ask("POST", "/v1/alerts/silences", body)
    sys.stdout.write(f"{made['id']}\n")


@app.command()
def deliveries(running: Running = HERE, state: Annotated[str, typer.Option(help="waiting, sending, delivered or failed.")] = "") -> None:
    """List what was sent to whom; exit with 1 when something was given up."""
    found = _remote(running).ask("GET", f"/v1/alerts/deliveries?state={quote(state)}")["data"]
    for one in found:
        sys.stdout.write(f"{one['state']:10} {one['route']:30} {one['kind']:28} {one['attempts']} tries {one['fault']}\n")
    if not found:
        sys.stdout.write("nothing was sent\n")
    if any(one["state"] == "failed" for one in found):
        raise typer.Exit(1)


def _say(one: dict[str, Any]) -> None:
    where = f" ({one['by']} {one['group']})" if one["group"] else ""
    quiet = f"; {one['quiet']}" if one["quiet"] else ""
    seen = f"; acknowledged by {one['acknowledged_by']}" if one["acknowledged_by"] else ""
    told = one["verdict"].get("told", "")
    sys.stdout.write(f"{one['id']} {one['severity']:7} {one['state']:9} {one['rule']}{where}: {told}{quiet}{seen}\n")


def _remote(running: str) -> Remote:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running)
