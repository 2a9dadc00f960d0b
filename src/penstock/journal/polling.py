"""How often DBOS looks into its queues, where one process holds the journal: when something has changed, and hardly ever else.

DBOS asks each queue every `poll_seconds` what there is to do. Nobody but this process can put anything into a queue of ours, so its
threads are woken by whoever does, or by whoever leaves room, and an empty queue is left alone. What wakes nobody is found `SELDOM`.
"""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

_queue: Any = importlib.import_module("dbos._queue")

GAP = 0.05
"""Seconds between two looks at least, however much changes."""
SELDOM = 5.0
"""Seconds after which an empty queue is looked into all the same."""

Holds = Callable[[str], bool]
"""Whether anything waits in a queue of this name, be it for its time; blocks."""

_original = _queue.queue_worker_thread


class Queues:
    """The threads that look into queues, while `begin` holds."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._changed: set[threading.Event] = set()

    def begin(self, *, alone: bool) -> None:
        """Where this process is ``alone``, have the threads that start from now on wait for `changed`."""
        if not alone:
            return
        _queue.queue_worker_thread = self._work

    def end(self) -> None:
        """Put DBOS's own way back."""
        _queue.queue_worker_thread = _original

    def changed(self) -> None:
        """Have them look: there is something new to do, or room to do it, or they are to stop; from any thread."""
        for event in tuple(self._changed):
            event.set()

    def _work(self, stop: threading.Event, dbos: Any, queue: Any) -> None:
        changed = threading.Event()
        changed.set()
        self._changed.add(changed)
        try:
            waits: Any = Pace(stop, changed, functools.partial(self._holds, queue.name))
            _original(waits, dbos, queue)
        finally:
            self._changed.discard(changed)


class Pace:
    """Stands in for the event that tells a thread to stop, on which DBOS waits between two looks."""

    def __init__(self, stop: threading.Event, changed: threading.Event, holds: Callable[[], bool]) -> None:
        self._stop = stop
        self._changed = changed
        self._holds = holds

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait for the next look; whether to stop instead. Something that waits for room or for its time is looked at every ``timeout``."""
        gap = min(GAP, timeout)
        if not self._stop.wait(gap) and not self._changed.is_set():
            self._changed.wait((timeout if self._waits() else max(SELDOM, timeout)) - gap)
        # Before the look, so that what changes during it leads to another.
        self._changed.clear()
        return self._stop.is_set()

    def _waits(self) -> bool:
        try:
            return self._holds()
        except SQLAlchemyError:  # the look that follows says so itself
            return True
