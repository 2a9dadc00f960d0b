"""Events of the house for other programs: what rooms publish becomes CloudEvents in the outbox of whoever subscribed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from penstock.alerts import hooks, message, outbox
from penstock.alerts.model import Delivery
from penstock.alerts.targets import HOOK, Targets
from penstock.kernel.errors import PenstockError
from penstock.kernel.events import BudgetSpent, Event, Events, KeyRevoked, RunEnded, VersionMoved
from penstock.kernel.evidence import CertificationEnded, ClaimSuspended
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Metric
from penstock.storage.records import Records

_log = logging.getLogger("penstock.alerts")
MOST_WAITING = 1000
"""Events that wait for the database at once; what comes beyond is dropped and counted."""

KINDS: Mapping[str, str] = {
    "penstock.alert.fired": "An alert opened.",
    "penstock.alert.escalated": "An open alert became more urgent.",
    "penstock.alert.reminded": "An alert is still open.",
    "penstock.alert.resolved": "An alert ended.",
    "penstock.budget.reached": "A budget reached one of its levels.",
    "penstock.budget.exhausted": "A budget is spent.",
    "penstock.key.revoked": "A key was revoked.",
    "penstock.version.approved": "A version of a model was approved.",
    "penstock.version.revoked": "A version of a model was revoked.",
    "penstock.certificate.issued": "A policy of a task claims its floor, with proof, and serves.",
    "penstock.certificate.refused": "The labels of a task do not carry a claim.",
    "penstock.certificate.suspended": "What a policy claimed is not believed any more; its default serves.",
    "penstock.run.done": "A durable run that no other began is done.",
    "penstock.run.cancelled": "A durable run that no other began was cancelled.",
    "penstock.run.failed": "A durable run failed.",
    "penstock.webhook.test": "Somebody tried a subscription out.",
}
"""Types of events and what they mean."""

FREQUENT = frozenset({"penstock.run.done", "penstock.run.cancelled"})
"""Types of which there may be hundreds a second, mostly without anybody who wants them."""
DEAF_SECONDS = 5.0
"""How long nobody is looked for that wants one of them, after nobody was found."""


class Fact:
    """An event of the house as other programs see it. ``key`` makes it one of a kind: what several processes notice is told once."""

    __slots__ = ("data", "key", "kind", "organisation", "subject")

    def __init__(self, kind: str, organisation: str, subject: str, key: str, data: Mapping[str, Any]) -> None:
        self.kind = kind
        self.organisation = organisation
        self.subject = subject
        self.key = key
        self.data = data


class Announcing:
    """Hears what rooms publish, in every process, and writes it to the outbox in the background."""

    def __init__(self, records: Records, targets: Targets, url: str, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._targets = targets
        self._url = url
        self._clock = clock
        self._waiting: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deaf: dict[tuple[str, str], float] = {}
        self.lost: Counter[str] = Counter()

    def begin(self, events: Events) -> None:
        """Hear from now on."""
        self._loop = asyncio.get_running_loop()
        for kind in (BudgetSpent, KeyRevoked, VersionMoved, CertificationEnded, ClaimSuspended, RunEnded):
            events.subscribe(kind, self._heard)

    async def stop(self) -> None:
        """Write what is not written yet."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=10)

    def metrics(self) -> Iterable[Metric]:
        """Events that could not be written."""
        if self.lost:
            found = tuple(({"type": kind}, float(count)) for kind, count in sorted(self.lost.items()))
            said = "Events for webhooks that were lost since the database did not take them."
            yield Metric(name="penstock_alerts_events_lost", help=said, kind="counter", samples=found)

    def _heard(self, event: Event) -> None:
        fact = fact_of(event, self._clock())
        if fact is None or self._loop is None:
            return
        if self._deaf.get((fact.kind, fact.organisation), 0.0) > self._clock():
            return
        if len(self._waiting) >= MOST_WAITING:
            self.lost[fact.kind] += 1
            return
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            self._write_soon(fact)
        else:  # some rooms publish from threads
            self._loop.call_soon_threadsafe(self._write_soon, fact)

    def _write_soon(self, fact: Fact) -> None:
        task = asyncio.ensure_future(self._write(fact))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _write(self, fact: Fact) -> None:
        try:
            if await self._records.read(lambda c: bool(hear(c, self._targets, fact.kind, fact.organisation))):
                await self._records.write(lambda c: tell(c, self._targets, fact, self._url, self._clock()))
            elif fact.kind in FREQUENT:
                self._deaf[fact.kind, fact.organisation] = self._clock() + DEAF_SECONDS
        except PenstockError as fault:
            self.lost[fact.kind] += 1
            _log.warning("an event for webhooks is lost", extra={"event_type": fact.kind, "fault": fault.message, "code": fault.code})


def hear(connection: Connection, targets: Targets, kind: str, organisation: str) -> list[str]:
    """Which subscriptions are told of an event of this type in an organisation."""
    made = [HOOK + hook.id for hook in hooks.listed(connection, None) if hook.wants(kind, organisation)]
    return [*targets.declared(kind), *made]


def tell(connection: Connection, targets: Targets, fact: Fact, url: str, now: float, *, only: str = "") -> int:
    """Put an event in the outbox of each subscription that wants it, or of ``only`` one; how many are new."""
    base = url.rstrip("/")
    data = {"organisation": fact.organisation, **fact.data}
    event = message.cloud_event(fact.kind, id=fact.key, source=base or "penstock", subject=fact.subject, at=now, data=data)
    places = [only] if only else hear(connection, targets, fact.kind, fact.organisation)
    new = 0
    for place in places:
        one = Delivery(
            id=f"{fact.key}.{place}",
            organisation=fact.organisation,
            route=place,
            kind=fact.kind,
            subject=fact.subject,
            alert="",
            event=event,
            state="waiting",
            created_at=now,
            next_at=now,
        )
        new += outbox.add(connection, one)
    return new


def fact_of(event: Event, now: float) -> Fact | None:
    """What other programs are told of an event; None for what is nobody's business outside."""
    if isinstance(event, BudgetSpent):
        spent = event.percent >= 100
        data = {
            "budget": event.budget_id,
            "name": event.name,
            "limit_micros": event.limit,
            "spent_micros": event.spent,
            "percent": event.percent,
        }
        # Several processes may notice it; the day keeps one telling of each level, and the next period's apart.
        key = f"budget.{event.budget_id}.{event.percent}.{int(now // 86_400)}"
        return Fact(f"penstock.budget.{'exhausted' if spent else 'reached'}", event.organisation, event.name, key, data)
    if isinstance(event, KeyRevoked):
        key = f"key.{event.key_id}.revoked"
        return Fact("penstock.key.revoked", event.organisation, event.key_id, key, {"key": event.key_id})
    if isinstance(event, VersionMoved):
        data = {"version": event.version, "model": event.model, "state": event.state, "why": event.why, "by": event.by}
        return Fact(f"penstock.version.{event.state}", event.organisation, event.model, new_id("event"), data)
    if isinstance(event, ClaimSuspended):
        data = {"task": event.task, "policy": event.policy, "why": event.why}
        return Fact("penstock.certificate.suspended", event.organisation, event.task, f"policy.{event.policy}.suspended.{int(now)}", data)
    if isinstance(event, CertificationEnded) and event.state in ("active", "refused"):
        word = "issued" if event.state == "active" else "refused"
        data = {"task": event.task, "policy": event.policy, "why": event.why, "automatic": event.automatic}
        return Fact(f"penstock.certificate.{word}", event.organisation, event.task, f"policy.{event.policy}.{word}", data)
    if isinstance(event, RunEnded) and event.state == "failed":
        data = {"run": event.run, "name": event.name, "why": event.error_kind}
        # It may be taken up again, and fail again.
        return Fact("penstock.run.failed", event.organisation, event.name, f"run.{event.run}.failed.{event.executions}", data)
    if isinstance(event, RunEnded) and event.parent is None:
        data = {"run": event.run, "name": event.name, "labels": dict(event.labels)}
        # One that was cancelled may be taken up again, and end again.
        return Fact(
            f"penstock.run.{event.state}", event.organisation, event.name, f"run.{event.run}.{event.state}.{event.executions}", data
        )
    return None
