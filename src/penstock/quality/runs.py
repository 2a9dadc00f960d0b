"""What the journal executes: one evaluation in three steps: its answers, its results, its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from penstock.kernel.errors import NotFound, PenstockError, StepFailed
from penstock.kernel.journal import Retry, Run
from penstock.kernel.recall import Prices
from penstock.quality import store, working
from penstock.quality.asking import Asked, Asking
from penstock.quality.examples import Item
from penstock.quality.judging import Judging
from penstock.quality.model import ENDED, LIVE, Dataset, Evaluation, Status, Terms
from penstock.quality.purse import Purse
from penstock.quality.results import Results, results
from penstock.quality.settings import QualitySettings
from penstock.quality.treatment import findings
from penstock.quality.twins import Twin, twin
from penstock.quality.working import Working, drawn
from penstock.quality.writing import Writer
from penstock.storage.records import Records

_log = logging.getLogger("penstock.quality")

NAME = "evaluation"
QUEUE = "evaluations"
PATIENT = Retry(attempts=50, first_seconds=0.5, longest_seconds=60.0)
Finished = Callable[[Evaluation, Results], Awaitable[None]]


class Runs:
    """Executes evaluations. What other rooms provide is asked for when one runs. ``finished`` hears of each that has results."""

    def __init__(
        self,
        records: Records,
        settings: QualitySettings,
        writer: Writer,
        judging: Judging,
        asking: Callable[[], Asking],
        prices: Callable[[], Prices | None],
        finished: Finished,
    ) -> None:
        self._records = records
        self._settings = settings
        self._writer = writer
        self._judging = judging
        self._asking = asking
        self._prices = prices
        self._finished = finished
        self._working: dict[str, Working] = {}
        self.answers = {"judged": 0, "failed": 0, "unjudged": 0, "waiting": 0}
        self.cached = 0

    def cancel(self, id: str) -> None:
        """Have this process stop at once, if it works on it; another one does when it sees the status."""
        if id in self._working:
            self._working[id].cancel()

    async def execute(self, run: Run, input: Any) -> str:
        """The run's function; how the evaluation ended."""
        id: str = input["evaluation"]

        async def step(name: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
            return await run.step(name, _said(name, id, function), *args, retry=PATIENT)

        try:
            why = await step("answers", self._answers, id)
            await step("results", self.tell, id)
            return await step("close", self._close, id, why)
        except StepFailed as fault:
            return await step("fail", self._fail, id, f"{fault.step_code or fault.code}: {fault.message}")

    async def _get(self, id: str) -> Evaluation:
        found = await self._records.read(lambda c: store.get(c, None, id))
        if found is None:
            raise NotFound(f"evaluation {id} is gone")
        return found

    async def _change(self, id: str, **values: Any) -> Evaluation:
        values.setdefault("updated_at", time.time())
        changed = await self._records.write(lambda c: store.change(c, id, values, among=LIVE))
        return changed if changed is not None else await self._get(id)

    async def _answers(self, id: str) -> str:
        evaluation = await self._get(id)
        if evaluation.status in ENDED:
            return evaluation.why or working.DONE
        if evaluation.status is Status.CANCELLING:
            return working.CANCELLED
        terms, now = evaluation.terms, time.time()
        dataset, items = await self.items(evaluation)
        found, sums = await self._records.read(lambda c: store.standing(c, id))
        order = drawn(items, dataset.digest, terms.limit)
        twins = await asyncio.to_thread(_twins, terms, order)
        total = len(terms.candidates) * (len(order) + sum(len(each) for each in twins.values()))
        evaluation = await self._change(id, status=Status.RUNNING, started_at=evaluation.started_at or now, total=total)
        # What is kept from before this evaluation counts where it may; what it asked itself counts always.
        since = evaluation.created_at if terms.fresh else now - self._settings.keep_answers_days * 86_400
        asked = Asked(
            organisation=evaluation.organisation,
            key=evaluation.key_id,
            purse=Purse(terms.cap, sums["cost"], self._prices(), self._settings.answer_tokens),
            labels={"evaluation": id},
            task=evaluation.task,
            since=since,
            trial=True,
        )
        before = dict(sums)

        async def beat(now_at: dict[str, int], rate: float) -> Evaluation:
            self._count(before, now_at)
            before.update(now_at)
            return await self._change(id, **now_at, rate=rate)

        work = self._working[id] = Working(
            evaluation=evaluation,
            items=order,
            twins=twins,
            found=found,
            sums=sums,
            asking=self._asking(),
            asked=asked,
            grader=self._judging.grader(terms.judge, asked),
            writer=self._writer,
            beat=beat,
            most=2 * self._settings.max_in_flight,
        )
        try:
            return await work.run()
        finally:
            if self._working.get(id) is work:
                del self._working[id]

    def _count(self, before: dict[str, int], now: dict[str, int]) -> None:
        other = 0
        for state in ("failed", "unjudged", "waiting"):
            more = now[state] - before[state]
            self.answers[state] += more
            other += more
        self.answers["judged"] += now["done"] - before["done"] - other
        self.cached += now["cached"] - before["cached"]

    async def items(self, evaluation: Evaluation) -> tuple[Dataset, list[tuple[int, Item]]]:
        """The evaluation's dataset and its items. `NotFound` when it was deleted."""

        def read(connection: store.Connection) -> tuple[Dataset | None, list[tuple[int, Item]]]:
            found = store.dataset(connection, evaluation.organisation, evaluation.dataset)
            return found, store.items(connection, evaluation.dataset) if found is not None else []

        dataset, items = await self._records.read(read)
        if dataset is None:
            raise NotFound(f"the dataset {evaluation.dataset} is gone", param="dataset")
        return dataset, items

    async def tell(self, id: str) -> None:
        """Make the results of what there is, and keep them. Without the dataset, which may be deleted, there are no slices."""
        evaluation = await self._get(id)
        try:
            dataset, items = await self.items(evaluation)
            order = {position: at for at, (position, _) in enumerate(drawn(items, dataset.digest, None))}
        except NotFound:
            dataset, items, order = None, [], dict[int, int]()
        scores = await self._records.read(lambda c: store.scores(c, id))
        terms = evaluation.terms
        scores.sort(key=lambda one: order.get(one.position, len(order)))
        wanted = min(len(items), terms.limit or len(items))
        made = await asyncio.to_thread(results, terms, scores, {item.id: item for _, item in items}, wanted)
        if terms.bias is not None and items:
            asked = dict(drawn(items, dataset.digest if dataset is not None else "", terms.limit))
            twins = await self._records.read(lambda c: store.twins(c, id))
            bias = await asyncio.to_thread(findings, terms.bias, terms.candidates, scores, twins, asked)
            made = msgspec.structs.replace(made, bias=bias)
        elif terms.bias is not None:
            made = msgspec.structs.replace(made, notes=[*made.notes, "the dataset is deleted: twins cannot be compared with their items"])
        values = {"results": msgspec.Raw(msgspec.json.encode(made)), "updated_at": time.time()}
        changed = await self._records.write(lambda c: store.change(c, id, values))
        await self._finished(changed if changed is not None else evaluation, made)

    async def retell(self, reach: str | None) -> None:
        """Make the results anew of evaluations of which people have said something since."""
        for id in await self._records.read(lambda c: store.stale(c, reach)):
            await self.tell(id)

    async def _close(self, id: str, why: str) -> str:
        status = Status.DONE if why == working.DONE else Status.STOPPED
        told = "" if why == working.DONE else why
        return (await self._change(id, status=status, why=told, ended_at=time.time(), rate=0.0)).status.value

    async def _fail(self, id: str, why: str) -> str:
        return (await self._change(id, status=Status.FAILED, why=why, ended_at=time.time(), rate=0.0)).status.value


def _twins(terms: Terms, order: Sequence[tuple[int, Item]]) -> dict[int, dict[str, Item]]:
    """By position and attribute, the twins that are asked; the same ones each time."""
    if terms.bias is None:
        return {}
    made: dict[int, dict[str, Item]] = {}
    for position, item in order:
        for attribute in terms.bias.attributes:
            found = twin(item, attribute, terms.bias.keep)
            if isinstance(found, Twin):
                made.setdefault(position, {})[attribute] = found.item
    return made


def _said(name: str, id: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The function, whose failures are logged: each is tried again, and nobody would see why an evaluation does not move."""

    async def call(*args: Any) -> Any:
        try:
            return await function(*args)
        except PenstockError as fault:
            _log.warning(
                "a step of an evaluation failed", extra={"evaluation": id, "step": name, "fault": fault.message, "code": fault.code}
            )
            raise
        except Exception:  # a fault of ours, whose trace the operator needs
            _log.exception("a step of an evaluation failed", extra={"evaluation": id, "step": name})
            raise

    return call
