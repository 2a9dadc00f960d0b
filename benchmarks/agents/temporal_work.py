"""The comparison's runs in Temporal's words, without its sandbox, which would only slow them down here."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow

LAPS: list[float] = []
"""When each activity ran; worker and contestant are one process."""
MINUTE = timedelta(minutes=1)


@activity.defn
async def one_more(value: int) -> int:
    LAPS.append(time.perf_counter())
    return value + 1


@activity.defn
async def model(messages: list[str]) -> str:
    return messages[0]


@activity.defn
async def tool(said: str) -> str:
    return said


@workflow.defn(sandboxed=False)
class Steps:
    """Activities, one after the other."""

    @workflow.run
    async def run(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = await workflow.execute_activity(one_more, value, start_to_close_timeout=MINUTE)
        return value


@workflow.defn(sandboxed=False)
class Fan:
    """Children at once."""

    @workflow.run
    async def run(self, count: int) -> int:
        return sum(await asyncio.gather(*(workflow.execute_child_workflow(Steps.run, 1, id=f"child-{n}") for n in range(count))))


@workflow.defn(sandboxed=False)
class Talk:
    """An agent whose model is given all that was said."""

    @workflow.run
    async def run(self, given: list[Any]) -> int:
        turns, said = given
        messages: list[str] = [said]
        for _ in range(turns):
            messages.append(await workflow.execute_activity(model, messages, start_to_close_timeout=MINUTE))
            messages.append(await workflow.execute_activity(tool, said, start_to_close_timeout=MINUTE))
        return sum(map(len, messages))


WORKFLOWS: list[Any] = [Steps, Fan, Talk]
ACTIVITIES: list[Any] = [one_more, model, tool]
