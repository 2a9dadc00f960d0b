"""Watches every task with live samples, from the table of samples: what has changed is written down once, with its evidence."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from penstock.kernel.errors import Conflict, NotFound, PenstockError
from penstock.kernel.ids import new_id
from penstock.kernel.measures import Mark
from penstock.kernel.ports import Metric
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Embedder
from penstock.kernel.rounds import each
from penstock.quality.drift import store
from penstock.quality.drift.features import FEATURES
from penstock.quality.drift.store import Baseline, Changed, Task
from penstock.quality.drift.watched import Change, Watched
from penstock.quality.drift.windows import windows
from penstock.quality.samples import Kept
from penstock.quality.settings import QualitySettings
from penstock.storage.records import Records

BATCH = 500
MOST_CALLS = 6000
"""Calls that a watch remembers; after so many without a change the last of them become the reference."""
MOST_DRIFTING = 2 * MOST_CALLS
"""Calls after which a task that has changed is observed no more until somebody accepts it, so that memory has an end."""
EMBEDDED, MOST_EMBEDDED = 64, 512
"""Prompts that are embedded at once, and in one look at a task; more of its calls wait for the next look, so that cores stay free."""
EMBED_AGAIN_SECONDS = 600.0
"""After how long a model that could not embed is asked again."""
LATE_SECONDS = 120.0
"""For how long a call may take, and its sample come behind those of later ones, and still be observed."""
TITLES = {feature.name: feature.title for feature in FEATURES}


class Keeper:
    """Holds a `Watched` for each task; `look` brings them up to date."""

    def __init__(
        self, records: Records, settings: QualitySettings, embedder: Callable[[], Embedder | None], clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._settings = settings
        self._embedder = embedder
        self._clock = clock
        self._watched: dict[Task, Watched] = {}
        self._turn = asyncio.Lock()
        self.counts: Counter[str] = Counter()
        self.unembedded = ""
        """Why prompts have no embeddings; empty where they have."""
        self._embed_again = 0.0

    def of(self, reach: str | None) -> list[Watched]:
        """The tasks of an organisation, or all, that are watched; those that changed first."""
        found = [one for one in self._watched.values() if reach in (None, one.organisation)]
        return sorted(found, key=lambda one: (not one.changes, not one.ready, one.task, one.organisation))

    def find(self, reach: str | None, task: str, organisation: str = "") -> Watched:
        """One of them; for who sees several organisations, of the one that is named. Raises `NotFound`."""
        for one in self.of(reach):
            if one.task == task and organisation in ("", one.organisation):
                return one
        raise NotFound(f"no live calls of a task {task[:100]!r} were sampled, so nothing watches it", param="task")

    async def look(self) -> None:
        """Observe what has come since the last look: of each task, whatever becomes of the others."""
        async with self._turn:
            there, begun = await self._records.read(lambda c: (store.tasks(c), store.baselines(c)))
            for task in [task for task in self._watched if task not in there]:
                del self._watched[task]

            async def one(task: Task) -> None:
                baseline = begun.get(task)
                watched = self._watched.get(task)
                if watched is None or watched.baseline != (baseline.id if baseline is not None else ""):
                    watched = self._watched[task] = self._begin(task, baseline)
                await self._write_down(watched)  # what could not be written when it was found
                if resting(watched):
                    return
                if not watched.seen or there[task] > watched.seen[-1].at - LATE_SECONDS:
                    await self._follow(task, watched)

            await each(there, one, lambda task: f"task {task[1]} of {task[0]}")

    def _begin(self, task: Task, baseline: Baseline | None) -> Watched:
        settings = self._settings
        id, since = (baseline.id, baseline.since) if baseline is not None else ("", 0.0)
        return Watched(*task, baseline=id, since=since, reference=settings.drift_reference, calls=settings.drift_calls)

    async def _follow(self, task: Task, watched: Watched) -> None:
        after = (watched.seen[-1].at - LATE_SECONDS, "") if watched.seen else (watched.since, "")
        embedded = 0
        while embedded < MOST_EMBEDDED:
            rows = await self._records.read(lambda c, after=after: store.calls(c, task, watched.since, after, BATCH))
            if not rows:
                break
            after = (rows[-1].at, rows[-1].id)
            new = [one for one in rows if not watched.knows(one.id)]
            vectors, made = await self._vectors(new)
            embedded += made
            await asyncio.to_thread(_observed, watched, new, vectors)
            await self._write_down(watched)
            self.counts["calls"] += len(new)
            if resting(watched):
                break
            if len(watched.seen) >= MOST_CALLS and not watched.changes:
                since = watched.seen[-watched.wanted * 2].at
                await self._rebase(watched, since, f"nothing changed in {len(watched.seen)} calls", "penstock")
                break

    async def _vectors(self, rows: Sequence[Kept]) -> tuple[dict[str, Any], int]:
        """Embeddings of prompts by call: those that are kept, and new ones, and how many those are. Empty without an embedder."""
        embedder = self._embedder()
        if embedder is None or not rows or (self.unembedded and self._clock() < self._embed_again):
            return {}, 0
        import numpy as np  # an embedder has brought it

        id = embedder.id
        found = await self._records.read(lambda c: store.vectors(c, [one.id for one in rows], id))
        missing = [one for one in rows if one.id not in found]
        for start in range(0, len(missing), EMBEDDED):
            piece = missing[start : start + EMBEDDED]
            try:
                made = await embedder.embed([one.prompt[:2000] or " " for one in piece])
            except PenstockError as fault:
                # The model is not here; the other features are watched without it, and what learns its reference later, with it.
                self.unembedded, self._embed_again = fault.message, self._clock() + EMBED_AGAIN_SECONDS
                return {}, 0
            kept = [{"sample": one.id, "embedder": id, "vector": vector, "at": one.at} for one, vector in zip(piece, made, strict=True)]
            await self._records.write(lambda c, kept=kept: store.keep_vectors(c, kept))
            found.update((one.id, vector) for one, vector in zip(piece, made, strict=True))
        self.unembedded = ""
        return {call: np.frombuffer(vector, dtype=np.float32) for call, vector in found.items()}, len(missing)

    async def _write_down(self, watched: Watched) -> None:
        for change in watched.changes:
            if change.feature not in watched.written:
                await self._found(watched, change)
                watched.written.add(change.feature)

    async def _found(self, watched: Watched, change: Change) -> None:
        watching = watched.features[change.feature]
        name = f"{watched.organisation}/{watched.task}/{watched.baseline}/{watched.since}/{change.feature}"
        changed = Changed(
            id=f"drift_{blake2b(name.encode(), digest_size=12).hexdigest()}",
            organisation=watched.organisation,
            task=watched.task,
            baseline=watched.baseline,
            feature=change.feature,
            changed_at=change.changed_at,
            detected_at=change.detected_at,
            evidence=min(change.evidence, 1e100),
            level=watching.limit,
            detail=msgspec.json.encode(windows(watched, watching)).decode(),
            created_at=self._clock(),
        )
        if await self._records.write(lambda c: store.keep(c, changed)):
            self.counts["changes"] += 1

    async def accept(self, principal: Principal, task: str, organisation: str = "") -> Baseline:
        """Take what a task's calls are like since the last change for their way to be: a task of the principal's own organisation, where
        none is named. `NotFound`; `Conflict` where nothing changed."""
        watched = self.find(principal.reach, task, organisation or principal.organisation)
        if not watched.changes:
            raise Conflict(f"nothing of {task!r} has changed, so there is nothing to accept", param="task")
        since = max(change.changed_at for change in watched.changes)
        return await self._rebase(watched, since, "accepted", principal.name)

    async def _rebase(self, watched: Watched, since: float, why: str, by: str) -> Baseline:
        made = Baseline(
            id=new_id("base"),
            organisation=watched.organisation,
            task=watched.task,
            since=since,
            why=why,
            by=by,
            created_at=self._clock(),
        )
        await self._records.write(lambda c: store.begin(c, made))
        self._watched[watched.organisation, watched.task] = self._begin((watched.organisation, watched.task), made)
        return made

    async def changes(self, reach: str | None, *, task: str | None = None, since: float = 0.0) -> list[Changed]:
        """What was found to have changed, newest first."""
        return await self._records.read(lambda c: store.changes(c, reach, task=task, since=since))

    async def marks(self, organisation: str | None, since: float, until: float) -> list[Mark]:
        """See `MarkSource.marks`: each change, where it seems to have come."""
        found = await self.changes(organisation, since=since)
        return [
            Mark(
                at=one.changed_at,
                kind="note",
                title=f"{TITLES.get(one.feature, one.feature)} drifted",
                href=f"/console/drift/{quote(one.task, safe='')}?{urlencode({'organisation': one.organisation})}",
                task=one.task,
            )
            for one in sorted(found, key=lambda one: one.changed_at)
            if since <= one.changed_at < until
        ]

    async def forget(self) -> None:
        """Delete embeddings of samples that are not kept any more."""
        before, gone = self._clock() - self._settings.keep_samples_days * 86_400, 1
        while gone:
            gone = await self._records.write(lambda c: store.forget(c, before))

    def metrics(self) -> Iterable[Metric]:
        """Tasks that are watched and that drift, and calls observed."""
        drifting = sum(bool(one.changes) for one in self._watched.values())
        states = (({"state": "drifting"}, float(drifting)), ({"state": "steady"}, float(len(self._watched) - drifting)))
        yield Metric(name="penstock_drift_tasks", help="Tasks that are watched for drift, by state.", kind="gauge", samples=states)
        yield Metric(
            name="penstock_drift_calls",
            help="Sampled calls that drift detectors have observed since the start.",
            kind="counter",
            samples=(({}, float(self.counts["calls"])),),
        )


def resting(watched: Watched) -> bool:
    """Whether a task that has changed is observed no more, until that is accepted."""
    return bool(watched.changes) and len(watched.seen) >= MOST_DRIFTING


def _observed(watched: Watched, rows: Sequence[Kept], vectors: dict[str, Any]) -> None:
    for one in rows:
        watched.observe(one, vectors.get(one.id))


__all__ = ["MOST_CALLS", "MOST_DRIFTING", "TITLES", "Keeper", "resting"]
