"""Watching runs: whoever watches is woken by what is journalled here, and looks by itself now and then for what is journalled elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple

from penstock.kernel.journal import StepInfo

OVERLAP = 10.0
"""Seconds before the last step that are looked at again: what took longer to be written down carries an earlier time."""


class Mark(NamedTuple):
    """Where a completed step stands among those of its run: when it completed, in milliseconds, and its number."""

    at: int
    number: int


Marks = Callable[[int], Awaitable[Sequence[Mark]]]
"""The completed steps since a moment in milliseconds, in order."""
Steps = Callable[[Sequence[int]], Awaitable[Sequence[StepInfo]]]
"""Steps by their numbers."""
Over = Callable[[], Awaitable[bool]]
"""Whether nothing more will happen by itself."""


class Watching:
    """Those who watch, by run. Lives on the house's loop; only `tell` may be called from anywhere."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: how often a watcher looks by itself."""
        self._seconds = seconds
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._loop: asyncio.AbstractEventLoop | None = None

    def tell(self, run: str) -> None:
        """Something of this run was journalled, or it has ended; from any thread."""
        # Read without a lock: whoever begins to watch looks by itself first.
        if run in self._waiting and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closing, and with it the watchers
                self._loop.call_soon_threadsafe(self._wake, run)

    async def watch(self, run: str, after: int, marks: Marks, steps: Steps, over: Over) -> AsyncGenerator[StepInfo]:
        """The completed steps after number ``after``, until it is over."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiting[run].add(event)
        try:
            known = await marks(0)
            passed = next((mark for mark in known if mark.number == after), Mark(0, 0))
            seen = {mark.number for mark in known if mark <= passed}
            since = passed.at
            while True:
                last = await over()  # first, so that what was journalled before the end is not missed
                fresh = [mark for mark in await marks(max(0, since - int(OVERLAP * 1e3))) if mark.number not in seen]
                if fresh:
                    found = {step.number: step for step in await steps([mark.number for mark in fresh])}
                    seen.update(mark.number for mark in fresh)
                    since = max(since, fresh[-1].at)
                    for mark in fresh:
                        if mark.number in found:  # the time limit of a wait is no step of its own
                            yield found[mark.number]
                elif last:
                    return
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._seconds):
                            await event.wait()
                    event.clear()
        finally:
            self._waiting[run].discard(event)
            if not self._waiting[run]:
                del self._waiting[run]

    def _wake(self, run: str) -> None:
        for event in self._waiting.get(run, ()):
            event.set()
