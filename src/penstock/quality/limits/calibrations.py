"""Calibrations of tasks: fitted on what people said of a task's own replies, kept, and in use from then on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, delete, insert, select

from penstock.kernel.errors import Conflict, NotFound, PenstockError, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import DetectorKind, Task, Tasks
from penstock.quality.grounded.calibrate import Calibration, calibrate
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.judgement import Limits
from penstock.quality.grounded.tokens import DetectorUnavailable
from penstock.quality.limits.labels import labelled
from penstock.quality.tables import CALIBRATIONS
from penstock.storage.records import Records
from penstock.storage.schema import encode_json


class Wanted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to calibrate: the ``task``'s detector, so that with ``confidence`` at most ``error`` of ungrounded replies are called grounded,
    and at most ``error`` of grounded ones ungrounded. ``most`` labels are used, the last ones; each is judged anew."""

    task: Annotated[str, Meta(min_length=1, max_length=200)]
    error: Annotated[float, Meta(ge=0.01, le=0.4)] = 0.1
    confidence: Annotated[float, Meta(ge=0.5, le=0.999)] = 0.95
    most: Annotated[int, Meta(ge=1, le=5000)] = 1000


class Label(Struct, frozen=True, kw_only=True):
    """One reply that people judged: a call, or ``evaluation/item/candidate``; what the detector scored it, and whether it is ungrounded."""

    answer: str
    score: float
    ungrounded: bool


class Kept(Struct, frozen=True, kw_only=True):
    """A calibration as it is kept. ``detector`` is whose scores its limits part; those of another detector it does not concern.

    ``left_out`` counts labels that were of no use, by the reason. ``in_use``: it is the last one of its task and detector.
    """

    id: str
    organisation: str
    task: str
    detector: str
    found: Calibration
    left_out: dict[str, int]
    created_at: float
    created_by: str
    in_use: bool


class WithSample(Kept, frozen=True, kw_only=True):
    """A calibration with the labels that it rests on."""

    sample: list[Label]


_found = msgspec.json.Decoder(Calibration)
_sample = msgspec.json.Decoder(list[Label])
_left = msgspec.json.Decoder(dict[str, int])
_COLUMNS = [column for column in CALIBRATIONS.c if column.name != "sample"]


class Calibrations:
    """Makes them, keeps them, and knows from memory which limits hold."""

    def __init__(self, records: Records, detectors: Detectors, tasks: Callable[[], Tasks | None]) -> None:
        self._records = records
        self._detectors = detectors
        self._tasks = tasks
        self._held: dict[tuple[str, str, str], Kept] = {}

    def limits(self, organisation: str, task: str, detector: str) -> Limits | None:
        """The limits that the organisation's task has for this detector; None without a calibration."""
        held = self._held.get((organisation, task, detector))
        return held.found.limits if held is not None else None

    def of_task(self, organisation: str, task: str) -> list[Kept]:
        """Those in use, one for each detector that was calibrated."""
        return [kept for (whose, name, _), kept in self._held.items() if (whose, name) == (organisation, task)]

    async def refresh(self) -> None:
        """Take in what this or another process has found."""
        self._held = {(one.organisation, one.task, one.detector): one for one in await self.list(None) if one.in_use}

    async def list(self, reach: str | None, task: str | None = None) -> list[Kept]:
        """Calibrations, the latest first."""
        return await self._records.read(lambda c: _listed(c, reach, task))

    async def get(self, reach: str | None, id: str) -> WithSample:
        """One of them with its labels. Raises `NotFound`."""

        def read(connection: Connection) -> tuple[Kept, Any] | None:
            row = connection.execute(select(CALIBRATIONS).where(CALIBRATIONS.c.id == id)).mappings().first()
            if row is None or reach not in (None, row["organisation"]):
                return None
            kept = next((one for one in _listed(connection, row["organisation"], row["task"]) if one.id == id), None)
            return (kept, row["sample"]) if kept is not None else None

        found = await self._records.read(read)
        if found is None:
            raise NotFound(f"there is no calibration {id[:100]!r}", param="id")
        kept, sample = found
        return WithSample(**msgspec.structs.asdict(kept), sample=_sample.decode(sample))

    async def forget(self, reach: str | None, id: str) -> None:
        """Delete one; the one before it is in use again, or none. Raises `NotFound`."""
        kept = await self.get(reach, id)
        await self._records.write(lambda c: c.execute(delete(CALIBRATIONS).where(CALIBRATIONS.c.id == kept.id)))
        await self.refresh()

    async def make(self, principal: Principal, wanted: Wanted) -> WithSample:
        """Fit limits on the labels that there are, and use them from now on.

        Raises `NotFound` for no such task, `RequestError` for one that is judged otherwise, `Conflict` (``too_few_labels``) where the
        labels support no limits, in which case what was in use stays so, and `DetectorUnavailable` where the detector cannot be had: what
        judges in its place has scores of its own.
        """
        task = self._task(principal, wanted.task)
        organisation, judge = principal.organisation, task.judge
        kind: DetectorKind | None = judge.detector if judge is not None else None
        chosen = await self._detectors.choose(kind)
        _expect(chosen.fault)
        labels, left = await self._records.read(lambda c: labelled(c, organisation, task.name, wanted.most))
        sample: list[Label] = []
        for one in labels:
            told = await self._detectors.judge(kind, one.context, one.reply)
            _expect(told.fault)
            score = told.judgement.score
            if score is None:
                left["not_judged"] += 1
            else:
                sample.append(Label(answer=one.answer, score=score, ungrounded=one.ungrounded))
        now, detector = time.time(), chosen.detector.id
        pairs = [(one.score, one.ungrounded) for one in sample]
        terms = {"error": wanted.error, "confidence": wanted.confidence}
        fitted = await asyncio.to_thread(calibrate, pairs, detector=detector, at=now, **terms)
        if fitted.why:
            unused = ", ".join(f"{count} {why.replace('_', ' ')}" for why, count in sorted(left.items()))
            said = f"{fitted.why} There are {fitted.grounded} and {fitted.ungrounded}{f'; of no use: {unused}' if unused else ''}."
            raise Conflict(f"{said} POST /v1/feedback labels replies", code="too_few_labels", param="task")
        made = WithSample(
            id=new_id("gc"),
            organisation=organisation,
            task=task.name,
            detector=detector,
            found=fitted,
            left_out=dict(left),
            created_at=now,
            created_by=principal.key_id,
            in_use=True,
            sample=sample,
        )
        row = {
            **{name: getattr(made, name) for name in ("id", "organisation", "task", "detector", "created_at", "created_by")},
            "low": fitted.limits.low,
            "high": fitted.limits.high,
            "found": encode_json(fitted),
            "sample": encode_json(sample),
            "left_out": encode_json(made.left_out),
        }
        await self._records.write(lambda c: c.execute(insert(CALIBRATIONS).values(row)))
        await self.refresh()
        return made

    def _task(self, principal: Principal, name: str) -> Task:
        tasks = self._tasks()
        task = tasks.find(principal.organisation, name) if tasks is not None else None
        if task is None or not principal.may_use_task(name):
            raise NotFound(f"there is no task {name[:130]!r}; GET /v1/tasks lists them", param="task")
        if task.judge is None or task.judge.kind != "groundedness":
            by = f"by {task.judge.kind}" if task.judge is not None else "by nobody"
            raise RequestError(f"the task {task.name!r} is judged {by}, so there is no detector to calibrate", param="task")
        return task


def _expect(fault: PenstockError | None) -> None:
    """What judges in a detector's place has scores of its own, so nothing is fitted on them."""
    if fault is not None:
        # A new one: that one is told again and again.
        raise DetectorUnavailable(fault.message, code=fault.code)


def _listed(connection: Connection, reach: str | None, task: str | None) -> list[Kept]:
    where = [CALIBRATIONS.c.organisation == reach] if reach is not None else []
    if task is not None:
        where.append(CALIBRATIONS.c.task == task)
    asked = select(*_COLUMNS).where(*where).order_by(CALIBRATIONS.c.created_at.desc(), CALIBRATIONS.c.id.desc())
    seen: set[tuple[str, str, str]] = set()
    made: list[Kept] = []
    for row in connection.execute(asked).mappings():
        of = (row["organisation"], row["task"], row["detector"])
        made.append(
            Kept(
                id=row["id"],
                organisation=row["organisation"],
                task=row["task"],
                detector=row["detector"],
                found=_found.decode(row["found"]),
                left_out=_left.decode(row["left_out"]),
                created_at=row["created_at"],
                created_by=row["created_by"],
                in_use=of not in seen,
            )
        )
        seen.add(of)
    return made


__all__ = ["Calibrations", "Kept", "Label", "Wanted", "WithSample"]
