"""``penstock tasks``, as far as routing is concerned: asks a running Penstock, with the key in PENSTOCK_KEY."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

app = typer.Typer(name="tasks", help="Tasks: declare, check, certify, see what models cost and are worth, ask why.", no_args_is_help=True)
Running = Annotated[
    str, typer.Option("--running", help="Address of the running Penstock. The key is taken from PENSTOCK_KEY.", envvar="PENSTOCK_URL")
]
Name = Annotated[str, typer.Argument(help="The task's name.")]
HERE = "http://127.0.0.1:8080"
LOOK_SECONDS = 1.0


@app.command()
def certify(
    name: Name,
    running: Running = HERE,
    seconds: Annotated[float, typer.Option(help="How long to wait for it; it goes on all the same.")] = 900.0,
) -> None:
    """Fit and certify the cheapest policy that the evidence supports; exit with 1 when it supports none."""
    policy = _asked(running, "POST", f"/v1/tasks/{quote(name, safe='')}/policies", {})
    until = time.monotonic() + seconds
    while policy["state"] == "fitting":
        if time.monotonic() > until:
            sys.stdout.write(f"policy {policy['number']} is still being fitted; penstock tasks policies {name} shows what comes of it\n")
            raise typer.Exit(1)
        time.sleep(LOOK_SECONDS)
        policy = _asked(running, "GET", f"/v1/tasks/{quote(name, safe='')}/policies/{policy['id']}")
    _say(policy)
    if policy["state"] != "active":
        raise typer.Exit(1)


@app.command()
def policies(name: Name, running: Running = HERE) -> None:
    """Print the task's policies, the newest first."""
    for policy in _asked(running, "GET", f"/v1/tasks/{quote(name, safe='')}/policies")["data"]:
        _say(policy)


@app.command()
def suspend(
    name: Name,
    policy: Annotated[str, typer.Argument(help="The policy's number or id.")],
    reason: Annotated[str, typer.Option(help="Why the claim is not believed any more.")],
    running: Running = HERE,
) -> None:
    """Take a claim back: the task's default serves until something is certified anew."""
    _say(_asked(running, "POST", f"/v1/tasks/{quote(name, safe='')}/policies/{policy}/suspension", {"reason": reason}))


@app.command()
def frontier(name: Name, running: Running = HERE) -> None:
    """Print cost against quality of every candidate, of the router and of the cascade."""
    found = _asked(running, "GET", f"/v1/tasks/{quote(name, safe='')}/frontier")
    sys.stdout.write(f"{found['task']}: {found['floor']}, which is {found['line']:.1%} on {found['labels']} labels\n")
    sys.stdout.write(f"{'':44} {'USD a call':>12} {'quality':>8}  95 % interval\n")
    for point in sorted(found["points"], key=lambda one: one["cost"]):
        marks = "".join((" certified" if point["certified"] else "", " serving" if point["serving"] else ""))
        below = "" if point["quality"] >= found["line"] else " below the floor"
        sys.stdout.write(
            f"{point['name'][:44]:44} {point['cost'] / 1e6:12.6f} {point['quality']:8.1%}"
            f"  {point['low']:.1%} to {point['high']:.1%}{marks}{below}\n"
        )
    for left, why in found["left_out"].items():
        sys.stdout.write(f"{left}: {why}\n")
    for note in found["notes"]:
        sys.stdout.write(f"{note}\n")


@app.command("what-if")
def what_if(
    name: Name,
    running: Running = HERE,
    level: Annotated[float | None, typer.Option(help="Another level of the floor.")] = None,
    kind: Annotated[str, typer.Option(help="absolute or relative, with --level.")] = "relative",
    candidate: Annotated[list[str] | None, typer.Option(help="The candidates, in place of the task's; again for each.")] = None,
    mode: Annotated[str | None, typer.Option(help="default, route or cascade.")] = None,
    policy: Annotated[str | None, typer.Option(help="A stored policy, by number or id, as it is.")] = None,
) -> None:
    """Tell what a change would do on recorded traffic before it goes live; exit with 1 where the evidence does not say."""
    change: dict[str, Any] = {"mode": mode, "policy": policy, "candidates": candidate}
    if level is not None:
        change["floor"] = {"level": level, "kind": kind}
    body = {key: value for key, value in change.items() if value is not None}
    found = _asked(running, "POST", f"/v1/tasks/{quote(name, safe='')}/what-if", body)
    sys.stdout.write(f"{found['policy']['why']}\n{found['why']}\n")
    if not found["supported"] or found["then"] is None or not found["then"]["enough"]:
        raise typer.Exit(1)


@app.command()
def why(call: Annotated[str, typer.Argument(help="The call's id, from x-request-id.")], running: Running = HERE) -> None:
    """Print why a call was served by the model that served it, and what it would have cost elsewhere."""
    found = _asked(running, "GET", f"/v1/calls/{quote(call, safe='')}/why")
    sys.stdout.write(f"{found['why']}\n")
    for one in found["candidates"]:
        cost = f"{one['would_have_cost'] / 1e6:.6f} USD" if one["would_have_cost"] is not None else "no known price"
        estimate = f", estimate {one['estimate']:.1%}" if one["estimate"] is not None else ""
        bound = f", at least {one['bound']:.1%}" if one["bound"] is not None else ""
        out = f", ruled out ({one['ruled_out']}): {one['why']}" if one["ruled_out"] else ""
        sys.stdout.write(f"{one['candidate']}{' (served)' if one['served'] else ''}: {cost}{estimate}{bound}{out}\n")


def _say(policy: dict[str, Any]) -> None:
    number, state = policy["number"], policy["state"]
    sys.stdout.write(f"policy {number} ({policy['id']}) is {state}: {policy['changed_why'] if state == 'suspended' else policy['why']}\n")
    if policy["cost"] is not None and policy["quality"] is not None:
        sys.stdout.write(f"  {policy['quality']:.1%} on {policy['labels']} labels, {policy['cost'] / 1e6:.6f} USD a call\n")
    for one in policy["considered"]:
        sys.stdout.write(f"  {one['name']}: {'certified' if one['certified'] else 'not certified'}, {one['why']}\n")
    for one in policy["slices"]:
        holds = "holds" if one["holds"] else "does not hold" if one["judged"] else "too few labels"
        sys.stdout.write(f"  {one['by']} {one['group']}: {one['quality']:.1%} on {one['labels']}, floor {one['level']:.1%} {holds}\n")


def _asked(running: str, method: str, path: str, body: object = None) -> Any:
    # http.client takes a while to import and `--help` needs none of it.
    from penstock.remote import Remote

    return Remote.of_environment(running).ask(method, path, body)
