"""The steps of runs as they are journalled: those of earlier executions read back at once, those of this one written as they complete.

DBOS asks before each step whether it is journalled, and writes each in a transaction of its own. Here one question at the beginning of an
execution fetches all that an earlier one has left, and on SQLite, where only one can write at a time, what completes while a transaction
is under way goes into the next one together: a hundred runs wait for a few commits instead of a hundred.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import sqlalchemy as sa
from dbos._error import DBOSUnexpectedStepError

from penstock.journal.serial import FORMAT, Json
from penstock.kernel.errors import StepFailed

TOGETHER = 64
"""Steps in one transaction at most, so that the first of them does not wait for long."""
WRITERS = 8
"""Threads that write to a shared database, each a step in a transaction of its own."""

_json = Json()


class Step(NamedTuple):
    """A step that has completed; ``owner`` is the token of the execution, without which nothing is written. Times in milliseconds."""

    run: str
    owner: str
    number: int
    name: str
    began: int
    ended: int
    output: str


class Earlier:
    """The steps that earlier executions of a run have journalled, by number. Each is asked for once."""

    def __init__(self, run: str, kept: dict[int, tuple[str, str | None]]) -> None:
        self._run = run
        self._kept = kept

    def take(self, number: int, name: str) -> Any:
        """What was journalled; None where nothing was. Raises DBOS's own error for something else under it: the code has changed."""
        found = self._kept.pop(number, None)
        if found is None:
            return None
        recorded, output = found
        if recorded != name or output is None:
            raise DBOSUnexpectedStepError(workflow_id=self._run, step_id=number, expected_name=name, recorded_name=recorded)
        return _json.deserialize(output)


def in_words(fault: Exception) -> Exception:
    """A failure as it is journalled: DBOS's own word for code that has changed says in ours what to do about it."""
    if not isinstance(fault, DBOSUnexpectedStepError):
        return fault
    _, number, now, was = fault.inputs
    was, now = was.removeprefix("DBOS."), now.removeprefix("DBOS.")
    return StepFailed(
        f"the code has changed since this run began: step {number} was {was!r}, and now it would be {now!r}. Fork the run from step"
        f" {number} to go on from there with the new code, or replay it from its beginning",
        kind="CodeChanged",
        step_code="run_code_changed",
    )


def earlier(system: Any, run: str) -> Earlier:
    """Read them; blocks. ``system`` is DBOS's access to its database. Of what DBOS itself journals (sleeps, waits, children) only the name
    is kept: it reads that itself."""
    steps = system.tables.operation_outputs
    ours = sa.and_(steps.c.child_workflow_id.is_(None), steps.c.serialization == FORMAT, ~steps.c.function_name.startswith("DBOS."))
    output = sa.case((ours, steps.c.output), else_=sa.null())
    asked = sa.select(steps.c.function_id, steps.c.function_name, output).where(steps.c.workflow_uuid == run)
    with system.engine.connect() as connection:
        return Earlier(run, {number: (name, text) for number, name, text in connection.execute(asked)})


def completed(run: str, owner: str, number: int, name: str, began: float, told: Any) -> Step:
    """A step that completes now, as it is written. Raises TypeError for what JSON cannot hold."""
    return Step(run, owner, number, name, int(began * 1e3), int(time.time() * 1e3), _json.serialize(told))


class Writing:
    """Writes steps. Lives on the journal's loop."""

    def __init__(self, system: Callable[[], Any], *, shared: bool) -> None:
        self._system = system
        self._most = 1 if shared else TOGETHER
        self._free = WRITERS if shared else 1
        self._threads = ThreadPoolExecutor(self._free, "penstock-journal-writer")
        self._waiting: deque[tuple[Step, asyncio.Future[None]]] = deque()

    async def write(self, step: Step) -> None:
        """Return when it is on the disk. Raises what DBOS raises, also for a run that is no longer this execution's."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((step, written))
        self._begin(loop)
        await written

    def close(self) -> None:
        """Write nothing more; blocks until what is under way is written."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._free and self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._free -= 1
            self._threads.submit(self._commit, loop, batch)

    def _commit(self, loop: asyncio.AbstractEventLoop, batch: Sequence[tuple[Step, asyncio.Future[None]]]) -> None:
        faults: list[BaseException | None] = [None] * len(batch)
        try:
            self._system().record_steps([step for step, _ in batch])
        except (
            BaseException
        ) as fault:  # of any of them; with several, each is tried by itself to see whose it is. DBOS's own are no Exceptions
            faults = [fault] if len(batch) == 1 else [self._alone(step) for step, _ in batch]
        with contextlib.suppress(RuntimeError):  # the loop is closing, and with it whoever waits
            loop.call_soon_threadsafe(self._done, loop, batch, faults)

    def _alone(self, step: Step) -> BaseException | None:
        try:
            self._system().record_steps([step])
        except BaseException as fault:  # raised where the step is waited for
            return fault
        return None

    def _done(
        self, loop: asyncio.AbstractEventLoop, batch: Sequence[tuple[Step, asyncio.Future[None]]], faults: Sequence[BaseException | None]
    ) -> None:
        self._free += 1
        for (_, written), fault in zip(batch, faults, strict=True):
            if written.done():
                continue  # whoever waited was broken off
            if fault is None:
                written.set_result(None)
            else:
                written.set_exception(fault)
        self._begin(loop)
