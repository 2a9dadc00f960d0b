"""A workflow at work: what its function calls becomes steps and runs below it, in an order that is the same each time it is executed."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar, cast, get_type_hints

import msgspec
from msgspec import Struct

from penstock.agents.asking import Asking, People
from penstock.agents.here import OUTSIDE, NotHere, Work, flow, here
from penstock.agents.inbox.consent import SOONEST
from penstock.agents.inbox.requests import topic
from penstock.agents.performing import Outcome
from penstock.agents.running import Ended, Running, Wanted
from penstock.agents.startable import Startable
from penstock.agents.threads import THREADS
from penstock.agents.tools import BadArguments, Tool, builtins
from penstock.kernel.agents import ASK, AgentRequest
from penstock.kernel.errors import NotFound, PenstockError, StepFailed
from penstock.kernel.journal import Child, Run, current_step
from penstock.kernel.wording import as_text

T = TypeVar("T")


class LimitReached(PenstockError):
    """Nothing is left of one of the run's limits; the run ends with that."""

    default_code = "limit_reached"

    def __init__(self, limit: str) -> None:
        super().__init__(f"the limit on {limit} was reached")
        self.limit = limit


class Heard(Struct, frozen=True, kw_only=True):
    """An event that a run waited for: its id, its data, and when it was sent, in Unix seconds."""

    id: str
    data: Any
    at: float


class Occasions(Protocol):
    """Who keeps events, and tells runs of those that they wait for."""

    async def listen(
        self, wait: str, run: Run, topic: str, name: str, where: Mapping[str, Any], after: float, but: Sequence[str]
    ) -> Heard | None:
        """Have the run told, once, of the next event that fits; or give one that was sent ``after`` that time, ``but`` none of these."""
        ...

    async def leave(self, wait: str) -> None:
        """Tell it no more."""
        ...


class Flow:
    """Implements `penstock.agents.here.Here` for one run of a workflow."""

    def __init__(self, running: Running, name: str, people: People, occasions: Occasions, met: Callable[[Startable], None]) -> None:
        """``met`` is told what is about to be run below it, and raises `NotFound` for what cannot be."""
        self._running = running
        self._run = running.run
        self._name = name
        self._people = people
        self._occasions = occasions
        self._met = met
        self._busy = False
        self._asked = 0
        self._listened = 0
        self._heard: list[str] = []
        self._noted: list[tuple[str, Coroutine[Any, Any, Any], bool]] = []
        self.broken: Exception | None = None
        """A fault of the journal itself, which is no outcome of the workflow."""

    def noted(self, what: str, work: Coroutine[Any, Any, T], *, first: bool = False) -> Coroutine[Any, Any, T]:
        self._noted = [*self._left(), (what, work, first)]
        return work

    def forgotten(self, *, first: bool = False) -> None:
        """Raise `NotHere` for a call that nobody awaited, so that nothing was done: of all or, ``first``, of those that must be over before
        another begins."""
        lost = [what for what, _, before in self._left() if before or not first]
        if lost:
            raise NotHere(f"{lost[0]} was called without `await`, so nothing of it was done: write `await {lost[0][:-1]}...)`")

    def close(self) -> None:
        """Drop what nobody awaited: the function is over."""
        for _, work, _ in self._left():
            work.close()

    def _left(self) -> list[tuple[str, Coroutine[Any, Any, Any], bool]]:
        return [one for one in self._noted if inspect.getcoroutinestate(one[1]) == inspect.CORO_CREATED]

    async def one(self, work: Work) -> Any:
        (result,) = await self.parallel((work,), 1)
        if isinstance(result, StepFailed):
            raise result
        return result

    async def parallel(self, works: Sequence[Work], at_once: int) -> list[Any]:
        if at_once < 1:
            raise ValueError("at_once: at least one has to be done at once")
        with self._alone():
            return await self._all(works, at_once)

    async def sleep(self, seconds: float) -> None:
        with self._alone():
            self._count()
            await self._running.pause(seconds)
            self._check()

    async def ask(self, text: str, kind: Any, seconds: float | None, to: Sequence[str]) -> Any:
        """The answer as its type says. TimeoutError where nobody answered in time."""
        running, run = self._running, self._run
        with self._alone():
            self._count()
            self._asked += 1
            asking = Asking(
                run=run.id,
                organisation=run.organisation,
                key=running.start.key,
                person=running.start.person,
                agent=self._name,
                ordinal=self._asked,
                text=text,
                schema={"type": "string"} if kind is str else msgspec.json.schema(kind),
                seconds=seconds,
                to=tuple(to),
            )
            request = msgspec.convert(await run.step(ASK, self._open, asking), AgentRequest)
            running.spend(at=request.opened_at)
            try:
                given = await self._wait(topic(request.id), SOONEST if request.run != run.id and seconds is None else seconds)
            except TimeoutError:
                if seconds is not None:
                    raise
                # A fork has the question of the run whose journal it has, and not its answer: it asks for itself.
                request = msgspec.convert(await run.step(ASK, self._open, asking), AgentRequest)
                running.spend(at=request.opened_at)
                given = await self._wait(topic(request.id), None)
            running.spend(at=given.get("at") or 0.0)
            running.reading.told("answer", request.id, as_text(given.get("value")))
            return msgspec.convert(given.get("value"), kind)

    async def hear(self, name: str, kind: Any, where: Mapping[str, Any], seconds: float | None) -> Any:
        """The data of the event as its type says. TimeoutError where there was none in time."""
        run = self._run
        with self._alone():
            self._count()
            self._listened += 1
            wait, topic = f"{run.id}/event/{self._listened}", f"event/{self._listened}"
            found = await run.step(f"listen {name}", self._listen, wait, topic, name, where)
            if found is None:
                try:
                    found = await self._wait(topic, seconds)
                except TimeoutError:
                    await run.step(f"leave {name}", self._occasions.leave, wait)
                    raise
            heard = msgspec.convert(found, Heard)
            self._heard.append(heard.id)
            self._running.spend(at=heard.at)
            self._running.reading.told("event", name, as_text(heard.data))
            return msgspec.convert(heard.data, kind)

    async def _open(self, asking: Asking) -> Any:
        return msgspec.to_builtins(await self._people.open(asking))

    async def _listen(self, wait: str, topic: str, name: str, where: Mapping[str, Any]) -> Any:
        running = self._running
        since = running.start.at or running.spent.began
        heard = await self._occasions.listen(wait, self._run, topic, name, where, since, self._heard)
        return msgspec.to_builtins(heard)

    async def _wait(self, topic: str, seconds: float | None) -> Any:
        """What is signalled, within that time and that of the run."""
        running = self._running
        spent, limit = running.spent, running.limits.seconds
        left = None if limit is None else max(0.0, spent.began + limit - spent.at)
        within = min((one for one in (seconds, left) if one is not None), default=None)
        try:
            return await self._run.wait(topic, within)
        except TimeoutError:
            running.spend(at=spent.at + (within or 0.0) + 1e-6)
            self._check()
            raise

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Two durable calls at once would be numbered by chance."""
        if self._busy:
            raise NotHere("a workflow does one durable thing at a time; give what shall be done at once to parallel()")
        self.forgotten(first=True)
        self._busy = True
        try:
            yield
        except (StepFailed, NotHere, LimitReached, NotFound, TimeoutError, BadArguments, TypeError, ValueError):
            raise
        except Exception as fault:
            self.broken = fault  # of the journal, or of its database
            raise
        finally:
            self._busy = False

    def _check(self) -> None:
        reached = self._running.reached()
        if reached is not None:
            raise LimitReached(reached)

    def _count(self) -> None:
        """Waits count as calls, or a workflow that waits again and again would never end."""
        self._check()
        self._running.spend(calls=1)

    async def _all(self, works: Sequence[Work], at_once: int) -> list[Any]:
        """Children are started first and waited for last, one for each that has returned; steps stand in between. So the order of all
        follows from the order of ``works``, whatever takes how long."""
        running = self._running
        self._check()
        found: list[Any] = [None] * len(works)
        wanted: list[Wanted] = []
        plain: list[tuple[int, Any, tuple[Any, ...], Mapping[str, Any]]] = []
        below: list[tuple[int, Startable, Any]] = []
        for place, work in enumerate(works):
            target, args, kwargs = _taken_apart(work)
            limit = running.reached()
            if limit is not None:
                found[place] = StepFailed(f"the limit on {limit} was reached", kind="LimitReached", step_code=f"limit_{limit}")
            elif isinstance(target, Startable):
                self._met(target)
                running.spend(calls=1)
                below.append((place, target, target.bound(args, kwargs)))
            elif isinstance(target, Tool):
                tool = cast("Tool[..., Any]", target)
                wanted.append(running.want(place, "", tool, tool.bound(args, kwargs)))
            else:
                running.spend(calls=1)
                plain.append((place, target, args, kwargs))
        share = len(below)
        started: list[Child] = [await self._hand(one, given, share) for _, one, given in below[:at_once]]
        room = asyncio.Semaphore(at_once)
        steps = [self._run.step(f"do {_name(function)}", self._do, function, a, k, room) for _, function, a, k in plain]
        done = asyncio.gather(*steps, return_exceptions=True)
        for one, outcome in await running.together(wanted, at_once) if wanted else ():
            found[one.place] = _result(one.tool, outcome)
        for (place, function, _, _), result in zip(plain, await done, strict=True):
            if isinstance(result, BaseException) and not isinstance(result, StepFailed):
                raise result
            found[place] = result if isinstance(result, StepFailed) else self._read(function, result)
        for at, (place, one, _) in enumerate(below):
            found[place] = await self._returned(one, started[at])
            if len(started) < len(below):
                _, following, given = below[len(started)]
                started.append(await self._hand(following, given, share))
        return found

    async def _hand(self, one: Startable, given: Any, among: int) -> Child:
        return await self._running.hand(one.run, {one.kind: one.name}, given, among=among)

    async def _returned(self, one: Startable, child: Child) -> Any:
        try:
            ended = await self._running.returned(child)
        except StepFailed as fault:
            return fault
        return one.typed(ended.output) if ended.state == "done" else _failed(one, ended)

    async def _do(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], room: asyncio.Semaphore) -> Any:
        async with room, asyncio.timeout(self._running.left_seconds()):
            if inspect.iscoroutinefunction(function):
                value = await function(*args, **kwargs)
            else:
                value = await THREADS.call(partial(function, *args, **kwargs))
                if inspect.isawaitable(value):
                    value = await value
        return {"value": builtins(f"what {_name(function)}() returns", value), "at": time.time()}

    def _read(self, function: Any, told: Any) -> Any:
        self._running.spend(at=told["at"])
        kind = _returns(function)
        return told["value"] if kind is Any else msgspec.convert(told["value"], kind)


def _taken_apart(work: Work) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    function: Callable[..., Any] = work
    while isinstance(function, partial):
        held = cast("partial[Any]", function)
        args, kwargs = (*held.args, *args), {**held.keywords, **kwargs}
        function = held.func
    if not callable(function):
        raise TypeError(f"parallel() takes functions, not {type(work).__name__}: write partial(look_up, order), not look_up(order)")
    return function, args, kwargs


def _name(function: Any) -> str:
    return getattr(function, "__name__", None) or getattr(function, "name", type(function).__name__)


def _returns(function: Any) -> Any:
    try:
        return get_type_hints(function).get("return", Any)
    except (TypeError, NameError):  # no function with hints, or one whose types stand in another function
        return Any


def _result(tool: Tool[..., Any], outcome: Outcome) -> Any:
    """What a tool returned, as its type says; or the failure that its call was."""
    if outcome.state != "done" or outcome.code:
        said = outcome.text if outcome.state != "done" else f"what {tool.name} returned cannot be read back: {outcome.code}"
        return StepFailed(said, kind="InDoubt" if outcome.state == "in_doubt" else "ToolFailed", step_code=outcome.code)
    value: Any = outcome.text if outcome.plain else msgspec.json.decode(outcome.text)
    return value if tool.returns is Any else msgspec.convert(value, tool.returns)


def _failed(one: Startable, ended: Ended) -> StepFailed:
    return StepFailed(ended.message or f"{one.name} ended as {ended.state}", kind=ended.state, step_code=ended.code)


def called(one: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
    """Run it below the workflow that the caller stands in, or for the test that does, and wait. Raises `NotHere`."""
    outside = OUTSIDE.get()
    if outside is not None and here() is None and current_step.get() is None:
        return outside(one, args, kwargs)
    what = f"{_name(one)}()"
    found = flow(what)
    return found.noted(what, found.one(partial(one, *args, **kwargs)))
