"""Hedging: a second attempt for a call whose first is slow to begin; the sooner answer counts and the other is dropped.

What the dropped attempt cost at its provider is not known to us: vendors may bill a call that was cut off. Hence opt in, per model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penstock.kernel.call import Call, Reply, Target

LOST = ("another attempt was sooner",)
"""Arguments of the cancellation that the slower attempt gets, by which it knows why."""

Served = tuple[Reply, Target | None, int]


async def race(call: Call, first: Callable[[], Awaitable[Reply]], second: Callable[[], Awaitable[Reply | None]], seconds: float) -> Reply:
    """The reply of ``first``, or of ``second`` when ``first`` has not begun to answer after ``seconds`` and ``second`` does sooner.

    ``second`` gives None when there is nobody to ask. A failure of one waits for the other; two failures raise the first's. Cancelled, it
    cancels both. The call's target is the winner's.
    """
    answers = 0

    async def watched(walk: Callable[[], Awaitable[Reply | None]]) -> Served | None:
        nonlocal answers
        reply = await walk()
        answers += 1
        return (reply, call.target, answers) if reply is not None else None

    tasks = [asyncio.ensure_future(watched(first))]
    winner: asyncio.Task[Served | None] = tasks[0]
    try:
        await asyncio.wait(tasks, timeout=seconds)
        if not winner.done():
            tasks.append(asyncio.ensure_future(watched(second)))
            waiting = set(tasks)
            while waiting and not any(_served(task) for task in tasks):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            # Of two that have answered the later counts: what they left on the call, its usage, is the later one's.
            winner = max(
                (task for task in tasks if _served(task)), key=lambda task: (_served(task) or (None, None, 0))[2], default=tasks[0]
            )
        served = await winner
        assert served is not None
        reply, call.target, _ = served
        return reply
    finally:
        for task in tasks:
            if task is not winner or not task.done():
                await _drop(task)


def _served(task: asyncio.Task[Served | None]) -> Served | None:
    return task.result() if task.done() and not task.cancelled() and task.exception() is None else None


async def _drop(task: asyncio.Task[Served | None]) -> None:
    task.cancel(*LOST)
    await asyncio.wait({task})
    served = _served(task)
    chunks = served[0].chunks if served is not None else None
    if chunks is not None:
        await anext(chunks, None)  # a generator that was never begun runs nothing of its own when it is closed
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()
