"""What becomes of runs that ended long ago, written to an archive where one is wanted, then taken out of the journal; and of those that
are to be erased, from both. Blocking.

A run goes when it and the run that started it have ended before the day that the settings say, so that nobody who is still at work loses
a child. The archive is on disk before the journal lets go: a process that dies in between leaves runs in both, and the next round goes on.
What is taken up again in between stays: whether a run still stands as it was found is looked at in the transaction that takes it out.
"""

from __future__ import annotations

import gzip
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from penstock.journal.reading import STATES, Reader
from penstock.journal.serial import FORMAT, Json
from penstock.journal.terms import PAUSED
from penstock.kernel.errors import StepFailed, StorageError
from penstock.kernel.journal import ENDED, Mine, RunInfo, StepInfo

FOLDER = "archive/runs"
"""Below the data folder: a folder for each day on which runs ended, in it gzip files with a line of JSON for each run."""

_log = logging.getLogger("penstock.journal")

_ENDS = tuple(status for status, state in STATES.items() if state in ENDED)
_json = Json()
_PIECE = 200
"""Runs that are looked at, or taken out, at once."""


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the archive: all that the journal knew of a run."""

    run: RunInfo
    input: Any
    output: Any
    steps: Sequence[StepInfo]


Place = tuple[int, str]
"""Where a run stands among those that have ended: when, in milliseconds, and its id."""
FIRST: Place = (-1, "")


class Page(NamedTuple):
    """What became of some runs: how many were ``taken`` out, which could not be read, and where the ``next`` begin, None after the last."""

    taken: int
    unreadable: Sequence[str]
    next: Place | None


class _Told(msgspec.Struct):
    """Of a line of the archive, what says whose it is."""

    run: RunInfo
    input: Any = None


_told = msgspec.json.Decoder(_Told)


class Retention:
    """``system`` is DBOS's access to its database. ``folder`` is the archive's, and ``archive`` whether runs go there."""

    def __init__(self, system: Any, reader: Reader, folder: Path, *, archive: bool) -> None:
        self._system = system
        self._reader = reader
        self._folder = folder
        self._archive = archive

    def retire(self, before: float, after: Place = FIRST, most: int = 100) -> Page:
        """Take out those of the next ``most`` runs that ended before a moment (Unix seconds). One that cannot be read stays, where all are
        to be archived, and is passed over. Raises `StorageError` where the archive cannot be written: nothing is taken out then."""
        found = self._old(before, after, most)
        unreadable: list[str] = []
        gone = [id for _, id in found]
        if gone and self._archive:
            whole: list[Archived] = []
            for id in gone:
                try:
                    whole.append(self._whole(id))
                except SQLAlchemyError:  # of the database, and not of this run
                    raise
                except Exception as fault:  # whatever reads it may raise anything; it is for people to look at, and the others go on
                    _log.warning("a run cannot be read, and stays in the journal", extra={"run": id, "fault": type(fault).__name__})
                    unreadable.append(id)
            gone = [one.run.id for one in whole]
            if gone:
                self._write(self._folder, whole)
        taken = self._take_out(gone, before) if gone else 0
        return Page(taken, unreadable, found[-1] if len(found) == most else None)

    def whose(self, organisation: str, mine: Mine) -> list[str]:
        """Runs of an organisation that are over, here or in the archive, and were started with something for which ``mine`` says yes; and
        those below them, whatever these were started with. One that was started by a run which goes on is left until that ends too."""
        found: set[str] = set()
        below: dict[str, list[str]] = defaultdict(list)
        for one, parent, name, given in self._all(organisation):
            below[parent or ""].append(one)
            if mine(name, given):
                found.add(one)
        asked = list(found)
        while asked:
            children = [child for child in below.get(asked.pop(), ()) if child not in found]
            found.update(children)
            asked.extend(children)
        return sorted(found)

    def remove(self, organisation: str, ids: Collection[str]) -> None:
        """Take runs that `whose` has found out of the journal and the archive. A second time does nothing. Raises `StorageError`."""
        runs = self._system.tables.workflow_status
        whole = sorted(ids)
        for start in range(0, len(whole), _PIECE):
            asked = sa.select(runs.c.workflow_uuid).where(runs.c.workflow_uuid.in_(whole[start : start + _PIECE]))
            with self._system.engine.connect() as connection:
                # One that was taken up again meanwhile stays until it ends once more.
                held = list(connection.execute(asked.where(runs.c.authenticated_user == organisation, _over(runs, math.inf))).scalars())
            if held:
                self._take_out(held, math.inf)
        try:
            for path in self._archived():
                lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
                left = [line for line in lines if _told.decode(line).run.id not in ids]
                if not left:
                    path.unlink()
                elif len(left) < len(lines):
                    _put(path, gzip.compress(b"".join(left), 6))
        except OSError as fault:
            raise StorageError(f"runs cannot be taken out of the archive in {self._folder}: {fault.strerror}") from fault

    def _all(self, organisation: str) -> Iterator[tuple[str, str | None, str, Any]]:
        """Every run that is over and started by none that goes on: its id, what started it, its name, what it was given."""
        runs, inputs = self._system.tables.workflow_status, self._system.tables.workflow_input
        parents = runs.alias("parents")
        asked = (
            sa.select(runs.c.workflow_uuid, runs.c.parent_workflow_id, runs.c.name, sa.func.coalesce(inputs.c.inputs, runs.c.inputs))
            .outerjoin(inputs, inputs.c.workflow_uuid == runs.c.workflow_uuid)
            .outerjoin(parents, parents.c.workflow_uuid == runs.c.parent_workflow_id)
            .where(runs.c.authenticated_user == organisation, runs.c.serialization == FORMAT, _over(runs, math.inf))
            .where(sa.or_(parents.c.workflow_uuid.is_(None), _over(parents, math.inf)))
            .order_by(runs.c.workflow_uuid)
            .limit(_PIECE)
        )
        after = ""
        while True:
            with self._system.engine.connect() as connection:
                rows = connection.execute(asked.where(runs.c.workflow_uuid > after)).all()
            for id, parent, name, kept in rows:
                arguments = _json.deserialize(kept)["args"] if kept else ()
                yield id, parent, name.partition("@")[0], arguments[0] if arguments else None
            if len(rows) < _PIECE:
                break
            after = rows[-1][0]
        for path in self._archived():
            for one in map(_told.decode, gzip.decompress(path.read_bytes()).splitlines()):
                if one.run.organisation == organisation:
                    yield one.run.id, one.run.parent, one.run.name, one.input

    def _archived(self) -> list[Path]:
        # Also of a time when there was to be one: what is there holds what it holds.
        return sorted(self._folder.glob("*/*.jsonl.gz"))

    def _old(self, before: float, after: Place, most: int) -> list[Place]:
        runs = self._system.tables.workflow_status
        parents = runs.alias("parents")
        at, id = runs.c.completed_at, runs.c.workflow_uuid
        asked = (
            sa.select(at, id)
            .outerjoin(parents, parents.c.workflow_uuid == runs.c.parent_workflow_id)
            .where(_over(runs, before), sa.or_(parents.c.workflow_uuid.is_(None), _over(parents, before)))
            .where(sa.or_(at > after[0], sa.and_(at == after[0], id > after[1])))
            .order_by(at, id)
            .limit(most)
        )
        with self._system.engine.connect() as connection:
            return [(at, id) for at, id in connection.execute(asked)]

    def _take_out(self, found: Sequence[str], before: float) -> int:
        """Delete those of the runs that have ended as long ago as when they were found, and whose parent has; how many."""
        system = self._system
        runs, steps = system.tables.workflow_status, system.tables.operation_outputs
        with system.engine.begin() as connection:
            held = self._held(connection, runs, found)
            parents = sorted({one.parent_workflow_id for one in held if one.parent_workflow_id is not None})
            # Their parents too: one that is taken up again now would look for its children.
            ended = {one.workflow_uuid for one in self._held(connection, runs, parents) if _has(one, before)} if parents else set[str]()
            there = set(connection.execute(sa.select(runs.c.workflow_uuid).where(runs.c.workflow_uuid.in_(parents))).scalars())
            left = [one.workflow_uuid for one in held if _has(one, before) and one.parent_workflow_id not in there - ended]
            # As DBOS does: what hangs on a run by a foreign key goes with it, and these do not.
            for table in (system.tables.workflow_input, system.tables.workflow_output, steps, runs):
                connection.execute(sa.delete(table).where(table.c.workflow_uuid.in_(left)))
        return len(left)

    def _held(self, connection: sa.Connection, runs: Any, ids: Sequence[str]) -> Sequence[Any]:
        """These runs as they stand, which nobody changes until the transaction ends; without those that somebody changes just now."""
        columns = (runs.c.workflow_uuid, runs.c.parent_workflow_id, runs.c.status, runs.c.completed_at, runs.c.attributes)
        mine = runs.c.workflow_uuid.in_(ids)
        if self._system.engine.dialect.name == "sqlite":
            # A write, so that the transaction begins with it: a question alone would not begin one.
            holds = cast("Any", sa.update(runs)).where(mine).values(owner_xid=runs.c.owner_xid).returning(*columns)
        else:
            holds = cast("Any", sa.select(*columns)).where(mine).with_for_update(skip_locked=True)
        return connection.execute(holds).all()

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
    return sa.and_(runs.c.status.in_(_ENDS), *(() if before == math.inf else (runs.c.completed_at < int(before * 1e3),)), ~paused)


def _has(one: Any, before: float) -> bool:
    """The same as `_over`, of a row."""
    kept: dict[str, Any] = one.attributes or {}
    paused = one.status == "CANCELLED" and kept.get(PAUSED)
    return one.status in _ENDS and one.completed_at is not None and one.completed_at < before * 1e3 and not paused
