"""Releases as the spans tell them: the first time that a service says a release it has not said before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from penstock.kernel.measures import Mark
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore

BEFORE_DAYS = 30
"""How far back before a period a release that was seen is not new in it."""

MOST = 24
"""Most releases that are looked at in one period, those with the most spans first."""

STEPS = 720
"""A release is told to this share of the period, and to a minute at best."""


class ReleaseMarks:
    """The `MarkSource` of releases; knows none where there is no store. A service's very first release is no news."""

    def __init__(self, store: Callable[[], TelemetryStore | None]) -> None:
        self._store = store

    async def marks(self, organisation: str | None, since: float, until: float) -> Sequence[Mark]:
        store = self._store()
        if store is None or not since < until:
            return ()

        def within(begin: float, end: float) -> Filter:
            return Filter(organisation=organisation, since_ns=max(0, int(begin * 1e9)), until_ns=int(end * 1e9), unequal={"release": ("",)})

        now, before = await asyncio.gather(
            store.groups(within(since, until), ("service", "release"), 200),
            store.groups(within(since - BEFORE_DAYS * 86_400, since), ("service", "release"), 1000),
        )
        known = {one.values for one in before}
        served = {service for service, _ in known}
        fresh = [one.values for one in now if one.values not in known][:MOST]
        firsts = dict(zip(fresh, await asyncio.gather(*(self._first(store, within(since, until), pair) for pair in fresh)), strict=True))
        found: list[Mark] = []
        for (service, release), at in sorted(firsts.items(), key=lambda one: one[1]):
            if service not in served:
                served.add(service)
                continue
            title = f"{service} {release}" if service else release
            query = urlencode({"service": service, "release": release, "since": int(at), "until": int(until)})
            found.append(Mark(at=at, kind="release", title=title, href=f"/console/traces?{query}"))
        return found

    async def _first(self, store: TelemetryStore, which: Filter, pair: tuple[str, ...]) -> float:
        assert which.since_ns is not None
        assert which.until_ns is not None
        service, release = pair
        step = max(60 * 10**9, (which.until_ns - which.since_ns) // STEPS)
        wanted = Filter(
            organisation=which.organisation,
            since_ns=which.since_ns,
            until_ns=which.until_ns,
            equal={"service": (service,), "release": (release,)},
        )
        points = await store.series(wanted, step)
        return points[0].at_ns / 1e9
