"""Spans are kept as long as the settings say, and how many there are is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from penstock.kernel.errors import PenstockError
from penstock.kernel.ports import Metric
from penstock.observability.settings import SpanRetention, SpansSettings
from penstock.storage.telemetry.questions import Facts, Retention
from penstock.storage.telemetry.store import TelemetryStore

_log = logging.getLogger("penstock.observability")

LOOK_SECONDS = 60.0
"""Between two looks at how many there are."""
ROUND_SECONDS = 3600.0
"""Between two rounds of retention."""


def rules_of(settings: SpansSettings) -> tuple[Retention, ...]:
    """The store's rules: one for each organisation that has its own, and one for all others."""
    return (*(_rule(whose, own) for whose, own in sorted(settings.organisations.items())), _rule(None, settings))


def _rule(whose: str | None, told: SpanRetention) -> Retention:
    return Retention(
        organisation=whose,
        span_days=told.days,
        keep_days=max(told.interesting_days, told.days),
        payload_days=told.payload_days,
        sample=told.sample,
        whole_days=told.whole_days,
        slow_ms=told.slow_ms,
        costly_micros=round(told.costly_usd * 1_000_000) if told.costly_usd is not None else None,
    )


class SpansKept:
    """A service. Where several processes share a store, only one with ``rules`` takes spans away; all tell the store's figures."""

    name = "spans kept"

    def __init__(
        self, store: Callable[[], TelemetryStore | None], rules: tuple[Retention, ...], clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock_ns = clock_ns
        self._task: asyncio.Task[None] | None = None
        self._failing = False
        self._due = 0.0
        self.facts: Facts | None = None
        self.removed = 0
        self.removed_payloads = 0

    async def start(self) -> None:
        """Begin, in the background; without a store there is nothing to do."""
        if self._store() is not None:
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop between two pieces of work; what was begun in the store goes on there or is done again at the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def look(self) -> None:
        """One round: see how many there are and, when it is time, take away what has been kept long enough. Raises `StorageError`."""
        store = self._store()
        if store is None:
            return
        if self._rules and time.monotonic() >= self._due:
            removed = await store.retain(self._rules, self._clock_ns())
            self._due = time.monotonic() + ROUND_SECONDS
            self.removed += removed.spans
            self.removed_payloads += removed.payloads
            if removed.spans or removed.payloads:
                _log.info("spans were kept long enough", extra={"spans": removed.spans, "payloads": removed.payloads})
        self.facts = await store.facts()

    def metrics(self) -> Iterable[Metric]:
        """What is stored, as of the last look, and what was taken away by this process."""
        if self._task is not None:
            # Without it, a store that answers nothing would look as it did when it last answered.
            yield Metric(
                name="penstock_spans_unanswered",
                help="Whether the store of spans failed to answer when it was last looked at.",
                kind="gauge",
                samples=(({}, float(self._failing)),),
            )
        facts = self.facts
        if facts is None:
            return
        for name, help, value in (
            ("penstock_spans", "Spans in the store.", facts.spans),
            ("penstock_spans_payloads", "Prompts and replies of spans in the store.", facts.payloads),
            ("penstock_spans_bytes", "Bytes on disk that the store of spans takes.", facts.bytes),
            ("penstock_spans_waiting", "Batches of spans that are safe and not stored yet.", facts.waiting),
        ):
            yield Metric(name=name, help=help, kind="gauge", samples=(({}, float(value)),))
        for name, help, count in (
            ("penstock_spans_repeated", "Spans that came again and were left out, since the store was opened.", facts.repeated),
            ("penstock_spans_unreadable", "Batches that could not be stored and were set aside, since it was opened.", facts.unreadable),
            ("penstock_spans_expired", "Spans that this process took away, since they were kept long enough.", self.removed),
        ):
            yield Metric(name=name, help=help, kind="counter", samples=(({}, float(count)),))

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
                self._failing = False
            except PenstockError as fault:
                if not self._failing:
                    _log.warning("the store of spans is not looked after", extra={"fault": fault.message, "code": fault.code})
                self._failing = True
            except Exception:  # whatever it is, nothing would be taken away any more
                if not self._failing:
                    _log.exception("the store of spans is not looked after")
                self._failing = True
            await asyncio.sleep(LOOK_SECONDS)
