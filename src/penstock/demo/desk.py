"""An agent in the demo: a ticket comes in, Penstock is killed while the agent works on it, and goes on; its refund waits for a person."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from penstock.demo.beside import Beside
from penstock.demo.organisation import Api, until
from penstock.demo.process import Process
from penstock.demo.verify import Check, page

AGENT = "support-desk"
TICKET = "T-1001"
REFUND = ("2026-117", 4900)
"""What the shop's database and the ticket amount to."""
CUSTOMER = "ada@example.com"
APPROVER = "Pia"
KILLED_AT = 2
"""The question to its model in which it is killed: the ticket was read, what to do about it was not yet said."""
_WAIT_SECONDS = 60.0


class People(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets of the keys of who sends tickets, and of the person who administers; the id of the validator's key."""

    sender: str
    approver: str
    checker: str


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits for a person, and what went before: the steps that stood in its journal when it was killed and those that stand
    there now, the ledger's rows before and since, seconds until its model was asked again, refunds and mails while it waits."""

    run: str
    request: Mapping[str, Any]
    killed: bool
    before: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    rows_before: frozenset[str]
    rows: frozenset[str]
    back_seconds: float
    refunds: int
    mails: int

    @property
    def page(self) -> str:
        """Where the request stands in the console."""
        return f"/console/inbox/{self.request['id']}"


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: what the sender's own approval was answered, the run's end, refunds, mails."""

    own: int
    ended: Mapping[str, Any]
    refunds: Sequence[tuple[str, int]]
    mails: Sequence[tuple[str, str, str]]


async def people(api: Api, team: str) -> People:
    """Make them, and their keys."""
    sender = await api.post("/v1/keys", {"name": "tickets", "team": team, "scopes": ["call", "read"]})
    checker = await api.post("/v1/keys", {"name": "refund checker", "team": team, "scopes": ["call"]})
    person = await api.post("/v1/people", {"name": APPROVER})
    approver = await api.post("/v1/keys", {"name": f"{APPROVER}'s", "person": person["id"], "scopes": ["admin"]})
    return People(sender=sender["secret"], approver=approver["secret"], checker=checker["key"]["id"])


async def ticket(session: aiohttp.ClientSession, process: Process, who: People, beside: Beside, config: Path) -> Waiting:
    """Send the ticket, kill Penstock with SIGKILL while the agent's model thinks about what to do, start it again, and wait for the
    request that the agent then makes. While Penstock is down its settings are told the validator's key. Raises `ApiFault`."""
    api = Api(session, process.url, process.admin_key)
    sender = Api(session, process.url, who.sender)
    await beside.hold(KILLED_AT - 1)
    asked = beside.asked
    begun = await sender.post(f"/v1/agents/{AGENT}/runs", {"input": f"Please see to {TICKET}.", "key": TICKET})
    run = begun["run"]["id"]
    await beside.thinking(asked + KILLED_AT, _WAIT_SECONDS)
    before, rows_before = (await api.get(f"/v1/runs/{run}"))["steps"], await _rows(api)
    killed, died = await process.kill(), time.monotonic()
    config.write_text(beside.with_key(config.read_text("utf-8"), who.checker), "utf-8")
    await process.again()
    await beside.thinking(asked + KILLED_AT + 1, _WAIT_SECONDS)
    back = time.monotonic() - died
    await beside.let_go()
    api = Api(session, process.url, process.admin_key)
    found = await until(lambda: api.get("/v1/inbox/requests", run=run), _looked_at, _WAIT_SECONDS)
    return Waiting(
        run=run,
        request=found["data"][0]["request"],
        killed=killed,
        before=before,
        steps=(await api.get(f"/v1/runs/{run}"))["steps"],
        rows_before=rows_before,
        rows=await _rows(api),
        back_seconds=back,
        refunds=len(beside.refunds),
        mails=len(beside.mails),
    )


async def approve(session: aiohttp.ClientSession, url: str, who: People, waiting: Waiting) -> int:
    """Have the sender try to approve its own refund, which is refused with the status that comes back, and then the person."""
    path, body = f"/v1/inbox/requests/{waiting.request['id']}/approve", {"digest": waiting.request["digest"]}
    async with session.post(url + path, json=body, headers={"authorization": f"Bearer {who.sender}"}) as answer:
        own = answer.status
    await Api(session, url, who.approver).post(path, body)
    return own


async def closed(api: Api, waiting: Waiting, beside: Beside, *, own: int = 0, patience: float | None = _WAIT_SECONDS) -> Closed:
    """Wait for the end of the run, for that many seconds or for as long as it takes. Raises `ApiFault`."""
    shown = await until(lambda: api.get(f"/v1/agents/runs/{waiting.run}"), lambda found: found["ended"] is not None, patience)
    return Closed(own=own, ended=shown["ended"], refunds=beside.refunds, mails=beside.mails)


async def checks(url: str, key: str, waiting: Waiting, closed: Closed) -> list[Check]:
    """Whether all of it happened once, and nothing of it too soon."""
    kept = list(waiting.steps[: len(waiting.before)]) == list(waiting.before) and bool(waiting.before)
    found = f"{len(waiting.before)} steps kept, asked its model again {waiting.back_seconds:.1f} s after"
    votes = [vote["approve"] for vote in waiting.request["votes"]]
    early = f"{waiting.refunds} refunds, {waiting.mails} mails"
    lost = waiting.rows_before - waiting.rows
    to = [mail[0] for mail in closed.mails]
    ended = closed.ended
    status = await page(url, key, waiting.page)
    return [
        Check("an agent goes on after kill -9 where it was", found, waiting.killed and kept),
        Check("ledger rows lost by kill -9", f"{len(lost)} of {len(waiting.rows_before)}", not lost),
        Check(
            "its refund waits for a person", f"{len(votes)} validator agreed; {early}", votes == [True] and early == "0 refunds, 0 mails"
        ),
        Check("the request stands in the inbox", f"status {status}", status == 200),
        Check("who began it may not approve it", f"status {closed.own}", closed.own in (403, 409)),
        Check("approved, it ends", f"{ended['state']}: {ended.get('output') or ended.get('message')}", ended["state"] == "done"),
        Check(
            "exactly one refund",
            ", ".join(f"{order}: {cents / 100:.2f} EUR" for order, cents in closed.refunds),
            [*closed.refunds] == [REFUND],
        ),
        Check("exactly one mail", ", ".join(to), to == [CUSTOMER]),
    ]


def told(url: str, waiting: Waiting, files: Path) -> list[str]:
    """What waits, in a few lines, with where to look and what to do."""
    (order, cents), back = REFUND, waiting.back_seconds
    return [
        f"An agent had read ticket {TICKET} when Penstock was killed with kill -9. Started again, it went on {back:.1f} s later.",
        f"  It found order {order} in the shop's database and proposes to give {cents / 100:.2f} EUR back. A validator has agreed;",
        f"  now a person has to, and that is you: {url}{waiting.page}",
        f"  Each of its steps:                    {url}/console/runs/{waiting.run}",
        f"  Its code, to read and to change:      {files / 'agents.py'}",
    ]


def ended(closed: Closed) -> list[str]:
    """What came of it, in a few lines."""
    end = closed.ended
    lines = [f"The agent's run is over ({end['state']}): {end.get('output') or end.get('message')}"]
    lines += [f"  refunded once, in the shop's database: {cents / 100:.2f} EUR for order {order}" for order, cents in closed.refunds]
    return lines + [f"  mail to {to}: {subject}" for to, subject, _ in closed.mails]


async def _rows(api: Api) -> frozenset[str]:
    return frozenset(row["id"] for row in await api.pages("/v1/ledger", limit=1000))


def _looked_at(found: Mapping[str, Any]) -> bool:
    return any(one["request"]["votes"] for one in found["data"])
