"""Answers and scores on their way to disk: whoever waits for one waits for a transaction that takes all which came meanwhile."""

from __future__ import annotations

import asyncio

from penstock.quality import store
from penstock.quality.model import Answer, Score, TwinScore
from penstock.storage.records import Records


class Writer:
    """Groups writes. An answer counts once `answer` returns, and a score once `score` does."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._answers: list[Answer] = []
        self._scores: list[Score] = []
        self._twins: list[TwinScore] = []
        self._next: asyncio.Future[None] | None = None
        self._busy: asyncio.Task[None] | None = None

    async def answer(self, answer: Answer) -> None:
        """Have an answer kept."""
        self._answers.append(answer)
        await self._written()

    async def score(self, score: Score) -> None:
        """Have a score kept."""
        self._scores.append(score)
        await self._written()

    async def twin(self, score: TwinScore) -> None:
        """Have the score of a twin kept."""
        self._twins.append(score)
        await self._written()

    async def _written(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        waiting = self._next
        if self._busy is None:
            self._busy = asyncio.create_task(self._write(), name="quality-writer")
        await asyncio.shield(waiting)

    async def _write(self) -> None:
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                answers, self._answers = self._answers, []
                scores, self._scores = self._scores, []
                twins, self._twins = self._twins, []

                def write(c: store.Connection, a: list[Answer] = answers, s: list[Score] = scores, t: list[TwinScore] = twins) -> None:
                    store.keep(c, a, s)
                    store.keep_twins(c, t)

                try:
                    await self._records.write(write)
                except BaseException as fault:  # whoever waits is told, whatever it is
                    if not waiting.done():
                        waiting.set_exception(fault)
                        waiting.exception()  # told even where nobody waits any more
                    if not isinstance(fault, Exception):
                        raise
                else:
                    if not waiting.done():
                        waiting.set_result(None)
        finally:
            self._busy = None
