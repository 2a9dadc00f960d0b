"""The journal as the house uses it: opened when it is first needed, asked from the house's event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from penstock.journal.settings import JournalSettings
from penstock.journal.terms import FORKED_BY, LABELS, QUEUE, Definition, file_of, is_shared, keyed, missing
from penstock.kernel.errors import Conflict, JournalInUse, JournalNotInstalled, JournalUnavailable, NotFound, RequestError
from penstock.kernel.events import Events, RunEnded
from penstock.kernel.ids import new_id
from penstock.kernel.journal import ENDED, JOURNAL, Mine, Queue, QueueDepth, RunFilter, RunFunction, RunInfo, RunState, StepInfo, installed
from penstock.kernel.waits import Wait

if TYPE_CHECKING:
    from penstock.journal.engine import Engine
    from penstock.journal.place import Place
    from penstock.journal.reading import Reader
    from penstock.journal.retention import Retention
    from penstock.journal.waits import Only

T = TypeVar("T")

_log = logging.getLogger("penstock.journal")

THREADS = 8
"""Threads on which the house's questions wait for the journal's database."""

STREAM_PAGE = 256

MOST_PRIORITY = 2**31 - 2


class JournalService:
    """Implements `penstock.kernel.journal.Journal` for one house. Opening it loads DBOS, which takes a good part of a second, so a house
    without runs never does."""

    name = JOURNAL

    def __init__(self, settings: JournalSettings, url: str, data_dir: Path, *, works: bool = True, events: Events | None = None) -> None:
        self._settings = settings
        self._url = url
        self._data_dir = data_dir
        self.works = works
        self._events = events if events is not None else Events()
        self._definitions: dict[str, Definition] = {}
        self._pending: list[tuple[str, int, RunFunction]] = []
        self._queues: dict[str, Queue] = {}
        self._engine: Engine | None = None
        self._reader: Reader | None = None
        self._opening = asyncio.Lock()
        self._retiring = asyncio.Lock()
        self._closed = False
        self.held = False
        """Whether this process works on the journal, or is about to."""
        self.unreadable = 0
        """Runs that ended long ago and stay, since they cannot be read for the archive; as of the last look."""
        self._threads = ThreadPoolExecutor(THREADS, "penstock-journal")

    @property
    def used(self) -> bool:
        """Whether any room has defined a run."""
        return bool(self._pending or self._definitions)

    @property
    def shared(self) -> bool:
        """Whether several processes may work on it."""
        return is_shared(self._url)

    @property
    def open(self) -> bool:
        """Whether it works."""
        return self._engine is not None

    @property
    def begun(self) -> bool:
        """Whether there may be runs of an earlier process, or of another one."""
        return is_shared(self._url) or file_of(self._url, self._data_dir).exists()

    @property
    def _nothing(self) -> bool:
        """Whether there can be no runs, so that a question about them need not open anything. Without the extra nobody can know."""
        return installed() and not self.open and not self.begun

    def define(self, name: str, function: RunFunction, *, version: int = 1) -> None:
        if not name or "@" in name or len(name) > 200 or version < 1:
            raise ValueError(f"a run's name is text without '@' and its version a positive number, not {name!r} {version}")
        if any(n == name and v == version for n, v, _ in self._pending) or f"{name}@{version}" in self._definitions:
            raise ValueError(f"two functions are defined as version {version} of {name!r}")
        if self._engine is None:
            self._pending.append((name, version, function))
        else:
            self._define(name, version, function, self._engine)

    def declare(self, queue: Queue) -> None:
        self._queues[queue.name] = queue
        if self._engine is not None:
            engine = self._engine
            self._threads.submit(engine.declare, queue).result()

    async def ready(self) -> None:
        await self.begin()

    async def begin(self) -> Engine:
        """Open the journal, or give the open one. Raises `JournalNotInstalled`, `JournalInUse`, `JournalUnavailable`."""
        if self._engine is not None:
            return self._engine
        async with self._opening:
            if self._engine is not None:
                return self._engine
            if self._closed:
                raise JournalUnavailable("the journal is closed")
            require()
            # DBOS is an extra and takes 0.4 s to import.
            house = asyncio.get_running_loop()
            engine = await house.run_in_executor(self._threads, self._launch, house)
            self._engine = engine
            return engine

    async def take(self, *, change: bool) -> bool:
        """See `penstock.kernel.capability.Holding.take`."""
        if not change and self._nothing:
            return True
        try:
            await self.begin()
        except JournalInUse:
            return False
        except JournalUnavailable:
            return True  # whoever asks for runs is told what is wrong
        return True

    async def close(self) -> None:
        """Stop what runs and hand it on. Opening again is an error."""
        async with self._opening:
            self._closed = True
            engine, self._engine = self._engine, None
            if engine is not None:
                await asyncio.get_running_loop().run_in_executor(self._threads, engine.close)
            self.held = False
            self._threads.shutdown(wait=False)

    async def start(
        self,
        name: str,
        input: Any = None,
        *,
        organisation: str,
        queue: str | None = None,
        priority: int = 0,
        key: str | None = None,
        labels: Mapping[str, str] | None = None,
        delay: float = 0.0,
        by: Sequence[str] = (),
    ) -> str:
        engine = await self.begin()
        if not 0 <= priority <= MOST_PRIORITY:
            raise RequestError(f"priority: {priority} is not between 0 and {MOST_PRIORITY}", param="priority")
        if queue is None and (priority or delay):
            raise RequestError("priority and delay are of queues; name one", param="queue")
        if queue is not None and queue not in self._queues:
            raise NotFound(f"no queue {queue!r} is declared", param="queue")
        id = new_id("run") if key is None else keyed(organisation, key)
        kept: dict[str, Any] = {LABELS: dict(labels or {}), QUEUE: queue} | ({FORKED_BY: list(by)} if by else {})
        await self._ask(lambda: engine.start(name, input, organisation, queue, priority=priority, attributes=kept, id=id, delay=delay))
        return id

    async def signal(self, reach: str | None, run: str, topic: str, value: Any = None, *, key: str | None = None) -> None:
        for name, text in (("topic", topic), ("key", key or "")):
            if "\0" in text:  # which no database holds in a text
                raise RequestError(f"{name}: a text without NUL characters is wanted", param=name)
        engine, found = await self._found(reach, run)
        _refuse(found, ENDED, "takes no signals any more")
        await self._ask(lambda: engine.signal(run, topic, value, key))

    async def cancel(self, reach: str | None, run: str) -> None:
        engine, found = await self._found(reach, run)
        _refuse(found, ENDED, "cannot be cancelled")
        ended = await self._ask(lambda: engine.cancel(run))
        if self._events.heard(RunEnded):
            for id in ended:
                self._tell(await self.get(None, id))

    def _tell(self, run: RunInfo) -> None:
        if run.state is RunState.CANCELLED:  # one below it may have ended otherwise, and has said so
            at = run.ended_at or run.updated_at
            named = (run.id, run.name, run.version, run.organisation, run.state.value)
            self._events.publish(RunEnded(*named, run.labels, run.created_at, at, run.executions, run.parent))

    async def pause(self, reach: str | None, run: str) -> None:
        engine, found = await self._found(reach, run)
        _refuse(found, ENDED, "cannot be paused")
        if found.state is not RunState.PAUSED:
            await self._ask(lambda: engine.pause(run))

    async def resume(self, reach: str | None, run: str) -> None:
        engine, found = await self._found(reach, run)
        _refuse(found, {RunState.QUEUED, RunState.RUNNING, RunState.DONE, RunState.FAILED}, "has nothing to resume")
        await self._ask(lambda: engine.resume(run, found.queue))

    async def fork(self, reach: str | None, run: str, step: int, *, by: Sequence[str] = ()) -> str:
        engine, found = await self._found(reach, run)
        if step < 1:
            raise RequestError("steps are numbered from 1", param="step")
        return await self._ask(lambda: engine.fork(run, step, found.queue, found.organisation, (*found.forked_by, *by)))

    async def get(self, reach: str | None, run: str) -> RunInfo:
        return (await self._found(reach, run))[1]

    async def given(self, reach: str | None, run: str) -> Any:
        await self._found(reach, run)
        reader = await self._read()
        return await self._ask(lambda: reader.given(run))

    async def list(self, reach: str | None, wanted: RunFilter, *, only: Only | None = None) -> Sequence[RunInfo]:
        texts = (wanted.name, wanted.queue, wanted.parent, wanted.label, wanted.before)
        none = any("\0" in text for text in texts if text is not None) or (wanted.label is not None and _no_label(wanted.label))
        if self._nothing or none:
            if wanted.before is not None:
                raise missing(wanted.before)
            return []
        reader = await self._read()
        return await self._ask(lambda: reader.list(reach, wanted, only))

    async def waits(self, runs: Sequence[str]) -> Mapping[str, Sequence[Wait]]:
        """What these runs wait for, as far as the journal knows; without those that wait for nothing."""
        reader = await self._read()
        return await self._ask(lambda: reader.waits(runs))

    async def history(self, reach: str | None, run: str, *, after: int = 0, limit: int | None = None) -> Sequence[StepInfo]:
        await self._found(reach, run)
        reader = await self._read()
        return await self._ask(lambda: reader.history(run, after, limit))

    async def watch(self, reach: str | None, run: str, after: int = 0) -> AsyncIterator[StepInfo]:
        engine, _ = await self._found(reach, run)
        reader = await self._read()

        async def over() -> bool:
            state = (await self._ask(lambda: reader.get(reach, run))).state
            return state in ENDED or state is RunState.PAUSED

        steps = engine.watching.watch(
            run,
            after,
            lambda since: self._ask(lambda: reader.marks(run, since)),
            lambda numbers: self._ask(lambda: reader.steps(run, numbers)),
            over,
        )
        async with contextlib.aclosing(steps):
            async for step in steps:
                yield step

    async def depths(self, reach: str | None) -> Sequence[QueueDepth]:
        if self._nothing:
            return []
        reader = await self._read()
        return await self._ask(lambda: reader.depths(reach))

    async def result(self, reach: str | None, run: str, timeout: float | None = None) -> Any:
        engine, _ = await self._found(reach, run)
        reader = await self._read()
        ended = asyncio.run_coroutine_threadsafe(engine.endings.wait(run), engine.loop)
        await asyncio.wait_for(asyncio.wrap_future(ended), timeout)
        return await self._ask(lambda: reader.outcome(run))

    async def stream(self, reach: str | None, run: str, name: str, offset: int = 0) -> AsyncIterator[Any]:
        engine, _ = await self._found(reach, run)
        async for value in engine.stream(run, name, offset):
            yield value

    async def retire(self, now: float) -> int:
        """Take out runs that were kept long enough, if the journal is open and this process is the one to do it; how many there were.
        Raises `StorageError` where they cannot be archived."""
        engine, kept = self._engine, self._settings.keep_days
        if engine is None or not kept:
            return 0
        from penstock.journal.retention import FIRST  # needs DBOS, which is an extra

        retention, gone, unreadable, at = await self._retention(), 0, 0, FIRST
        while at is not None and await self._ask(engine.leads):
            async with self._retiring:
                page = await self._ask(partial(retention.retire, now - kept * 86_400, at))
            gone, unreadable, at = gone + page.taken, unreadable + len(page.unreadable), page.next
        self.unreadable = unreadable
        if gone:
            _log.info("took out runs that ended long ago", extra={"runs": gone})
        return gone

    async def whose(self, organisation: str, mine: Mine) -> Sequence[str]:
        if not self.open and not self.begun:
            return ()
        retention = await self._retention()
        async with self._retiring:
            return await self._ask(lambda: retention.whose(organisation, mine))

    async def remove(self, organisation: str, runs: Collection[str]) -> None:
        retention = await self._retention()
        async with self._retiring:
            await self._ask(lambda: retention.remove(organisation, runs))

    async def _retention(self) -> Retention:
        engine, reader = await self.begin(), await self._read()
        from penstock.journal.retention import FOLDER, Retention  # needs DBOS, which is an extra

        return Retention(engine.system, reader, self._data_dir / FOLDER, archive=self._settings.archive)

    def _launch(self, house: asyncio.AbstractEventLoop) -> Engine:
        from penstock.journal.place import Place

        # Before the engine is loaded: a process that stands by for another's journal is spared it.
        place = Place(self._url, self._data_dir, self._settings.lease_seconds)
        try:
            place.lock()
            self.held = True
            engine = self._launched(place, house)
        except BaseException:
            self.held = False
            place.close()
            raise
        return engine

    def _launched(self, place: Place, house: asyncio.AbstractEventLoop) -> Engine:
        from penstock.journal.engine import Engine
        from penstock.journal.reading import Reader

        engine = Engine(place, new_id("node"), self._settings, self._definitions, house, self._events)
        for name, version, function in self._pending:
            self._define(name, version, function, None)
        engine.launch(works=self.works)
        self._pending.clear()
        for queue in self._queues.values():
            engine.declare(queue)
        self._reader = Reader(engine.system)
        return engine

    def _define(self, name: str, version: int, function: RunFunction, engine: Engine | None) -> None:
        definition = Definition(name, version, function)
        self._definitions[definition.full] = definition
        if engine is not None:
            engine.register(definition)

    async def _read(self) -> Reader:
        await self.begin()
        assert self._reader is not None
        return self._reader

    async def _found(self, reach: str | None, run: str) -> tuple[Engine, RunInfo]:
        if self._nothing or "\0" in run:
            raise missing(run)
        engine = await self.begin()
        reader = await self._read()
        return engine, await self._ask(lambda: reader.get(reach, run))

    async def _ask(self, work: Callable[[], T]) -> T:
        """Ask the database on a thread. Raises `JournalUnavailable` where it does not answer, besides what the question itself raises."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except SQLAlchemyError as fault:
            # Without its cause: the text of a database's fault may hold what was asked with.
            raise JournalUnavailable(f"the journal's database does not answer ({type(fault).__name__})", retry_after=1.0) from None


def require() -> None:
    """Raises `JournalNotInstalled` without the extra."""
    if not installed():
        raise JournalNotInstalled("durable runs need the extra 'journal', which is not installed; pip install 'penstock[journal]'")


def _no_label(asked: str) -> bool:
    """Whether it names what no run has, and SQLite takes for no path within JSON."""
    name = asked.partition("=")[0]
    return not name or '"' in name


def _refuse(found: RunInfo, states: frozenset[RunState] | set[RunState], why: str) -> None:
    if found.state in states:
        raise Conflict(f"run {found.id} is {found.state.value} and {why}")
