from __future__ import annotations

import asyncio
from typing import Any

from penstock.gateway.watch import Watch


class Protocol:
    """A connection whose client leaves when told."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def client_disconnect(self) -> None:
        await self.left.wait()


def entered(watch: Watch, protocol: Any) -> Any:
    return watch.enter(protocol, asyncio.get_running_loop())


async def test_a_call_whose_client_leaves_is_cancelled() -> None:
    watch, protocol = Watch(body_seconds=30), Protocol()
    opened: list[Any] = []

    async def call() -> None:
        opened.append(entered(watch, protocol))
        opened[0].reading = False
        await asyncio.Event().wait()

    task = asyncio.create_task(call())
    while not opened or opened[0].watcher is None:
        await asyncio.sleep(0)
    protocol.left.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (opened[0].gone, opened[0].late) == (True, False)


async def test_a_body_that_takes_too_long_cancels_the_call_as_late() -> None:
    watch = Watch(body_seconds=0.03)
    opened: list[Any] = []

    async def call() -> None:
        opened.append(entered(watch, Protocol()))
        await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.wait([task])
    assert task.cancelled()
    assert (opened[0].gone, opened[0].late) == (False, True)


async def test_nobody_is_watched_once_the_answer_is_decided_or_the_call_is_over() -> None:
    watch, protocol = Watch(body_seconds=30), Protocol()
    over = asyncio.Event()
    opened: list[Any] = []

    async def call() -> str:
        opened.append(entered(watch, protocol))
        opened[0].reading = False
        while opened[0].watcher is None:
            await asyncio.sleep(0)
        watch.rest(opened[0])
        over.set()
        protocol.left.set()
        await asyncio.sleep(0)
        watch.leave(opened[0])
        watch.leave(opened[0])
        return "answered"

    task = asyncio.create_task(call())
    await over.wait()
    assert watch.tasks() == {task}
    assert await task == "answered"
    assert watch.tasks() == set()


async def test_the_sweep_rests_when_no_call_is_open_and_begins_again() -> None:
    watch = Watch(body_seconds=30)
    for _ in range(2):
        opened = entered(watch, Protocol())
        assert watch._sweeping
        watch.leave(opened)
        while watch._sweeping:
            await asyncio.sleep(0)
