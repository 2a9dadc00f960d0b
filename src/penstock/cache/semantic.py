"""The same question in other words: finding the nearest one that was answered, and learning from traffic how near is near enough."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from penstock.cache.index import Entry
from penstock.cache.neighbours import score
from penstock.cache.request import partition_of
from penstock.cache.sameness import answer_of
from penstock.cache.settings import CacheRule, CacheSettings
from penstock.cache.shelf import Shelf
from penstock.cache.wording import wording_of
from penstock.kernel.call import Call
from penstock.kernel.errors import PenstockError
from penstock.kernel.ids import new_id
from penstock.kernel.recall import Embedder, Replies, Seen

_log = logging.getLogger("penstock.cache")

TRAFFIC = "traffic"
MOST_PENDING = 64
"""Questions that may wait to be embedded after their call; further ones are not learned from, which is counted."""
LONGEST_QUESTION = 4_000
"""Characters: the local model reads about a thousand, and two long texts can differ behind what it reads."""


class Asked(msgspec.Struct, kw_only=True):
    """A question on its way: its place, its wording, and its vector once that is known."""

    text: str
    organisation: str
    task: str
    partition: bytes
    wording: bytes
    vector: bytes | None = None


class Semantic:
    """Looks among the questions of one partition. ``thresholds`` are those of the calibrations that hold, by organisation and task."""

    def __init__(self, embedder: Embedder, replies: Replies, shelf: Shelf, settings: CacheSettings, clock: Callable[[], float]) -> None:
        self._embedder = embedder
        self._replies = replies
        self._shelf = shelf
        self._audit = settings.audit
        self._clock = clock
        self._pending: set[asyncio.Task[None]] = set()
        self._failing = False
        self.thresholds: dict[tuple[str, str], float] = {}
        self.watched = self.unwatched = self.failed = self.audited = 0

    def ask(self, call: Call, apart: str) -> Asked | None:
        """The call's last question; None for what only an equal request may be answered with: no task, no text at the end, or too much."""
        who = call.principal
        if call.task is None or who is None:
            return None
        question = self._replies.question(call.shape, call.fields)
        if question is None or not question.text.strip() or len(question.text) > LONGEST_QUESTION:
            return None
        return Asked(
            text=question.text,
            organisation=who.organisation,
            task=call.task,
            partition=partition_of(call, apart, question.rest),
            wording=wording_of(question.text),
        )

    async def find(self, asked: Asked, rule: CacheRule) -> tuple[Entry, float] | None:
        """The entry that answers the question; None while the task is not calibrated, or none is near enough."""
        threshold = self.thresholds.get((asked.organisation, asked.task))
        if threshold is None or not await self._embed(asked) or asked.vector is None:
            return None
        near = self._shelf.index.nearest(asked.partition, asked.vector, self._clock())
        if near is None or score(*near[1:]) < threshold or (rule.wording and near[0].wording != asked.wording):
            return None
        if self._audit and random.random() < self._audit:
            self.audited += 1
            return None
        return near[0], near[1]

    def learn(self, asked: Asked, rule: CacheRule, entry: Entry, seen: Seen) -> None:
        """Take in what a provider answered: note whether the nearest question had the same answer, and let later ones find this one."""
        if seen.tools or not seen.text.strip():
            return
        if len(self._pending) >= MOST_PENDING:
            self.unwatched += 1
            return
        self._later(self._learn(asked, rule, entry, seen))

    async def settle(self) -> None:
        """Wait for what is being learned."""
        while self._pending:
            await asyncio.wait(self._pending)

    async def close(self) -> None:
        """Stop learning."""
        for task in self._pending:
            task.cancel()
        await self.settle()

    async def _learn(self, asked: Asked, rule: CacheRule, entry: Entry, seen: Seen) -> None:
        if not await self._embed(asked) or asked.vector is None:
            return
        index = self._shelf.index
        answer = answer_of(seen.text, rule.equality)
        near = index.nearest(asked.partition, asked.vector, self._clock())
        if near is not None and near[0].key != entry.key and near[0].embedder == self._embedder.id:
            earlier, similarity, other = near
            self.watched += 1
            self._shelf.note(
                pair_row(
                    asked.organisation,
                    asked.task,
                    TRAFFIC,
                    self._embedder.id,
                    similarity=similarity,
                    score=score(similarity, other),
                    worded=earlier.wording == asked.wording,
                    same=earlier.answer == answer,
                )
            )
        if entry.key in index:
            self._shelf.put(
                msgspec.structs.replace(
                    entry,
                    partition=asked.partition,
                    wording=asked.wording,
                    answer=answer,
                    vector=asked.vector,
                    embedder=self._embedder.id,
                )
            )

    async def _embed(self, asked: Asked) -> bool:
        if asked.vector is not None:
            return True
        try:
            (asked.vector,) = await self._embedder.embed([asked.text])
        except PenstockError as fault:
            self.failed += 1
            if not self._failing:
                _log.warning("questions cannot be compared", extra={"fault": fault.message, "code": fault.code})
            self._failing = True
            return False
        self._failing = False
        return True

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="cache learns")
        self._pending.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            _log.error("a question was not learned from", exc_info=fault)


def pair_row(
    organisation: str, task: str, source: str, embedder: str, *, similarity: float, score: float, worded: bool, same: bool, id: str = ""
) -> dict[str, object]:
    """A row of `cache_pairs`, with an id of its own unless one is given."""
    return {
        "id": id or new_id("pair"),
        "at": int(time.time() * 1000),
        "organisation": organisation,
        "task": task,
        "source": source,
        "embedder": embedder,
        "similarity": similarity,
        "score": score,
        "worded": worded,
        "same": same,
    }
