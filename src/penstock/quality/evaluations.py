"""What can be done with evaluations."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Sequence

from penstock.kernel.errors import Conflict, JournalUnavailable, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.journal import ENDED as RUN_ENDED
from penstock.kernel.journal import Journal
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Task, Tasks
from penstock.quality import slices, store
from penstock.quality.asking import Asked
from penstock.quality.datasets import Datasets
from penstock.quality.judging import Judging
from penstock.quality.model import ENDED, LIVE, Evaluation, Score, Status, Terms, Wanted
from penstock.quality.purse import Purse
from penstock.quality.runs import NAME, QUEUE, Runs
from penstock.storage.records import Records

_log = logging.getLogger("penstock.quality")

TAKEN = frozenset({"model", "messages", "stream", "n", "tools", "metadata", "store"})
"""Fields of a request that are not an evaluation's to set."""
STALE_SECONDS = 30.0
"""An evaluation that goes on and was not touched for so long may have lost its run (somebody cancelled it): that is looked into."""


class Evaluations:
    """Makes, shows, stops and deletes evaluations. ``reach`` is `Principal.reach` everywhere."""

    def __init__(
        self,
        records: Records,
        datasets: Datasets,
        runs: Runs,
        judging: Judging,
        journal: Callable[[], Journal],
        tasks: Callable[[], Tasks | None],
    ) -> None:
        self._records = records
        self._datasets = datasets
        self._runs = runs
        self._judging = judging
        self._journal = journal
        self._tasks = tasks

    def check(self, principal: Principal, terms: Terms) -> None:
        """Raise `RequestError` for what cannot be done, before anything is kept."""
        names = terms.candidates
        if len(set(names)) < len(names):
            raise RequestError("candidates: one stands there twice", param="candidates")
        if terms.reference is not None and terms.reference not in names:
            raise RequestError(f"reference: {terms.reference!r} is not among the candidates", param="reference")
        floor = terms.floor
        if floor is not None and floor.kind == "relative":
            if floor.reference is not None and floor.reference not in names:
                raise RequestError(f"floor.reference: {floor.reference!r} is not among the candidates", param="floor.reference")
            if floor.reference is None and terms.reference is None:
                raise RequestError("floor: a relative one needs a reference among the candidates", param="floor.reference")
        for kind in (*(one.by for one in terms.slices), *terms.by):
            if not slices.known(kind):
                raise RequestError(f"by: {kind[:60]!r} is none of {', '.join(slices.KINDS)}, label:NAME", param="by")
        taken = TAKEN.intersection(terms.params)
        if taken:
            raise RequestError(f"params: {', '.join(sorted(taken))} cannot be set here", param="params")
        if terms.bias is not None:
            if len(set(terms.bias.attributes)) < len(terms.bias.attributes):
                raise RequestError("bias.attributes: one stands there twice", param="bias.attributes")
            if terms.judge.kind in ("human", "outcome"):
                raise RequestError("bias: needs a judge that scores by itself; twins are shown to nobody", param="bias")
            if importlib.util.find_spec("numpy") is None:
                raise RequestError("bias: needs numpy: pip install 'penstock[quality]'", param="bias")
        for name in names:
            if not principal.may_use_model(name):
                raise RequestError(f"candidates: this key may not use {name!r}", param="candidates")
        self._judging.grader(terms.judge, Asked(organisation="", key="", purse=Purse(None, 0, None, 1), labels={}))

    def terms(self, principal: Principal, wanted: Wanted) -> Terms:
        """What is wanted, with what the task declares where it is silent. `NotFound` without such a task."""
        task: Task | None = None
        if wanted.task is not None:
            if not principal.may_use_task(wanted.task):
                raise RequestError(f"task: this key may not use {wanted.task!r}", param="task")
            tasks = self._tasks()
            task = tasks.find(principal.organisation, wanted.task) if tasks is not None else None
            if task is None:
                raise NotFound(f"there is no task {wanted.task!r}", param="task")
        judge = wanted.judge or (task.judge if task is not None else None)
        if judge is None:
            raise RequestError("judge: say how answers are judged, or name a task that does", param="judge")
        candidates = wanted.candidates or (tuple(dict.fromkeys((*task.candidates, task.default))) if task is not None else ())
        if not candidates:
            raise RequestError("candidates: name at least one model, or a task that does", param="candidates")
        floor = wanted.floor or (task.floor if task is not None else None)
        reference = wanted.reference or (floor.reference if floor is not None else None)
        if reference is None and task is not None and task.default in candidates:
            reference = task.default
        return Terms(
            candidates=candidates,
            judge=judge,
            reference=reference,
            floor=floor,
            slices=wanted.slices or (task.slices if task is not None else ()),
            by=wanted.by,
            params=wanted.params,
            system=wanted.system,
            cap=wanted.cap,
            limit=wanted.limit,
            fresh=wanted.fresh,
            bias=wanted.bias,
        )

    async def create(self, principal: Principal, wanted: Wanted) -> Evaluation:
        """An evaluation that is worked on in the background."""
        terms, task = self.terms(principal, wanted), wanted.task
        self.check(principal, terms)
        found = await self._datasets.find(principal, wanted.dataset)
        await self._journal().ready()
        now = time.time()
        evaluation = Evaluation(
            id=new_id("eval"),
            organisation=principal.organisation,
            key_id=principal.key_id,
            name=wanted.name or task or found.name,
            task=task,
            dataset=found.id,
            terms=terms,
            status=Status.QUEUED,
            created_at=now,
            updated_at=now,
            total=min(found.items, terms.limit or found.items) * len(terms.candidates),
        )
        await self._records.write(lambda c: store.add(c, evaluation))
        try:
            await self._start(evaluation)
        except JournalUnavailable:
            await self._records.write(lambda c: store.remove(c, evaluation.id))
            raise
        return evaluation

    async def _start(self, evaluation: Evaluation, *, again: str = "") -> str:
        """Start the evaluation's run; one that was started already is left as it is."""
        return await self._journal().start(
            NAME,
            {"evaluation": evaluation.id},
            organisation=evaluation.organisation,
            queue=QUEUE,
            key=evaluation.id + again,
            labels={"evaluation": evaluation.id},
        )

    async def get(self, reach: str | None, id: str) -> Evaluation:
        """One evaluation."""
        found = await self._records.read(lambda c: store.get(c, reach, id))
        if found is None:
            raise NotFound(f"there is no evaluation {id[:100]!r}", param="id")
        if found.status in LIVE and time.time() - found.updated_at > STALE_SECONDS:
            return await self._mend(found)
        if found.results is None and found.status in (Status.DONE, Status.STOPPED):
            await self._runs.tell(id)
            return await self._records.read(lambda c: store.get(c, reach, id)) or found
        return found

    async def list(self, reach: str | None, *, task: str | None = None, below: str | None = None, limit: int = 50) -> list[Evaluation]:
        """Evaluations, newest first."""
        return await self._records.read(lambda c: store.listed(c, reach, task=task, below=below, limit=limit))

    async def answers(
        self, reach: str | None, id: str, *, after: int = -1, limit: int = 50, candidate: str | None = None, state: str | None = None
    ) -> Sequence[Score]:
        """The answers to ``limit`` items behind position ``after``, side by side."""
        await self.get(reach, id)
        return await self._records.read(lambda c: store.scores(c, id, after=after, limit=limit, candidate=candidate, state=state))

    async def cancel(self, reach: str | None, id: str) -> Evaluation:
        """Stop it: what is done stays done. `Conflict` when it has ended; once more does nothing."""
        found = await self.get(reach, id)
        if found.status in ENDED:
            raise Conflict(f"evaluation {id} is {found.status.value} and cannot be cancelled", param="id")
        values = {"status": Status.CANCELLING, "updated_at": time.time()}
        among = frozenset({Status.QUEUED, Status.RUNNING})
        changed = await self._records.write(lambda c: store.change(c, id, values, among=among))
        self._runs.cancel(id)
        return changed if changed is not None else await self.get(reach, id)

    async def delete(self, reach: str | None, id: str) -> None:
        """Delete an evaluation that has ended, with its answers. `Conflict` while it goes on."""
        found = await self.get(reach, id)
        if found.status not in ENDED:
            raise Conflict(f"evaluation {id} goes on; cancel it first", param="id")
        await self._records.write(lambda c: store.remove(c, id))

    async def take_up(self) -> None:
        """See that every evaluation that goes on has its run; for one whose process died between the two."""
        for one in await self._records.read(lambda c: store.listed(c, None, among=LIVE, limit=10_000)):
            await self._start(one)

    async def _mend(self, evaluation: Evaluation) -> Evaluation:
        """One without news: where its run has ended without it, it has ended too, with the results of what is done."""
        run = await self._start(evaluation)
        if (await self._journal().get(None, run)).state not in RUN_ENDED:
            return evaluation
        values = {"status": Status.CANCELLING, "updated_at": time.time()}
        changed = await self._records.write(lambda c: store.change(c, evaluation.id, values, among=LIVE))
        await self._start(evaluation, again=f"/{int(evaluation.updated_at)}")
        _log.warning("the run of an evaluation was ended from outside", extra={"evaluation": evaluation.id, "run": run})
        return changed or evaluation


__all__ = ["Evaluations"]
