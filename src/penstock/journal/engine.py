"""DBOS, launched for one place: starting, steering and stopping runs. Blocking; `penstock.journal.service` calls it on threads.

DBOS is one per process, and runs the functions of runs on an event loop in a thread of its own; steps go back to the house's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import threading
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakSet

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowAttributes, SetWorkflowID
from dbos._context import DBOSContextSetAuth
from dbos._core import read_stream_async
from dbos._sys_db import db_retry
from dbos._utils import INTERNAL_QUEUE_NAME, GlobalParams
from sqlalchemy.exc import SQLAlchemyError

from penstock.journal import systems
from penstock.journal.context import DurableRun, Surroundings, unknown
from penstock.journal.ended import Endings
from penstock.journal.facts import Facts, kept_of
from penstock.journal.lease import LIVING, Lease
from penstock.journal.place import SCHEMA, Place
from penstock.journal.polling import Queues
from penstock.journal.quiet import quieten
from penstock.journal.serial import Json, refuse_pickle
from penstock.journal.settings import JournalSettings
from penstock.journal.steps import Writing, earlier, in_words
from penstock.journal.terms import CODE, FORKED_BY, PAUSED, UNBOUNDED, Definition, limiter, options
from penstock.journal.watching import Watching
from penstock.kernel.errors import JournalUnavailable, StepFailed
from penstock.kernel.events import Events
from penstock.kernel.ids import new_id
from penstock.kernel.journal import Queue

_log = logging.getLogger("penstock.journal")

THREADS = 16
"""Threads for DBOS's database work; it would start one per run by default."""

CONNECTIONS = 8
"""Connections to a PostgreSQL database, besides one that listens and two of the lease; DBOS would take 20, and a server has 100."""

STEP_THREADS = 32
"""Plain functions of steps that may run at once."""

_held = threading.Lock()


class Engine:
    """DBOS between `launch` and `close`. ``node`` is this process's executor id, and differs for every process that ever was."""

    def __init__(
        self,
        place: Place,
        node: str,
        settings: JournalSettings,
        definitions: Mapping[str, Definition],
        house: asyncio.AbstractEventLoop,
        events: Events,
    ) -> None:
        self.place = place
        self.node = node
        self._settings = settings
        self._definitions = definitions
        self._house = house
        self._threads = ThreadPoolExecutor(STEP_THREADS, "penstock-step")
        self._functions: dict[str, Any] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._broken_off: WeakSet[asyncio.Task[Any]] = WeakSet()
        # Others' runs end without telling us; on SQLite there are no others.
        self.endings = Endings(self.ended, 0.5 if place.shared else 5.0)
        self._lease: Lease | None = None
        self._launched = self._works = False
        self.watching = Watching(0.5 if place.shared else 5.0)
        self._facts = Facts(house, events, self.endings.tell, self.watching.tell)
        self._queues = Queues(lambda queue: not self._launched or self.system.holds(queue))
        self._writing = Writing(lambda: self.system, shared=place.shared)
        others = (self._latest, self._enqueue_async, self._facts.tell, self._writing, self._may_begin)
        self._around = Surroundings(house, self._threads, self.endings, *others)

    @property
    def system(self) -> Any:
        """DBOS's access to its database; ours from `systems`."""
        return DBOS_instance()._sys_db

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which runs execute."""
        loop = DBOS_instance()._background_event_loop._loop
        if loop is None:
            raise JournalUnavailable("the journal is being closed")
        return loop

    def launch(self, *, works: bool) -> None:
        """Open the place and begin. ``works``: take runs from queues. Raises `JournalInUse`, `JournalUnavailable`."""
        if not _held.acquire(blocking=False):
            raise JournalUnavailable("this process has a journal open already")
        try:
            self.place.lock()
            refuse_pickle()
            # A process that does not work claims nothing, not even from the queue of recovered runs, which DBOS always looks into.
            systems.install(lambda: self._functions if works else (), self._facts.ended, self.watching.tell, self._queues.changed)
            self._works = works
            config: DBOSConfig = {
                "name": "penstock",
                "system_database_url": self.place.url,
                "application_version": CODE,
                "executor_id": self.node,
                "dbos_system_schema": SCHEMA,
                "serializer": Json(),
                "max_executor_threads": THREADS,
                "sys_db_pool_size": CONNECTIONS,
                "log_level": "WARNING",
                "scheduler_polling_interval_sec": 3600.0,
            }
            if not self.place.shared:
                config["system_database_engine"] = self.place.engine
            if self.place.shared and self.place.engine is not None:
                # Before anything can be claimed, or others would take this process for dead.
                self._lease = Lease(
                    self.place.engine, self.node, self._settings.lease_seconds, reap=self._reap, lost=self._lost, each=self._each_round
                )
                self._lease.begin()
            dbos = DBOS(config=config)
            quieten()
            # Made first, so that it is found with this interval.
            registry: Any = dbos._registry  # type: ignore[reportPrivateUsage]
            registry._register_internal_queue(INTERNAL_QUEUE_NAME, polling_interval_sec=self._settings.poll_seconds)
            if not works:
                DBOS.listen_queues([])
            for definition in self._definitions.values():
                self.register(definition)
            self._queues.begin(alone=not self.place.shared)
            DBOS.launch()
            self._launched = True
        except BaseException as fault:
            if self._lease is not None:
                with contextlib.suppress(SQLAlchemyError):  # the database may be what is at fault
                    self._lease.end()
            DBOS.destroy(destroy_registry=True)
            systems.uninstall()
            self._queues.end()
            self.place.close()
            _held.release()
            if isinstance(fault, SQLAlchemyError):
                raise JournalUnavailable(
                    f"the journal in {self.place.name} cannot be opened ({type(fault).__name__}); run `penstock doctor`", retry_after=1.0
                ) from fault
            raise
        if not self.place.shared:
            # We hold the file, so whoever else had something under way is dead.
            taken = self.system.hand_on(but=[self.node])
            if taken:
                _log.info("took up runs of a process that ended", extra={"runs": taken})

    def close(self) -> None:
        """Stop what runs where it stands and hand it on to whoever is next."""
        self._launched = False
        try:
            dbos, system = DBOS_instance(), self.system
            # In this order: nothing is claimed any more, nothing runs any more, and only then is what was under way handed on.
            for event in dbos.background_thread_stop_events:
                event.set()
            self._queues.changed()
            systems.await_workers(seconds=10)
            dbos._background_event_loop.stop()
            self._writing.close()
            system.hand_on(of=[self.node])
            if self._lease is not None:
                self._lease.end()
        finally:
            DBOS.destroy(destroy_registry=True)
            systems.uninstall()
            self._queues.end()
            self._threads.shutdown(wait=False, cancel_futures=True)
            self.place.close()
            _held.release()

    def leads(self) -> bool:
        """Whether this process does what one of all has to do. Blocks."""
        return self._lease is None or self._lease.leads()

    def _reap(self) -> int:
        return self.system.hand_on(but=LIVING) if self._launched else 0

    def _lost(self) -> str:
        # Under the new name nothing that runs here is its own; `stop_strays` sees to that.
        self.rename(new_id("node"))
        return self.node

    def _each_round(self) -> None:
        if self._launched and self._tasks:
            self.stop_strays()

    # Definitions and queues

    def register(self, definition: Definition) -> None:
        """Give DBOS the code of a definition."""

        async def execute(input: Any) -> Any:
            return await self._execute(definition, input)

        self._functions[definition.full] = DBOS.workflow(name=definition.full, max_recovery_attempts=self._settings.recoveries)(execute)

    def declare(self, queue: Queue) -> None:
        """Make a queue or change its limits, for all processes."""
        most = queue.concurrency or UNBOUNDED
        DBOS.register_queue(
            queue.name,
            global_concurrency=most,
            worker_concurrency=min(queue.per_process or UNBOUNDED, most),
            limiter=limiter(queue.rate),
            # Parted by organisation in any case, so that one's backlog does not hold up the others.
            partition_concurrency=min(queue.tenant_concurrency or UNBOUNDED, most),
            partition_limiter=limiter(queue.tenant_rate),
            polling_interval_sec=self._settings.poll_seconds,
            on_conflict="always_update",
        )

    async def _may_begin(self, run: str, number: int, name: str) -> None:
        if self.place.shared:  # on SQLite whoever cancels a run is here, and breaks off what it executes
            await asyncio.to_thread(self.system.check_operation_execution, run, number, name)

    def _latest(self, name: str) -> tuple[str, Any]:
        known = [d for d in self._definitions.values() if d.name == name]
        if not known:
            raise unknown(name)
        full = max(known, key=lambda d: d.version).full
        return full, self._functions[full]

    # Runs

    async def _execute(self, definition: Definition, input: Any) -> Any:
        id = DBOS.workflow_id
        assert id is not None
        # Asked until it answers: a database that is away for a moment must not become the run's own failure.
        begun = db_retry(sys_db=self.system)(lambda: (kept_of(self.system, id), earlier(self.system, id)))
        kept, before = await asyncio.to_thread(begun)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[id] = task
        self._facts.forget(id)
        try:
            value = await definition.function(DurableRun(self._around, id, kept.organisation, kept.labels, before), input)
            self._facts.note(definition, id, kept)
            return value
        except asyncio.CancelledError:
            if task in self._broken_off or not self._launched:
                raise
            # Nobody else would ever end the run: DBOS leaves one whose execution was cancelled as it is.
            fault = StepFailed(f"run {id} cancelled itself", kind="CancelledError")
            self._facts.note(definition, id, kept, fault)
            raise fault from None
        except Exception as raised:  # the run's own failure: DBOS journals it, and who waits for the run is told
            _log.info("run failed", extra={"run": id, "run_name": definition.full, "fault": type(raised).__name__})
            self._facts.note(definition, id, kept, fault := in_words(raised))
            raise fault from None
        finally:
            if self._tasks.get(id) is task:
                del self._tasks[id]

    def start(
        self,
        name: str,
        input: Any,
        organisation: str,
        queue: str | None,
        *,
        priority: int,
        attributes: dict[str, Any],
        id: str,
        delay: float,
    ) -> None:
        """Start a run under ``id``; one that exists is left as it is."""
        full, function = self._latest(name)
        if queue is not None or not self._works:
            self._enqueue(
                full, input, organisation, queue or INTERNAL_QUEUE_NAME, priority=priority, attributes=attributes, id=id, delay=delay
            )
            return

        async def begin() -> None:
            with SetWorkflowID(id), SetWorkflowAttributes(attributes), DBOSContextSetAuth(organisation, None):
                await DBOS.start_workflow_async(function, input)

        # On the loop: begun from a thread, DBOS holds that thread until the run has ended.
        asyncio.run_coroutine_threadsafe(begin(), self.loop).result()

    def _enqueue(
        self, full: str, input: Any, organisation: str, queue: str, *, priority: int, attributes: dict[str, Any], id: str, delay: float
    ) -> None:
        DBOS.enqueue_workflow_with_options(
            options(full, organisation, queue, priority=priority, attributes=attributes, id=id, delay=delay), input
        )

    async def _enqueue_async(
        self, full: str, input: Any, organisation: str, queue: str, *, priority: int, attributes: dict[str, Any], id: None, delay: float
    ) -> str:
        told = options(full, organisation, queue, priority=priority, attributes=attributes, id=id, delay=delay)
        handle = await DBOS.enqueue_workflow_with_options_async(told, input)
        return handle.get_workflow_id()

    def signal(self, id: str, topic: str, value: Any, key: str | None) -> None:
        """Journal a value for a run and wake it."""
        DBOS.send(id, [value], topic, idempotency_key=key)

    def cancel(self, id: str) -> Collection[str]:
        """End a run and everything below it; from the top, so that what is cancelled starts no more children. The ids of all."""
        seen, level = {id}, [id]
        while level:
            self.system.unmark_paused(level)
            self.system.cancel_workflows(level)
            self.system.unmark_paused(level)  # of what somebody paused at this very moment
            self.stop_strays(level)
            level = [child for child in self.system._get_direct_children(level) if child not in seen]
            seen.update(level)
        return seen

    def pause(self, id: str) -> None:
        """Stop a run; that it is only paused is written first, so that nobody takes it for cancelled."""
        self.system.mark_paused(id)
        self.system.cancel_workflows([id])
        self.stop_strays([id])

    def resume(self, id: str, queue: str | None) -> None:
        """Take a run up again, through its queue when it has one, so that the queue's limits hold; nothing where another has."""
        DBOS.resume_workflow(id, queue_name=queue)

    def fork(self, id: str, step: int, queue: str | None, partition: str, by: Sequence[str]) -> str:
        """A new run with the journal of another before step ``step``. ``by``: all who had it forked, those before included."""
        terms: dict[str, Any] = {"queue_name": queue, "queue_partition_key": partition if queue is not None else None}
        # In one transaction: whoever forked must not approve what the fork does. That the other run is paused is not the fork's affair.
        with self.system.keeping({FORKED_BY: list(by), PAUSED: False}):
            return DBOS.fork_workflow(id, step, application_version=CODE, **terms).get_workflow_id()

    async def stream(self, id: str, name: str, offset: int) -> AsyncIterator[Any]:
        """The values of a stream as they come, on whichever loop asks."""
        values = read_stream_async(self.system, id, name, offset=offset, polling_interval=1.0, checkpoint=False)
        try:
            async for value in values:
                yield value[0]
        finally:
            await values.aclose()

    def stop_strays(self, runs: Collection[str] | None = None) -> None:
        """Break off what this process executes although it is not its own any more: cancelled, paused, or handed on elsewhere.

        ``runs`` narrows it down. The executions are picked before the database is asked: a run that is taken up again meanwhile has a new
        one, and nobody would ever finish a run whose rightful execution was broken off.
        """
        mine = {id: task for id, task in self._tasks.copy().items() if runs is None or id in runs}
        names, table = list(mine), self.system.tables.workflow_status
        for start in range(0, len(names), 500):
            asked = sa.select(table.c.workflow_uuid).where(
                table.c.workflow_uuid.in_(names[start : start + 500]), sa.or_(table.c.status != "PENDING", table.c.executor_id != self.node)
            )
            with self.system.engine.connect() as connection:
                for id in connection.execute(asked).scalars():
                    self._break_off(mine[id])

    def _break_off(self, task: asyncio.Task[Any]) -> None:
        self._broken_off.add(task)
        self.loop.call_soon_threadsafe(task.cancel)

    def rename(self, node: str) -> None:
        """Go on under another executor id, after the lease of the old one was lost."""
        self.node = node
        self.system.executor_id = node
        GlobalParams.executor_id = node

    def ended(self, runs: Sequence[str]) -> Sequence[str]:
        """Which of these have ended; a paused run has not."""
        table = self.system.tables.workflow_status
        asked = sa.select(table.c.workflow_uuid, table.c.status, table.c.attributes).where(
            table.c.workflow_uuid.in_(list(runs)), table.c.status.notin_(systems.GOING)
        )
        with self.system.engine.connect() as connection:
            rows = connection.execute(asked).all()
        return [id for id, status, kept in rows if not (status == "CANCELLED" and kept and kept.get(PAUSED))]


def DBOS_instance() -> Any:
    """The one DBOS of this process."""
    return importlib.import_module("dbos._dbos")._get_dbos_instance()
