"""What a run's function holds: DBOS's durable calls in our words. Lives on the journal's event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from dbos import DBOS, SetWorkflowAttributes
from dbos._context import EnterDBOSStepCtx, snapshot_step_context

from penstock.journal.ended import Endings
from penstock.journal.serial import describe, failure
from penstock.journal.steps import Earlier, Writing, completed
from penstock.journal.terms import LABELS, QUEUE
from penstock.kernel.errors import NotFound, StepFailed
from penstock.kernel.events import Event, StepEnded
from penstock.kernel.journal import Retry, StepKey, current_step

ONCE = Retry()

FOREVER = 100 * 365 * 86_400.0
"""Seconds that a wait without a timeout lasts; DBOS knows no endless one."""


class Surroundings:
    """What all runs of a process share: where steps execute, and how children are found and awaited."""

    def __init__(
        self,
        house: asyncio.AbstractEventLoop,
        threads: Executor,
        endings: Endings,
        resolve: Callable[[str], tuple[str, Any]],
        enqueue: Callable[..., Awaitable[str]],
        tell: Callable[[Event], None],
        writing: Writing,
        may_begin: Callable[[str, int, str], Awaitable[None]],
    ) -> None:
        self.house = house
        self.threads = threads
        self.endings = endings
        self.resolve = resolve
        """DBOS's name and function of the latest version of a run's name; raises `NotFound`."""
        self.enqueue = enqueue
        self.tell = tell
        """Has the house hear a fact, from any thread."""
        self.writing = writing
        self.may_begin = may_begin
        """Raises where a step must not begin: another process may have cancelled its run."""


class DurableRun:
    """Implements `penstock.kernel.journal.Run`."""

    def __init__(self, around: Surroundings, id: str, organisation: str, labels: Mapping[str, str], earlier: Earlier) -> None:
        """``earlier``: what an execution before this one has journalled."""
        self.id = id
        self.organisation = organisation
        self.labels = labels
        self._around = around
        self._earlier = earlier

    async def step(self, name: str, function: Callable[..., Any], *args: Any, retry: Retry = ONCE) -> Any:
        # The step's number is drawn before this first waits, so steps made at once are numbered in the order of their making.
        context = snapshot_step_context()
        assert context is not None
        number, owner = context.function_id, context.owner_xid
        assert owner is not None
        if context.is_step():  # within another one, as a part of it
            told = await self._attempts(context.curr_step_function_id, name, function, args, retry)
        elif (told := self._earlier.take(number, name)) is None:
            await self._around.may_begin(self.id, number, name)
            began = time.time()
            with EnterDBOSStepCtx({"name": name, "operationType": "step"}, context):
                told = await self._attempts(number, name, function, args, retry)
            await self._around.writing.write(completed(self.id, owner, number, name, began, told))
        if told[0] == "failed":
            raise failure(told[1])
        return told[1]

    async def _attempts(self, number: int, name: str, function: Callable[..., Any], args: tuple[Any, ...], retry: Retry) -> list[Any]:
        """What is journalled: how it ended, the result or what is kept of the exception, the number of attempts."""
        key = StepKey(run=self.id, organisation=self.organisation, number=number, name=name)
        token = current_step.set(key)
        started = time.time()
        try:
            pause = retry.first_seconds
            attempt = 1
            while True:
                try:
                    value = await self._call(function, args)
                    self._around.tell(StepEnded(key, self.labels, started, time.time(), attempt))
                    return ["done", value, attempt]
                except Exception as fault:  # whatever a step raises is its result, and is journalled as such
                    if attempt >= retry.attempts:
                        told = describe(fault)
                        self._around.tell(StepEnded(key, self.labels, started, time.time(), attempt, told["kind"], told["message"]))
                        return ["failed", told, attempt]
                await asyncio.sleep(min(pause, retry.longest_seconds))
                pause *= retry.factor
                attempt += 1
        finally:
            current_step.reset(token)

    async def _call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        around = self._around
        if not inspect.iscoroutinefunction(function):
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(around.threads, lambda: context.run(function, *args))
        if asyncio.get_running_loop() is around.house:
            return await function(*args)
        # Where the clients and connections of the house are at home.
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(function(*args), around.house))

    async def sleep(self, seconds: float) -> None:
        await DBOS.sleep_async(seconds)

    async def wait(self, topic: str, timeout: float | None = None) -> Any:
        held = await DBOS.recv_async(topic, FOREVER if timeout is None else timeout)
        if held is None:
            raise TimeoutError(f"nothing was signalled under {topic!r} within {timeout} s")
        return held[0]

    async def child(
        self,
        name: str,
        input: Any = None,
        *,
        queue: str | None = None,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> DurableChild:
        around = self._around
        full, function = around.resolve(name)
        attributes: dict[str, Any] = {LABELS: dict(labels or {}), QUEUE: queue}
        if queue is None:
            with SetWorkflowAttributes(attributes):
                handle = await DBOS.start_workflow_async(function, input)
            return DurableChild(around, handle.get_workflow_id())
        options: dict[str, Any] = {"priority": priority, "attributes": attributes, "id": None, "delay": 0.0}
        return DurableChild(around, await around.enqueue(full, input, self.organisation, queue, **options))

    async def write(self, stream: str, value: Any) -> None:
        await DBOS.write_stream_async(stream, [value])


class DurableChild:
    """Implements `penstock.kernel.journal.Child`."""

    def __init__(self, around: Surroundings, id: str) -> None:
        self.id = id
        self._around = around

    async def result(self) -> Any:
        # DBOS would ask the database for every child that is waited for, again and again; and would take a paused one for cancelled.
        # What it reads once the child has ended is journalled, so an execution that follows does not wait again.
        await self._around.endings.wait(self.id)
        try:
            return await DBOS.get_result_async(self.id)
        except StepFailed:
            raise
        except Exception as fault:  # DBOS's own words for a child that was cancelled or abandoned
            raise failure(describe(fault)) from fault


def unknown(name: str) -> NotFound:
    """The fault of asking for a run that nobody defined."""
    return NotFound(f"no run is defined under the name {name!r}", param="name")


def seconds(milliseconds: int | None) -> float | None:
    """Unix seconds of DBOS's milliseconds."""
    return None if milliseconds is None else milliseconds / 1e3
