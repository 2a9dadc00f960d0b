"""Brings what is in the outbox to where it goes."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from penstock.alerts import hooks, outbox, store
from penstock.alerts.model import Delivery
from penstock.alerts.send import Sender
from penstock.alerts.settings import AlertSettings
from penstock.alerts.targets import DECLARED, HOOK, Target, Targets, of_hook
from penstock.kernel.errors import Conflict
from penstock.kernel.ports import Metric
from penstock.kernel.sending import Sent
from penstock.storage.records import Records

MOST_ROUNDS = 64
PATIENCE = 2.0
"""Seconds that a round waits for receivers; the slower ones are sent to beside the next rounds, which look at rules meanwhile."""


class Delivering:
    """Sends what is due. ``holder`` is who this process is under the lease: what another one holds it leaves alone."""

    def __init__(
        self,
        records: Records,
        targets: Targets,
        settings: AlertSettings,
        holder: str,
        *,
        home: Callable[[], str],
        master: Callable[[], bytes],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._targets = targets
        self._settings = settings
        self._holder = holder
        self._home = home
        self._master = master
        self._clock = clock
        self._sender = Sender(settings.send_seconds, clock)
        self._long = 60 + 10 * settings.send_seconds
        self._mine = False
        self._busy: dict[str, asyncio.Task[None]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    async def take_over(self) -> int:
        """Have sent again what the process before this one was sending, or what nobody could note the end of."""

        def work(connection: Connection) -> int:
            store.LEAD.hold(connection, self._holder)
            return outbox.take_over(connection, self._clock(), before=self._clock() - self._long if self._mine else None)

        taken = await self._records.write(work)
        self._mine = True
        return taken

    async def round(self, patience: float = PATIENCE) -> None:
        """Send what is due, one after the other for each place and the places beside each other, until nothing is due any more or
        ``patience`` is over: a place that is slow keeps neither the others nor the rules waiting. Raises what kept a message from being
        noted."""
        clock = asyncio.get_running_loop().time
        until, fault = clock() + patience, None
        for _ in range(MOST_ROUNDS):
            for route, task in list(self._busy.items()):
                if task.done():
                    del self._busy[route]
                    fault = task.exception() or fault
            now, busy = self._clock(), tuple(self._busy)
            by_place: dict[str, list[Delivery]] = {}
            for one in await self._records.read(lambda c, now=now, busy=busy: outbox.due(c, now, without=busy)):
                by_place.setdefault(one.route, []).append(one)
            for route, found in by_place.items():
                self._busy[route] = asyncio.create_task(self._each(route, found), name=f"alerts to {route}")
            left = until - clock()
            if fault is not None or not self._busy or left <= 0:
                break
            await asyncio.wait(self._busy.values(), timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if fault is not None:
            raise fault

    async def close(self) -> None:
        """Break off what is being sent, which whoever is next sends again under the same id, and let go of connections."""
        for task in self._busy.values():
            task.cancel()
        if self._busy:
            await asyncio.wait(self._busy.values())
        await self._sender.close()

    def metrics(self) -> Iterable[Metric]:
        """Deliveries of this process by route and outcome."""
        samples = tuple(({"route": route, "outcome": outcome}, float(n)) for (route, outcome), n in sorted(self.counts.items()))
        said = "Messages to routes and webhooks by outcome: delivered, retried, failed."
        yield Metric(name="penstock_alerts_deliveries", help=said, kind="counter", samples=samples)

    async def _each(self, route: str, found: list[Delivery]) -> None:
        target = await self._target(route)
        for one in found:
            sent = Sent(False, "there is no such place any more", gone=True) if target is None else await self._send(target, one)
            if sent is None:
                continue
            await self._records.write(lambda c, one=one, sent=sent: self._note(c, one, sent))
            outcome = "delivered" if sent.ok else "failed" if self._given_up(one, sent) else "retried"
            # Subscriptions come and go: a label each would grow for ever.
            self.counts["webhooks" if route.startswith(HOOK) and not route.startswith(DECLARED) else route, outcome] += 1
            if not sent.ok:
                return  # the others would fail alike; they are due again in the next round, after what comes before them

    async def _send(self, target: Target, one: Delivery) -> Sent | None:
        """Send it, once its row says that it is being sent; None where another process does."""

        def begin(connection: Connection) -> bool:
            store.LEAD.hold(connection, self._holder)
            return outbox.begin(connection, one.id, self._clock())

        try:
            if not await self._records.write(begin):
                return None
        except Conflict:
            return None
        return await self._sender.send(target, one.id, one.event)

    def _note(self, connection: Connection, one: Delivery, sent: Sent) -> None:
        now = self._clock()
        if sent.ok:
            outbox.delivered(connection, one.id, now)
        elif self._given_up(one, sent):
            outbox.missed(connection, one.id, sent.fault, None)
        else:
            wait = max(sent.wait, outbox.wait(one.attempts + 1, self._settings.retry_seconds, random.random()))
            outbox.missed(connection, one.id, sent.fault, now + wait)
        if sent.gone and one.route.startswith(HOOK) and not one.route.startswith(DECLARED):
            hooks.turn_off(connection, one.route.removeprefix(HOOK), "the receiver answered 410: it wants no more")

    def _given_up(self, one: Delivery, sent: Sent) -> bool:
        return sent.gone or self._clock() - one.created_at > self._settings.give_up_hours * 3600

    async def _target(self, route: str) -> Target | None:
        declared = self._targets.named(route)
        if declared is not None or not route.startswith(HOOK) or route.startswith(DECLARED):
            return declared
        hook = await self._records.read(lambda c: hooks.one(c, route.removeprefix(HOOK)))
        if hook is None or not hook.enabled:
            return None
        public = hook.organisation != self._home() and not self._settings.private_addresses
        return of_hook(hook, self._master(), public=public)
