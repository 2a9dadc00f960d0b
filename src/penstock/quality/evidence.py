"""What is known of how well candidates do a task: the port `Evidence`, from evaluations, samples of live traffic, and people."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.kernel.evidence import Outcome, Sample
from penstock.kernel.tasks import Judge, Tasks
from penstock.quality import samples
from penstock.quality.sampling import Sampling
from penstock.storage.records import Records

BY_MODEL = frozenset({"rubric", "pairwise"})


def name_of(judge: Judge) -> str:
    """What the scores of this judge say of who gave them."""
    by = judge.model if judge.kind in BY_MODEL else judge.detector
    return f"{judge.kind}:{by}" if by else judge.kind


class Gathered:
    """`Evidence`. ``trusted`` says whether a judge's scores count for an organisation."""

    def __init__(
        self, records: Records, sampling: Sampling, tasks: Callable[[], Tasks | None], trusted: Callable[[str, Judge], bool]
    ) -> None:
        self._records = records
        self._sampling = sampling
        self._tasks = tasks
        self._trusted = trusted

    async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> Sequence[Outcome]:
        """See `Evidence.outcomes`. People's words go before a judge's on the same answer; a judge that is not trusted has no say."""
        tasks = self._tasks()
        found = tasks.find(organisation, task) if tasks is not None else None
        if found is None or found.judge is None:
            return []
        judge = found.judge
        name = name_of(judge) if self._trusted(organisation, judge) else ""

        def read(connection: samples.Connection) -> list[Outcome]:
            made = samples.of_evaluations(connection, organisation, task, name, since)
            for kept in samples.of_samples(connection, organisation, task, since):
                if kept.score is not None and kept.judge in (name, "human"):
                    made.append(samples.outcome_of(kept, kept.score, kept.judge))
            return made

        return sorted(await self._records.read(read), key=lambda one: one.at)

    def submit(self, sample: Sample) -> bool:
        """See `Evidence.submit`."""
        return self._sampling.submit(sample)


__all__ = ["BY_MODEL", "Gathered", "name_of"]
