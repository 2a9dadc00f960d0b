"""Evaluations that were made with Inspect AI come in, and ours go out as its logs."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any, cast

import msgspec

from penstock.kernel.errors import RequestError, Unavailable
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Files
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Judge
from penstock.quality import inspect_logs, store
from penstock.quality.datasets import Datasets
from penstock.quality.evaluations import Evaluations
from penstock.quality.examples import ROLES, Item, content
from penstock.quality.inspect_logs import Log, LogSample, Written
from penstock.quality.model import Evaluation, Score, Status, Terms
from penstock.quality.results import WHOLE
from penstock.quality.runs import Runs
from penstock.storage.records import Records

FILE_BYTES = 256 << 20


class Exchange:
    """Import and export."""

    def __init__(
        self, records: Records, datasets: Datasets, evaluations: Evaluations, runs: Runs, files: Callable[[], Files | None]
    ) -> None:
        self._records = records
        self._datasets = datasets
        self._evaluations = evaluations
        self._runs = runs
        self._files = files

    async def bring(self, principal: Principal, ids: Sequence[str], name: str) -> Evaluation:
        """An evaluation of logs in the room of files: their samples are its dataset, the model of each a candidate.

        Their scores are shown and compared like ours, and are no evidence for any task: who gave them was not seen here.
        """
        files = self._files()
        if files is None:
            raise Unavailable("there is no room for files in this house")
        logs: list[Log] = []
        digests: list[str] = []
        for id in ids:
            info = await files.get(principal.organisation, id)
            if info.size > FILE_BYTES:
                raise RequestError(f"{info.name}: larger than {FILE_BYTES} bytes", code="inspect_log_refused", param="files")
            data = b"".join([piece async for piece in files.read(principal.organisation, id)])
            logs.append(await asyncio.to_thread(inspect_logs.read, data))
            digests.append(info.digest)
        items, told = await asyncio.to_thread(merged, logs)
        first = logs[0].eval
        title = name or first.task or "inspect"
        safe = "".join(c if c.isalnum() or c in "_.-:/ " else "_" for c in str(first.dataset.get("name") or title)) or "inspect"
        provenance = {"source": "inspect", "task": first.task, "created": first.created, "file_digests": digests}
        dataset = await self._datasets.create(principal, safe, items, provenance)
        now = time.time()
        candidates = tuple(dict.fromkeys(log.eval.model for log in logs))
        scorer, judge = _judge(logs)
        evaluation = Evaluation(
            id=new_id("eval"),
            organisation=principal.organisation,
            key_id=principal.key_id,
            name=title,
            task=None,
            dataset=dataset.id,
            terms=Terms(candidates=candidates, judge=judge, origin="inspect"),
            status=Status.DONE,
            created_at=now,
            updated_at=now,
            started_at=now,
            ended_at=now,
            total=len(items) * len(candidates),
        )
        scores = _scores(evaluation, items, told, scorer)
        sums = {
            "done": len(scores),
            "failed": sum(one.state == "failed" for one in scores),
            "unjudged": sum(one.state == "unjudged" for one in scores),
        }
        evaluation = msgspec.structs.replace(evaluation, **sums)

        def write(connection: store.Connection) -> None:
            store.add(connection, evaluation)
            store.keep(connection, (), scores)

        await self._records.write(write)
        await self._runs.tell(evaluation.id)
        return await self._evaluations.get(principal.reach, evaluation.id)

    async def take(self, reach: str | None, id: str, candidate: str, *, eval: bool) -> bytes:
        """One candidate's answers as a log of Inspect AI."""
        evaluation = await self._evaluations.get(reach, id)
        if candidate not in evaluation.terms.candidates:
            raise RequestError(f"candidate: {candidate[:100]!r} is none of this evaluation's", param="candidate")
        dataset, items = await self._runs.items(evaluation)
        scores = await self._records.read(lambda c: store.scores(c, id, candidate=candidate))
        held = dict(items)
        written = [_sample(held[one.position], one) for one in scores if one.position in held]
        judge = scores[0].judge if scores else evaluation.terms.judge.kind
        return await asyncio.to_thread(
            inspect_logs.write,
            written,
            id=evaluation.id,
            task=evaluation.task or evaluation.name,
            dataset=dataset.name,
            model=candidate,
            scorer=judge.removeprefix("inspect:"),
            whole=evaluation.terms.judge.kind in WHOLE,
            began=evaluation.started_at or evaluation.created_at,
            ended=evaluation.ended_at or time.time(),
            eval=eval,
        )


Told = dict[tuple[str, str], list[LogSample]]
"""The samples of each model and item: one an epoch."""


def merged(logs: Sequence[Log]) -> tuple[list[Item], Told]:
    """The items of logs that belong together, and what each model said to each. `RequestError` where they do not."""
    items: dict[str, Item] = {}
    told: Told = defaultdict(list)
    for log in logs:
        for sample in log.samples or ():
            item = _item(sample)
            before = items.setdefault(item.id, item)
            if before.text != item.text:
                message = f"sample {item.id[:60]!r} asks something else in another of these logs"
                raise RequestError(message, code="inspect_log_refused", param="files")
            told[log.eval.model, item.id].append(sample)
    return list(items.values()), told


def _item(sample: LogSample) -> Item:
    given = sample.whole(sample.input)
    messages: str | list[dict[str, Any]] = given
    if isinstance(given, list):
        said = cast("list[dict[str, Any]]", given)
        messages = [{"role": one.get("role"), "content": content(one)} for one in said if one.get("role") in ROLES]
    target = sample.target if sample.target not in ("", []) else None
    groups = {key[:200]: value[:200] for key, value in sample.metadata.items() if isinstance(value, str) and key and value}
    choices = (sample.choices or [])[:26]
    return Item(
        id=str(sample.id)[:200],
        input=messages or "(no input)",
        target=target,
        choices=choices,
        groups=groups,
        metadata=sample.metadata,
    )


def _judge(logs: Sequence[Log]) -> tuple[str, Judge]:
    """The scorer that counts, the first of the first log, and the kind of our own that it is most like."""
    samples = [sample for log in logs for sample in log.samples or ()]
    scorer = next((name for sample in samples for name in sample.scores or {}), "none")
    if any(sample.epoch > 1 for sample in samples) or scorer not in inspect_logs.WHOLE:
        return scorer, Judge(kind="rubric", model=f"inspect:{scorer}")
    return scorer, Judge(kind="exact")


def _scores(evaluation: Evaluation, items: Sequence[Item], told: Told, scorer: str) -> list[Score]:
    made: list[Score] = []
    for position, item in enumerate(items):
        for candidate in evaluation.terms.candidates:
            samples = told.get((candidate, item.id))
            if not samples:
                continue
            values = [inspect_logs.value_of(found) for one in samples if one.scores and (found := one.scores.get(scorer)) is not None]
            given = [value for value in values if value is not None]
            first = samples[0]
            error = next((str(one.error.get("message", "error"))[:500] for one in samples if one.error), None)
            found = (first.scores or {}).get(scorer)
            output = first.output
            made.append(
                Score(
                    evaluation=evaluation.id,
                    position=position,
                    candidate=candidate,
                    item=item.id,
                    state="judged" if given else "failed" if error is not None else "unjudged",
                    # Several epochs of one sample are one answer: they are not independent of each other.
                    score=fmean(given) if given else None,
                    judge=f"inspect:{scorer}",
                    reason=(found.explanation or "")[:2000] if found is not None else "",
                    detail={"epochs": len(samples)} if len(samples) > 1 else {},
                    error="inspect_error" if error is not None and not given else None,
                    text=str(first.whole(output.completion)) if output is not None else "",
                    finish="",
                    call="",
                    cached=False,
                    cost=0,
                    judging_cost=0,
                    paid=0,
                    latency_ms=(first.working_time or first.total_time or 0.0) * 1e3,
                    input_tokens=output.usage.input_tokens if output is not None and output.usage is not None else 0,
                    output_tokens=output.usage.output_tokens if output is not None and output.usage is not None else 0,
                    at=evaluation.created_at,
                )
            )
    return made


def _sample(item: Item, score: Score) -> Written:
    targets = item.targets
    return Written(
        id=item.id,
        input=item.input,
        target=targets[0] if len(targets) == 1 else list(targets),
        choices=item.choices,
        metadata={**item.metadata, **({"groups": item.groups} if item.groups else {})},
        text=score.text,
        finish=score.finish,
        error=score.error,
        score=score.score,
        reason=score.reason,
        input_tokens=score.input_tokens,
        output_tokens=score.output_tokens,
        seconds=score.latency_ms / 1e3,
    )


__all__ = ["Exchange", "merged"]
