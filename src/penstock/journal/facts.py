"""What the house is told of runs: how their steps and they themselves ended. Costs nothing where nobody listens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from penstock.journal.serial import describe
from penstock.journal.terms import LABELS, Definition
from penstock.kernel.events import Event, Events, RunEnded
from penstock.kernel.journal import RunState


class Kept(NamedTuple):
    """What is kept with a run, as its execution needs it. ``created_at`` in Unix seconds."""

    organisation: str
    labels: Mapping[str, str]
    created_at: float
    executions: int
    parent: str | None


def kept_of(system: Any, id: str) -> Kept:
    """What DBOS's database keeps with a run; blocks."""
    runs = system.tables.workflow_status
    columns = (runs.c.authenticated_user, runs.c.attributes, runs.c.created_at, runs.c.recovery_attempts, runs.c.parent_workflow_id)
    with system.engine.connect() as connection:
        user, attributes, created, executions, parent = connection.execute(sa.select(*columns).where(runs.c.workflow_uuid == id)).one()
    kept: dict[str, Any] = attributes or {}
    return Kept(user or "", kept.get(LABELS) or {}, created / 1e3, executions or 1, parent)


class Facts:
    """Between the runs, which end on the journal's loop and its threads, and the house, which hears of it on its own loop."""

    def __init__(self, house: asyncio.AbstractEventLoop, events: Events, *woken: Callable[[str], None]) -> None:
        """Each of ``woken`` hears the id of every run that has ended, first."""
        self._house = house
        self._events = events
        self._woken = woken
        self._noted: dict[str, RunEnded] = {}

    def tell(self, fact: Event) -> None:
        """Have the house hear a fact, where somebody wants to; from any thread."""
        if self._events.heard(type(fact)):
            with contextlib.suppress(RuntimeError):  # the loop is closing, and with it whoever listens
                self._house.call_soon_threadsafe(self._events.publish, fact)

    def note(self, definition: Definition, id: str, kept: Kept, fault: Exception | None = None) -> None:
        """Remember how a run ended, until that is journalled."""
        if not self._events.heard(RunEnded):
            return
        told = describe(fault) if fault is not None else {"kind": "", "message": ""}
        self._noted[id] = RunEnded(
            run=id,
            name=definition.name,
            version=definition.version,
            organisation=kept.organisation,
            state=RunState.DONE if fault is None else RunState.FAILED,
            labels=kept.labels,
            created_at=kept.created_at,
            ended_at=time.time(),
            executions=kept.executions,
            parent=kept.parent,
            error_kind=told["kind"],
            error=told["message"],
        )

    def forget(self, run: str) -> None:
        """An execution begins, or is broken off: what an earlier one noted and nobody journalled does not count."""
        self._noted.pop(run, None)

    def ended(self, run: str) -> None:
        """The end of a run is journalled; from any thread."""
        for woken in self._woken:
            woken(run)
        fact = self._noted.pop(run, None)
        if fact is not None:
            self.tell(fact)
