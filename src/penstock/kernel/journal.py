"""The journal: durable runs that end whatever crashes, as every room sees them.

A **run** executes a function that some room defined under a name. What it does to the world, it does in **steps**; the result of a step
is journalled when it completes, and a run whose process died is executed again from its beginning, with the results of completed steps
read back instead of doing them again. So between its steps the function must do the same each time it runs: no clock, no chance, no
reading of things that change; those belong into steps. A step that was under way when the process died is done again: it runs at least
once, and `StepKey` names it the same each time, for whoever must see it once.

Everything journalled is JSON: null, booleans, numbers, text, lists, objects with text keys.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import msgspec

from penstock.kernel.errors import NotFound
from penstock.kernel.waits import Wait

JOURNAL = "journal"
"""Name of the holding: on SQLite one process works on the journal, and answers what needs it."""


class RunState(enum.StrEnum):
    """Where a run stands. ``abandoned``: its process died more often than ``journal.recoveries`` allows; `Journal.resume` takes it up."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


def installed() -> bool:
    """Whether the extra that durable runs need is there."""
    return importlib.util.find_spec("dbos") is not None


ENDED = frozenset({RunState.DONE, RunState.FAILED, RunState.CANCELLED, RunState.ABANDONED})
"""States in which nothing more happens by itself."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How often a step is tried, and how long is waited in between: ``first_seconds``, then ``factor`` times as long each time."""

    attempts: int = 1
    first_seconds: float = 0.5
    factor: float = 2.0
    longest_seconds: float = 60.0


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``starts`` runs begin in any window of ``seconds``."""

    starts: int
    seconds: float


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue of runs and its limits, which hold across all processes; None is no limit.

    ``concurrency`` and ``rate`` are of the whole queue, ``tenant_concurrency`` and ``tenant_rate`` of each organisation, ``per_process``
    of each process. Within an organisation lower priorities go first, then older runs; between organisations turns are drawn, so that
    nobody's backlog holds up the others.
    """

    name: str
    concurrency: int | None = None
    rate: Rate | None = None
    tenant_concurrency: int | None = None
    tenant_rate: Rate | None = None
    per_process: int | None = 100


class StepKey(msgspec.Struct, frozen=True, kw_only=True):
    """What names a step the same in every process and every attempt: the run and the step's number in it, from 1.

    ``trace_id`` and ``span_id`` follow from them, so that a step that is done again reports itself under the ids of the first time
    instead of as something new; ``text`` is for ledgers and for providers that take an idempotency key.
    """

    run: str
    organisation: str
    number: int
    name: str

    @property
    def text(self) -> str:
        return f"{self.run}/{self.number}"

    @property
    def trace_id(self) -> str:
        return trace_of(self.run)

    @property
    def span_id(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


def trace_of(run: str) -> str:
    """The W3C trace id of a run: 32 hex digits that follow from its id."""
    return hashlib.sha256(run.encode()).hexdigest()[:32]


def span_of(run: str) -> str:
    """The span id of a run itself, within `trace_of`; the spans of its steps stand below it."""
    return hashlib.sha256(f"{run}/0".encode()).hexdigest()[:16]


current_step: ContextVar[StepKey | None] = ContextVar("penstock_step", default=None)
"""The step inside which the caller runs, None outside of any."""


class Child(Protocol):
    """A run that another run started."""

    id: str

    async def result(self) -> Any:
        """What it returned, once it has ended. Raises `StepFailed` when it failed or was cancelled. Only for the run that started it."""
        ...


class Run(Protocol):
    """What a run's function is given: itself, and everything durable that it may do.

    The calls may be made at once (``asyncio.gather``) as long as they are made in the same order each time.
    """

    id: str
    organisation: str
    labels: Mapping[str, str]

    async def step(self, name: str, function: Callable[..., Any], *args: Any, retry: Retry = ...) -> Any:
        """Call ``function(*args)``, a coroutine function (on the house's event loop) or a plain one (on a thread), and journal its result.

        Raises `StepFailed` when the last attempt raised; so too when the run is executed again.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; the time that passes while no process runs counts."""
        ...

    async def wait(self, topic: str, timeout: float | None = None) -> Any:
        """The next value signalled to this run under ``topic``, in the order of signalling, also one from before. TimeoutError without."""
        ...

    async def child(
        self,
        name: str,
        input: Any = None,
        *,
        queue: str | None = None,
        priority: int = 0,
        labels: Mapping[str, str] | None = None,
    ) -> Child:
        """Start another run for the same organisation; cancelled with this one."""
        ...

    async def write(self, stream: str, value: Any) -> None:
        """Append to a stream of this run, which others read while it runs; appended once, whatever crashes."""
        ...


Mine = Callable[[str, Any], bool]
"""Whether a run is meant, by its name and by what it was started with."""

RunFunction = Callable[[Run, Any], Awaitable[Any]]


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands. Times are Unix seconds. ``executions`` counts how often it was taken up, so one less than its recoveries."""

    id: str
    name: str
    version: int
    organisation: str
    state: RunState
    queue: str | None
    priority: int
    labels: dict[str, str]
    parent: str | None
    forked_from: str | None
    node: str | None
    executions: int
    created_at: float
    started_at: float | None
    updated_at: float
    ended_at: float | None
    trace_id: str
    error: str | None = None
    forked_by: tuple[str, ...] = ()
    """Ids of the keys and people who had it forked, and those before them where it is the fork of a fork; of a run that a schedule began,
    those whose fork had asked for the schedule."""
    waits: tuple[Wait, ...] = ()
    """What it waits for while it is running; told by `/v1/runs` and the console, and by no `Journal`."""


class StepInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A journalled step. ``kind`` is ``step``, ``sleep``, ``wait``, ``child``, ``result`` (of one), ``write``, ``signal``. ``child`` is
    the id of the child that was started."""

    number: int
    kind: str
    name: str
    attempts: int
    started_at: float | None
    ended_at: float | None
    child: str | None = None
    output: Any = None
    error: str | None = None


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs wait in a queue and how many of it run."""

    queue: str
    waiting: int
    running: int


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs are asked for; newest first. ``label`` is ``name=value``, or a name alone for whatever value. ``before`` is the id after
    which the last page ended."""

    state: RunState | None = None
    name: str | None = None
    queue: str | None = None
    parent: str | None = None
    label: str | None = None
    before: str | None = None
    limit: int = 50


class Journal(Protocol):
    """Durable runs. ``reach`` is `Principal.reach`: what lies beyond is not found.

    Everything but `define` and `declare` raises `JournalUnavailable` when there is no journal to work with.
    """

    async def ready(self) -> None:
        """Return once runs can be started; for whoever takes in much before they start one."""
        ...

    def define(self, name: str, function: RunFunction, *, version: int = 1) -> None:
        """Make ``function`` the code of runs of this name and version. Later versions stand beside earlier ones: a run keeps to the version
        with which it started, and waits where no process has that version. A change that alters the order of steps is a new version."""
        ...

    def declare(self, queue: Queue) -> None:
        """Make a queue, or change its limits."""
        ...

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
        """Start a run of the latest version and return its id once it cannot get lost: here at once, or from a queue wherever there is
        room. ``delay`` needs a queue; ``by`` is `RunInfo.forked_by`. A second start with the same ``key`` and organisation gives the
        first's id. Raises `NotFound` for a name or queue that is not known."""
        ...

    async def signal(self, reach: str | None, run: str, topic: str, value: Any = None, *, key: str | None = None) -> None:
        """Hand a value to a run, which may wait for it already or later; with a ``key``, once. `Conflict` when the run has ended."""
        ...

    async def cancel(self, reach: str | None, run: str) -> None:
        """End a run and its children; what runs on this or another node is stopped where it stands. `Conflict` when it has ended."""
        ...

    async def pause(self, reach: str | None, run: str) -> None:
        """Stop a run until `resume`; its children go on. A step under way is broken off. `Conflict` when it has ended."""
        ...

    async def resume(self, reach: str | None, run: str) -> None:
        """Take up a paused, cancelled or abandoned run where it stood. `Conflict` for one that runs, is done or has failed."""
        ...

    async def fork(self, reach: str | None, run: str, step: int, *, by: Sequence[str] = ()) -> str:
        """A new run that takes over the steps before number ``step`` and goes on from there by itself; its id. ``by`` are the ids, of a
        key and a person, of whoever wants it: `RunInfo.forked_by`."""
        ...

    async def get(self, reach: str | None, run: str) -> RunInfo:
        """One run."""
        ...

    async def given(self, reach: str | None, run: str) -> Any:
        """What a run was started with."""
        ...

    async def list(self, reach: str | None, wanted: RunFilter) -> Sequence[RunInfo]:
        """Runs, newest first."""
        ...

    async def whose(self, organisation: str, mine: Mine) -> Sequence[str]:
        """Ids of the runs of an organisation that have ended, those in the archive too, and were started with something for which ``mine``
        says yes, with all that ended below them. One that was started by a run which goes on waits for that one's end."""
        ...

    async def remove(self, organisation: str, runs: Collection[str]) -> None:
        """Take runs that `whose` has found out of the journal and the archive: as if they had never been. Raises `StorageError` where the
        archive cannot be written."""
        ...

    async def history(self, reach: str | None, run: str, *, after: int = 0, limit: int | None = None) -> Sequence[StepInfo]:
        """The completed steps of a run, in order: those numbered above ``after``, or the first ``limit`` of them."""
        ...

    def watch(self, reach: str | None, run: str, after: int = 0) -> AsyncIterator[StepInfo]:
        """The completed steps of a run in the order of their completion, as they complete; those after number ``after``, or all. Ends when
        the run has ended, or is paused. One that was resumed is watched anew."""
        ...

    async def depths(self, reach: str | None) -> Sequence[QueueDepth]:
        """The queues that hold or run something."""
        ...

    async def result(self, reach: str | None, run: str, timeout: float | None = None) -> Any:
        """What a run returned, once it has ended. Raises `StepFailed` when it did not return, TimeoutError after ``timeout`` seconds."""
        ...

    def stream(self, reach: str | None, run: str, name: str, offset: int = 0) -> AsyncIterator[Any]:
        """The values of a stream from ``offset`` on, as they come; ends when the run has ended."""
        ...


async def forkers(journal: Journal, run: str) -> frozenset[str]:
    """Who had a run, or one of those that it works for, made out of another: what it does is theirs as if they had begun it. Of one that is
    gone nobody knows."""
    found: set[str] = set()
    at: str | None = run
    with contextlib.suppress(NotFound):
        while at is not None:
            info = await journal.get(None, at)
            found.update(info.forked_by)
            at = info.parent
    return frozenset(found)
