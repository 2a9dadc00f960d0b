"""The answers of one evaluation, many in flight at once, until all are there or something ends it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from penstock.kernel.errors import Unauthenticated
from penstock.quality.asking import Asked, Asking, OutOfMoney, Said
from penstock.quality.examples import Item
from penstock.quality.graders import Grade, Grader
from penstock.quality.model import Evaluation, Score, Status, TwinScore
from penstock.quality.purse import CapReached
from penstock.quality.writing import Writer

DONE, CANCELLED, CAP, BUDGET, KEY = "done", "cancelled", "cap", "budget", "key"
"""Why work on an evaluation ended."""
BEAT = 0.5
"""Seconds between two looks at the evaluation, at which its progress is written."""
GRACE = 30.0
"""Seconds that calls in flight have when the work ends early, since they are paid for already."""

Beat = Callable[[dict[str, int], float], Awaitable[Evaluation]]


class Working:
    """One execution of an evaluation. ``found`` are the answers there are, by position, candidate and attribute; they are left alone.

    ``twins`` are the counterfactual twins of an item by their attributes, which are asked behind it; the item itself has none ("").
    """

    def __init__(
        self,
        evaluation: Evaluation,
        items: Sequence[tuple[int, Item]],
        twins: Mapping[int, Mapping[str, Item]],
        found: set[tuple[int, str, str]],
        sums: dict[str, int],
        asking: Asking,
        asked: Asked,
        grader: Grader,
        writer: Writer,
        beat: Beat,
        most: int,
    ) -> None:
        self._evaluation = evaluation
        self._items = items
        self._twins = twins
        self._found = found
        self.sums = sums
        self._asking = asking
        self._asked = asked
        self._grader = grader
        self._writer = writer
        self._beat = beat
        self._most = most
        self._why: str | None = None
        self._fault: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()

    async def run(self) -> str:
        """Work; why it ended. What has an answer and a grade is on disk, whatever happens."""
        beating = asyncio.create_task(self._watch())
        try:
            for position, item in self._items:
                while len(self._tasks) >= self._most and self._why is None:
                    await self._wait()
                if self._why is not None:
                    break
                task = asyncio.create_task(self._item(position, item))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            while self._tasks and self._why is None:
                await self._wait()
            if self._tasks and self._fault is None:
                await asyncio.wait(self._tasks, timeout=GRACE)
        finally:
            beating.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(beating, *self._tasks, return_exceptions=True)
        if self._fault is not None:
            raise self._fault
        await self._beat(self.sums, 0.0)
        return self._why or DONE

    def cancel(self) -> None:
        """Begin nothing more, at once and not only when the next beat sees that it is wanted."""
        self._end(CANCELLED)

    async def _wait(self) -> None:
        self._room.clear()
        await self._room.wait()

    async def _item(self, position: int, item: Item) -> None:
        """One item and its twins behind it, so that what ended early has both sides."""
        await self._side(position, "", item)
        for attribute, twin in self._twins.get(position, {}).items():
            await self._side(position, attribute, twin)

    async def _side(self, position: int, attribute: str, item: Item) -> None:
        """All candidates' answers to one question, side by side, so that what ended early can still be compared."""
        terms = self._evaluation.terms
        missing = [one for one in terms.candidates if (position, one, attribute) not in self._found]
        if not missing:
            return
        against: str | None = None
        if self._grader.compares and terms.reference is not None:
            said = await self._ask(item, terms.reference)
            against = said.text if said.error is None else None
            if terms.reference in missing:
                missing.remove(terms.reference)
                await self._keep(position, attribute, item, terms.reference, said, against)
        # No group that cancels: what is in flight beside a question that ends the work is paid for already.
        ended = await asyncio.gather(*(self._one(position, attribute, item, one, against) for one in missing), return_exceptions=True)
        for fault in ended:
            if fault is not None:
                raise fault

    async def _one(self, position: int, attribute: str, item: Item, candidate: str, against: str | None) -> None:
        await self._keep(position, attribute, item, candidate, await self._ask(item, candidate), against)

    async def _ask(self, item: Item, candidate: str) -> Said:
        terms = self._evaluation.terms
        labels = {**self._asked.labels, "item": item.id}
        asked = msgspec.structs.replace(self._asked, labels=labels)
        return await self._asking.ask(asked, candidate, item.messages(terms.system), terms.params)

    async def _keep(self, position: int, attribute: str, item: Item, candidate: str, said: Said, against: str | None) -> None:
        if said.error is not None:
            grade = Grade(state="unjudged", reason=said.message)
        elif self._grader.compares and against is None and self._evaluation.terms.reference is not None:
            grade = Grade(state="unjudged", reason="the reference did not answer")
        else:
            grade = await self._grader.grade(item, said.text, against)
        if attribute:
            twin = TwinScore(
                evaluation=self._evaluation.id,
                position=position,
                candidate=candidate,
                attribute=attribute,
                state="failed" if said.error is not None else grade.state,
                score=grade.score,
                reason=grade.reason,
                error=said.error,
                call=said.call,
                cached=said.cached,
                judging_cost=grade.cost,
                paid=said.paid + grade.paid,
                at=time.time(),
            )
            await self._writer.twin(twin)
            self._count(twin)
            return
        score = Score(
            evaluation=self._evaluation.id,
            position=position,
            candidate=candidate,
            item=item.id,
            state="failed" if said.error is not None else grade.state,
            score=grade.score,
            judge=grade.judge or self._grader.name,
            reason=grade.reason,
            detail=dict(grade.detail),
            error=said.error,
            text=said.text,
            finish=said.finish,
            call=said.call,
            cached=said.cached,
            cost=said.cost,
            judging_cost=grade.cost,
            paid=said.paid + grade.paid,
            latency_ms=said.latency_ms,
            input_tokens=said.input_tokens,
            output_tokens=said.output_tokens,
            at=time.time(),
            answered_by=said.answered_by,
            version=said.version,
        )
        await self._writer.score(score)
        self._count(score)

    def _count(self, score: Score | TwinScore) -> None:
        sums = self.sums
        sums["done"] += 1
        sums["cached"] += score.cached
        sums["cost"] += score.paid
        sums["judging_cost"] += score.judging_cost
        if score.state != "judged":
            sums[score.state] += 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.set()
        if task.cancelled() or (fault := task.exception()) is None:
            return
        match fault:
            case CapReached():
                self._end(CAP)
            case OutOfMoney():
                self._end(BUDGET)
            case Unauthenticated():
                self._end(KEY)
            case _:
                self._fault = self._fault or fault
                self._end("fault")

    def _end(self, why: str) -> None:
        if self._why is None:
            self._why = why
        self._asked.purse.close()
        self._room.set()

    async def _watch(self) -> None:
        began, before, rate = time.monotonic(), self.sums["done"], 0.0
        try:
            while True:
                await asyncio.sleep(BEAT)
                now = time.monotonic()
                weight = min(1.0, (now - began) / 10.0) if rate else 1.0
                rate += ((self.sums["done"] - before) / max(now - began, 1e-3) - rate) * weight
                began, before = now, self.sums["done"]
                if (await self._beat(self.sums, rate)).status is Status.CANCELLING:
                    self._end(CANCELLED)
        except Exception as fault:  # the work must not go on unwatched; the step fails with what was wrong and is tried again
            self._fault = self._fault or fault
            self._end("fault")


def drawn(items: Sequence[tuple[int, Item]], digest: str, limit: int | None) -> list[tuple[int, Item]]:
    """The items in an order that is drawn by the dataset's digest, at most ``limit``: what ends early is still a sample of all."""
    order = sorted(items, key=lambda pair: hashlib.sha256(f"{digest}/{pair[0]}".encode()).digest())
    return order if limit is None else order[:limit]


__all__ = ["BUDGET", "CANCELLED", "CAP", "DONE", "KEY", "Working", "drawn"]
