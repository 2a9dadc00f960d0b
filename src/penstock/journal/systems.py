"""DBOS's access to its database, with what it lacks for us: claims only of runs whose code is here, word of ends, no polling on SQLite.

DBOS picks its class by URL and takes no other, so ours are put in the place of its own before it launches.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from dbos import _sys_db_postgres, _sys_db_sqlite
from dbos._context import get_local_dbos_context
from dbos._error import DBOSStepNondeterminismError, DBOSWorkflowConflictIDError
from dbos._sys_db import db_retry
from dbos._sys_db_postgres import PostgresSystemDatabase
from dbos._sys_db_sqlite import SQLiteSystemDatabase
from dbos._utils import INTERNAL_QUEUE_NAME

from penstock.journal.serial import FORMAT
from penstock.journal.steps import Step
from penstock.journal.terms import PAUSED

Names = Callable[[], Collection[str]]
Ended = Callable[[str], None]

GOING = ("ENQUEUED", "DELAYED", "PENDING")
"""DBOS's states of runs that have not ended and were not stopped."""

_forking = threading.local()
"""What is kept with the run that this thread forks."""

_sqlite_original = SQLiteSystemDatabase
_postgres_original = PostgresSystemDatabase


def install(names: Names, ended: Ended, stepped: Ended, changed: Callable[[], None]) -> None:
    """Have the next launch use our classes. ``names`` gives the DBOS names of the runs defined here; ``ended`` hears, on any thread, the id
    of each run that ends in this process, ``stepped`` that of each of which something was journalled. ``changed`` is called when a queue
    may have more to do than before; on SQLite, where nobody else could have brought it."""

    class Postgres(_Ours, _postgres_original):  # type: ignore[misc, valid-type]
        _names = staticmethod(names)
        _ended = staticmethod(ended)
        _stepped = staticmethod(stepped)

    class Sqlite(_Ours, _Woken, _sqlite_original):  # type: ignore[misc, valid-type]
        _names = staticmethod(names)
        _ended = staticmethod(ended)
        _stepped = staticmethod(stepped)

    for name in QUEUEING:
        setattr(Sqlite, name, _followed(getattr(Sqlite, name), changed))
    _sys_db_postgres.PostgresSystemDatabase = Postgres  # type: ignore[misc]
    _sys_db_sqlite.SQLiteSystemDatabase = Sqlite  # type: ignore[misc]


QUEUEING = (
    *("init_workflow", "init_child_workflow", "init_workflows"),
    *("resume_workflows", "fork_workflow", "cancel_workflows", "update_workflow_outcome", "hand_on"),
)
"""What puts something into a queue or leaves room in one; each commits before it returns."""


def _followed(method: Callable[..., Any], changed: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*args: Any, **named: Any) -> Any:
        try:
            return method(*args, **named)
        finally:
            changed()

    return call


def uninstall() -> None:
    """Put DBOS's own classes back."""
    _sys_db_postgres.PostgresSystemDatabase = _postgres_original  # type: ignore[misc]
    _sys_db_sqlite.SQLiteSystemDatabase = _sqlite_original  # type: ignore[misc]


def await_workers(seconds: float) -> None:
    """Wait until the threads that claim from queues have ended, which they were told to before; at most ``seconds``."""
    until = time.monotonic() + seconds
    while (workers := [t for t in threading.enumerate() if t.name.startswith("queue-worker-")]) and time.monotonic() < until:
        # One that is listed and has not begun cannot be joined yet: it is asked again.
        with contextlib.suppress(RuntimeError):
            workers[0].join(timeout=0.01)


class _Ours:
    """What both engines need."""

    engine: Any
    tables: Any
    dialect: Any
    app_name: Any
    _now_ms_sql: Callable[[], Any]
    _names: Names
    _ended: Ended
    _stepped: Ended

    def _claim_gate(self, queue_name: str, partition_key: str | None) -> list[Any]:
        # DBOS claims whatever is in the queue and then fails to find the function, which leaves the run pending for ever.
        inherited: Any = super()._claim_gate(queue_name, partition_key)  # type: ignore[misc]
        return [*inherited, self.tables.workflow_status.c.name.in_(list(self._names()))]

    def record_operation_result(self, result: Any, **named: Any) -> None:
        super().record_operation_result(result, **named)  # type: ignore[misc]
        self._stepped(result["workflow_uuid"])

    def record_steps(self, steps: Sequence[Step]) -> None:
        """Journal steps in one transaction: all of them, or none. As DBOS does, with statements that are made once."""
        mine, record = self._statements

        @db_retry(sys_db=self)  # type: ignore[arg-type]
        def write() -> None:
            with self.engine.begin() as connection:
                for step in steps:
                    # First of all a write, or a lock: nobody can take the run over between this and the commit.
                    if connection.execute(mine, {"run": step.run}).scalar() != step.owner:
                        raise DBOSWorkflowConflictIDError(step.run)
                    # One that is there already with the same time is our own, from a commit whose answer was lost.
                    if connection.execute(record, step._asdict()).scalar() != step.ended:
                        raise DBOSStepNondeterminismError(step.run, step.number)

        write()
        for run in {step.run for step in steps}:
            self._stepped(run)

    @functools.cached_property
    def _statements(self) -> tuple[Any, Any]:
        runs, steps = self.tables.workflow_status, self.tables.operation_outputs
        ours, theirs = runs.c.workflow_uuid == sa.bindparam("run"), sa.select(runs.c.owner_xid)
        mine: Any = theirs.where(ours).with_for_update(key_share=True)
        if self.engine.dialect.name == "sqlite":
            # A write, so that the transaction begins with it; a question alone would not begin one.
            mine = sa.update(runs).where(ours).values(owner_xid=runs.c.owner_xid).returning(runs.c.owner_xid)
        record = self.dialect.insert(steps).values(
            workflow_uuid=sa.bindparam("run"),
            function_id=sa.bindparam("number"),
            function_name=sa.bindparam("name"),
            started_at_epoch_ms=sa.bindparam("began"),
            completed_at_epoch_ms=sa.bindparam("ended"),
            output=sa.bindparam("output"),
            serialization=FORMAT,
            application_name=self.app_name,
            retention_timestamp=self._now_ms_sql(),
        )
        kept = {"completed_at_epoch_ms": steps.c.completed_at_epoch_ms}
        record = record.on_conflict_do_update(index_elements=["workflow_uuid", "function_id"], set_=kept)
        return mine, record.returning(steps.c.completed_at_epoch_ms)

    def record_get_result(self, *args: Any, ctx: Any = None, **named: Any) -> None:
        super().record_get_result(*args, ctx=ctx, **named)  # type: ignore[misc]
        context: Any = ctx or get_local_dbos_context()
        if context is not None:
            self._stepped(context.workflow_id)

    @contextlib.contextmanager
    def keeping(self, kept: Mapping[str, Any]) -> Generator[None]:
        """Keep ``kept`` with a run that this thread has DBOS fork meanwhile, from the fork's first moment: what was written a moment later
        would be lost with the process, and the fork would be nobody's."""
        _forking.kept = kept
        try:
            yield
        finally:
            del _forking.kept

    def _insert_rows(self, conn: Any, build: Any, rows: list[dict[str, Any]], **named: Any) -> Any:
        kept: Mapping[str, Any] | None = getattr(_forking, "kept", None)
        if kept is not None:
            rows = [{**row, "attributes": {**(row["attributes"] or {}), **kept}} if "forked_from" in row else row for row in rows]
        theirs: Any = super()
        return theirs._insert_rows(conn, build, rows, **named)

    def init_child_workflow(self, *args: Any, parent_workflow_id: str, **named: Any) -> Any:
        theirs: Any = super()
        begun = theirs.init_child_workflow(*args, parent_workflow_id=parent_workflow_id, **named)
        self._stepped(parent_workflow_id)
        return begun

    def recv_consume(self, workflow_uuid: str, *args: Any, **named: Any) -> Any:
        theirs: Any = super()
        taken = theirs.recv_consume(workflow_uuid, *args, **named)
        self._stepped(workflow_uuid)
        return taken

    def update_workflow_outcome(self, workflow_id: str, *args: Any, **named: Any) -> bool:
        theirs: Any = super()
        written: bool = theirs.update_workflow_outcome(workflow_id, *args, **named)
        if written:
            self._ended(workflow_id)
        return written

    def cancel_workflows(self, workflow_ids: list[str], *args: Any, **named: Any) -> None:
        # DBOS forgets when a cancelled run started and in which queue; the queue's rate would forget it too, and let another start instead.
        runs = self.tables.workflow_status
        with self.engine.begin() as connection:
            asked = sa.select(runs.c.workflow_uuid, runs.c.started_at_epoch_ms, runs.c.queue_name).where(
                runs.c.workflow_uuid.in_(workflow_ids), runs.c.status == "PENDING", runs.c.rate_limited == sa.true()
            )
            started = connection.execute(asked).all()
        super().cancel_workflows(workflow_ids, *args, **named)  # type: ignore[misc]
        with self.engine.begin() as connection:
            for workflow, at, queue in started:
                mine = (runs.c.workflow_uuid == workflow, runs.c.status == "CANCELLED", runs.c.started_at_epoch_ms.is_(None))
                connection.execute(sa.update(runs).where(*mine).values(started_at_epoch_ms=at, queue_name=queue))
        for workflow in workflow_ids:
            self._ended(workflow)

    def resume_workflows(self, workflow_ids: list[str], *, queue_name: str | None = None) -> None:
        # DBOS takes up also what is executed at this moment: of two who resume a run, the second would have it executed twice at once. And
        # that it is no longer paused has to be written with it.
        runs = self.tables.workflow_status
        values: dict[str, Any] = {
            **dict.fromkeys(("owner_xid", "workflow_deadline_epoch_ms", "deduplication_id", "started_at_epoch_ms", "completed_at")),
            "status": "ENQUEUED",
            "queue_name": queue_name or INTERNAL_QUEUE_NAME,
            "recovery_attempts": 0,
        }
        self._marked(workflow_ids, runs.c.status.in_(("CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")), paused=False, **values)

    def mark_paused(self, run: str) -> None:
        """Write that a run is only paused, before it is stopped; nothing for one that has ended or was stopped."""
        self._marked([run], self.tables.workflow_status.c.status.in_(GOING), paused=True)

    def unmark_paused(self, runs: Sequence[str]) -> None:
        """Write of those that are marked as paused that they are not."""
        table = self.tables.workflow_status
        asked = sa.select(table.c.workflow_uuid, table.c.attributes).where(table.c.workflow_uuid.in_(runs))
        with self.engine.connect() as connection:
            marked = [id for id, kept in connection.execute(asked).all() if kept and kept.get(PAUSED)]
        if marked:
            self._marked(marked, sa.true(), paused=False)

    def _marked(self, ids: Sequence[str], where: Any, *, paused: bool, **values: Any) -> None:
        """Change runs and whether they are paused, together."""
        runs = self.tables.workflow_status
        changed = sa.update(runs).where(runs.c.workflow_uuid.in_(list(ids)), where).values(updated_at=self._now_ms_sql(), **values)
        with self.engine.begin() as connection:
            for id, kept in connection.execute(changed.returning(runs.c.workflow_uuid, runs.c.attributes)).all():
                told: dict[str, Any] = {**(kept or {}), PAUSED: paused}
                connection.execute(sa.update(runs).where(runs.c.workflow_uuid == id).values(attributes=told))

    async def recv_async(
        self, workflow_uuid: str, function_id: int, timeout_function_id: int, topic: str | None, timeout_seconds: float = 60
    ) -> Any:
        # DBOS ends a wait on any wake-up, also on a late one for a signal that the wait before has taken; the run then goes on as if its
        # time were over. Here a wake-up only makes it look.
        system: Any = self
        setup = await system._run_event_setup_async(
            system.notifications_map, system.recv_setup, workflow_uuid, function_id, timeout_function_id, topic, timeout_seconds
        )
        if setup[0]:
            return setup[1]
        _, event, left, payload, began = setup
        try:
            deadline = time.monotonic() + left
            while (left := deadline - time.monotonic()) > 0:
                await event.wait_async(timeout=min(left, system._event_recheck_interval()))
                event.clear()  # before looking, so that a signal which comes meanwhile sets it again
                await asyncio.to_thread(system.recv_check, workflow_uuid, topic, event)
                if event.is_set():
                    break
            return await asyncio.to_thread(system.recv_consume, workflow_uuid, function_id, topic, began)
        finally:
            system.notifications_map.pop(payload, event)

    def holds(self, queue: str) -> bool:
        """Whether anything waits in a queue, be it for its time."""
        runs = self.tables.workflow_status
        asked = sa.select(runs.c.workflow_uuid).where(runs.c.queue_name == queue, runs.c.status.in_(("ENQUEUED", "DELAYED"))).limit(1)
        with self.engine.connect() as connection:
            return connection.execute(asked).first() is not None

    def hand_on(self, *, of: Sequence[str] | None = None, but: Sequence[str] | Any = ()) -> int:
        """Put what the executors ``of``, or all ``but`` these, have under way back into its queues; how many runs that were.

        ``but`` may be a subquery. One statement, and only of runs that are still theirs: when two processes do it at once, each run is
        handed on once. What somebody holds locked is left for the next time: a process that stands still may hold it, and
        whoever waited for it would miss its own beat.
        """
        runs = self.tables.workflow_status
        theirs = (
            sa.select(runs.c.workflow_uuid)
            .where(runs.c.status == "PENDING")
            .where(runs.c.executor_id.in_(list(of)) if of is not None else runs.c.executor_id.notin_(but))
            .with_for_update(skip_locked=True)
        )
        with self.engine.begin() as connection:
            done = connection.execute(
                sa.update(runs)
                .where(runs.c.workflow_uuid.in_(theirs))
                .values(
                    status="ENQUEUED",
                    owner_xid=None,
                    started_at_epoch_ms=None,
                    updated_at=self._now_ms_sql(),
                    queue_name=sa.func.coalesce(runs.c.queue_name, INTERNAL_QUEUE_NAME),
                )
            )
            return int(done.rowcount)


class _Woken:
    """SQLite with one process: whoever waits is woken by whoever writes, since both are here.

    DBOS asks the database once a second for every single waiter; a thousand waiting runs are a thousand queries a second for nothing.
    """

    notifications_map: Any
    workflow_events_map: Any
    streams_map: Any
    # A waiter looks by itself now and then, in case a wake-up was lost; with none that can be, seldom.
    _notification_fallback_polling_interval = 600.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._over = threading.Event()

    def _notification_listener(self) -> None:
        self._over.wait()

    def _cleanup_connections(self) -> None:
        self._over.set()
        super()._cleanup_connections()  # type: ignore[misc]

    def _signal_notification(self, channel: str, payload: str) -> None:
        for held in (self.streams_map, self.workflow_events_map):
            waiter = held.get(payload)
            if waiter is not None:
                waiter.set()

    def send_bulk(self, messages: Any, **named: Any) -> None:
        super().send_bulk(messages, **named)  # type: ignore[misc]
        for message in messages:
            waiter = self.notifications_map.get(self._waiter(message.destination_id, message.topic)[0])  # type: ignore[attr-defined]
            if waiter is not None:
                waiter.set()
