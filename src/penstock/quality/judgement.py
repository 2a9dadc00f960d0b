"""The judging of samples: a durable run for each organisation that has any, beside everything else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from penstock.kernel.errors import JournalInUse, JournalUnavailable, PenstockError, Unauthenticated
from penstock.kernel.events import Events
from penstock.kernel.evidence import Judged
from penstock.kernel.journal import Journal, Queue, Retry, Run
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.tasks import Judge, Task, Tasks
from penstock.quality import samples
from penstock.quality.asking import Asked, OutOfMoney
from penstock.quality.evidence import name_of
from penstock.quality.graders import Grade, Grader
from penstock.quality.judging import Judging
from penstock.quality.purse import Purse
from penstock.quality.samples import Kept, outcome_of
from penstock.quality.sampling import item_of
from penstock.storage.records import Records

_log = logging.getLogger("penstock.quality")

NAME = "judge-samples"
QUEUE = "samples"
AT_ONCE = 16
ROUND = 200
KEY = "quality"
"""What stands in a call's key where no key made it: samples are judged for the organisation, whoever's call it was."""
PATIENT = Retry(attempts=20, first_seconds=0.5, longest_seconds=60.0)


class Judgement:
    """Starts and executes the runs. ``trusted`` says whether a judge's scores count, which decides whether they are published."""

    def __init__(
        self,
        records: Records,
        judging: Judging,
        events: Events,
        journal: Callable[[], Journal],
        tasks: Callable[[], Tasks | None],
        trusted: Callable[[str, Judge], bool],
    ) -> None:
        self._records = records
        self._judging = judging
        self._events = events
        self._journal = journal
        self._tasks = tasks
        self._trusted = trusted
        self._begun: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def open(self, journal: Journal) -> None:
        """Tell the journal what judging is."""
        journal.define(NAME, self.execute)
        journal.declare(Queue(name=QUEUE, tenant_concurrency=1))

    async def wake(self, organisations: set[str], *, again: str = "") -> None:
        """Have their samples judged. Where there is no journal they wait, and the metrics show it."""
        for organisation in organisations:
            found = await self._records.read(lambda c, o=organisation: samples.queued(c, o, 1))
            # A run goes on until nothing is queued; it is named by the first that it finds.
            key = f"samples/{found[0].id}{again}" if found else ""
            if not found or self._begun.get(organisation) == key:
                continue
            try:
                await self._journal().start(NAME, {"organisation": organisation}, organisation=organisation, queue=QUEUE, key=key)
                self._begun[organisation] = key
            except JournalInUse:
                continue  # whoever works on the journal looks for what is queued within seconds
            except JournalUnavailable as fault:
                _log.warning("samples wait to be judged", extra={"fault": fault.message, "code": fault.code})

    async def take_up(self) -> None:
        """Go on with what a dead process or a run that failed has left."""
        await self.wake(set(await self._records.read(samples.owing)), again=f"/{int(time.time() / 600)}")

    async def execute(self, run: Run, input: Any) -> int:
        """The run's function; how many were judged."""
        organisation: str = input["organisation"]
        done, more = 0, True
        while more:
            told = await run.step("judge", self._round, organisation, retry=PATIENT)
            done, more = done + told["judged"], told["more"]
        return done

    async def _round(self, organisation: str) -> dict[str, Any]:
        """Judge some; those are settled one by one, so a round that is done again finds only the rest."""
        found = await self._records.read(lambda c: samples.queued(c, organisation, ROUND))
        places = asyncio.Semaphore(AT_ONCE)
        graders: dict[str, Grader | str] = {}
        settled = await asyncio.gather(*(self._one(one, graders, places) for one in found))
        return {"judged": sum(settled), "more": any(settled)}

    async def _one(self, kept: Kept, graders: dict[str, Grader | str], places: asyncio.Semaphore) -> bool:
        async with places:
            tasks = self._tasks()
            task = tasks.find(kept.organisation, kept.task) if tasks is not None else None
            if task is None or task.judge is None:
                return await self._settle(kept, Grade(state="unjudged", reason="the task, or its judge, is gone"), "", None)
            grader = graders.get(kept.task)
            if grader is None:
                grader = graders[kept.task] = self._grader(kept.organisation, task)
            if isinstance(grader, str):
                return await self._settle(kept, Grade(state="unjudged", reason=grader), task.judge.kind, task)
            against: str | None = None
            if grader.compares:
                if kept.candidate == task.default:
                    against = kept.answer
                else:
                    against = await self._records.read(lambda c: samples.beside(c, kept.item, task.default))
            try:
                grade = await grader.grade(item_of(kept), kept.answer, against)
            except (OutOfMoney, Unauthenticated) as fault:
                grade = Grade(state="unjudged", reason=str(fault)[:200])
            return await self._settle(kept, grade, grade.judge or grader.name, task)

    def _grader(self, organisation: str, task: Task) -> Grader | str:
        """The grader, paid by whose samples they are (a shared task is another's); why there is none, where the judge lacks something."""
        assert task.judge is not None
        asked = Asked(
            organisation=organisation,
            key=KEY,
            principal=Principal(key_id=KEY, name="judging of samples", organisation=organisation, scopes=frozenset({Scope.CALL})),
            purse=Purse(None, 0, None, 1),
            labels={"task": task.name},
            task=task.name,
            since=0.0,
        )
        try:
            return self._judging.grader(task.judge, asked)
        except PenstockError as fault:
            return fault.message

    async def _settle(self, kept: Kept, grade: Grade, judge: str, task: Task | None) -> bool:
        values = {
            "state": grade.state,
            "score": grade.score,
            "judge": judge,
            "reason": grade.reason,
            "judging_cost": grade.cost,
            "judged_at": time.time(),
            "model_score": grade.score,
            "model_judge": judge if grade.score is not None else "",
        }
        mine = await self._records.write(lambda c: samples.settle(c, kept.id, values))
        if not mine:
            return False  # a person was faster
        self.counts[grade.state] += 1
        asked = task.judge if task is not None else None
        # What another judged in the place of the one that the task asks for is kept, and is no evidence.
        counts = asked is not None and judge == name_of(asked) and self._trusted(kept.organisation, asked)
        if grade.score is not None and counts:
            self._events.publish(Judged(organisation=kept.organisation, task=kept.task, outcome=outcome_of(kept, grade.score, judge)))
        return True


__all__ = ["Judgement"]
