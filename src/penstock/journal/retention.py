"""What becomes of runs that ended long ago: written to an archive where one is wanted, then taken out of the journal. Blocking.

A run goes when it and the run that started it have ended before the day that the settings say, so that nobody who is still at work loses
a child. The archive is on disk before the journal lets go: a process that dies in between leaves runs in both, and the next round goes on.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from penstock.journal.context import PAUSED
from penstock.journal.reading import STATES, Reader
from penstock.journal.serial import FORMAT, Json
from penstock.kernel.errors import StepFailed, StorageError
from penstock.kernel.journal import ENDED, RunInfo, StepInfo

FOLDER = "archive/runs"
"""Below the data folder: a folder for each day on which runs ended, in it gzip files with a line of JSON for each run."""

_ENDS = tuple(status for status, state in STATES.items() if state in ENDED)
_json = Json()


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the archive: all that the journal knew of a run."""

    run: RunInfo
    input: Any
    output: Any
    steps: Sequence[StepInfo]


class Retention:
    """``system`` is DBOS's access to its database. ``archive`` is the folder of the archive, None where there is none."""

    def __init__(self, system: Any, reader: Reader, archive: Path | None) -> None:
        self._system = system
        self._reader = reader
        self._archive = archive

    def retire(self, before: float, most: int = 100) -> int:
        """Take out up to ``most`` runs that ended before a moment (Unix seconds); how many there were. Raises `StorageError` where the
        archive cannot be written: nothing is taken out then."""
        found = self._old(before, most)
        if found and self._archive is not None:
            self._write(self._archive, [self._whole(id) for id in found])
        if found:
            self._system.delete_workflows(found)
        return len(found)

    def _old(self, before: float, most: int) -> list[str]:
        runs = self._system.tables.workflow_status
        parents = runs.alias("parents")
        asked = (
            sa.select(runs.c.workflow_uuid)
            .outerjoin(parents, parents.c.workflow_uuid == runs.c.parent_workflow_id)
            .where(_over(runs, before), sa.or_(parents.c.workflow_uuid.is_(None), _over(parents, before)))
            .order_by(runs.c.completed_at)
            .limit(most)
        )
        with self._system.engine.connect() as connection:
            return list(connection.execute(asked).scalars())

    def _whole(self, id: str) -> Archived:
        try:
            output = self._reader.outcome(id)
        except StepFailed:  # why it failed stands in what is told of the run
            output = None
        return Archived(run=self._reader.get(None, id), input=self._input(id), output=output, steps=self._reader.history(id))

    def _input(self, id: str) -> Any:
        runs, inputs = self._system.tables.workflow_status, self._system.tables.workflow_input
        asked = (
            sa.select(sa.func.coalesce(inputs.c.inputs, runs.c.inputs), runs.c.serialization)
            .outerjoin(inputs, inputs.c.workflow_uuid == runs.c.workflow_uuid)
            .where(runs.c.workflow_uuid == id)
        )
        with self._system.engine.connect() as connection:
            kept, how = connection.execute(asked).one()
        if kept is None or how != FORMAT:
            return None
        given = _json.deserialize(kept)
        return given["args"][0] if given.get("args") else None

    def _write(self, folder: Path, found: Sequence[Archived]) -> None:
        # Named by what is in it: a round that is done again after a crash writes the same file again.
        named = sha256("\0".join(one.run.id for one in found).encode()).hexdigest()[:16]
        place = folder / time.strftime("%Y-%m-%d", time.gmtime(min(one.run.ended_at or 0.0 for one in found)))
        data = gzip.compress(b"".join(msgspec.json.encode(one) + b"\n" for one in found), 6)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            _put(place / f"{named}.jsonl.gz", data)
        except OSError as fault:
            raise StorageError(f"runs cannot be archived in {folder}: {fault.strerror}; they stay in the journal") from fault


def _put(path: Path, data: bytes) -> None:
    """Whole or not there, and on disk when this returns."""
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _over(runs: Any, before: float) -> Any:
    paused = sa.and_(runs.c.status == "CANCELLED", sa.func.coalesce(runs.c.attributes[PAUSED].as_boolean(), sa.false()))
    return sa.and_(runs.c.status.in_(_ENDS), runs.c.completed_at < int(before * 1e3), ~paused)
