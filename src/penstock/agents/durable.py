"""What a workflow may do besides calling agents, tools and other workflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

from penstock.agents.here import flow
from penstock.kernel.errors import StepFailed

T = TypeVar("T")
D = TypeVar("D")

_NONE: Any = object()


@overload
async def step(function: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T: ...
@overload
async def step(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T: ...
def step(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function, async or not, once, and keep what it returns: JSON, or what msgspec makes JSON of. It may be done twice where the
    process dies meanwhile; what must not be is a tool. Raises `StepFailed` where it raised."""
    found = flow("step()")
    return found.noted("step()", found.one(partial(function, *args, **kwargs)))


async def parallel(*works: Callable[[], Awaitable[T]] | Callable[[], T], at_once: int = 8) -> list[T | StepFailed]:
    """Do all of it, so many at once, and give what each returned, in their order; in place of one that failed stands its `StepFailed`.

    ``works`` are `functools.partial` of agents, workflows, tools and functions, or functions of no arguments. Each is done as one: a
    branch of several durable calls is a workflow. Agents and workflows share what is left of the limits in equal parts.
    """
    return await flow("parallel()").parallel(works, at_once)


@overload
async def ask_human(text: str, kind: type[T], *, seconds: float | None = None, to: Sequence[str] = ()) -> T: ...
@overload
async def ask_human(text: str, kind: type[T], *, seconds: float | None = None, default: D, to: Sequence[str] = ()) -> T | D: ...
@overload
async def ask_human(text: str, *, seconds: float | None = None, default: str = ..., to: Sequence[str] = ()) -> str: ...
def ask_human(text: str, kind: Any = str, *, seconds: float | None = None, default: Any = _NONE, to: Sequence[str] = ()) -> Any:
    """Ask people, and wait for an answer of that type. Where nobody has answered within ``seconds`` it is the default, or TimeoutError is
    raised. ``to`` are those who may answer (``person:ID``, ``team:ID``, ``admins``); if none are named, anybody who may."""
    found = flow("ask_human()")

    async def ask() -> Any:
        try:
            return await found.ask(text, kind, seconds, to)
        except TimeoutError:
            if default is _NONE:
                raise
            return default

    # Without `await` it would count as a yes to `if ask_human(...)`.
    return found.noted("ask_human()", ask(), first=True)


def sleep(seconds: float) -> Coroutine[Any, Any, None]:
    """Wait; the time that passes while no process runs counts."""
    found = flow("sleep()")
    return found.noted("sleep()", found.sleep(seconds))


@overload
async def on_event(name: str, kind: type[T], *, where: Mapping[str, Any] = ..., seconds: float | None = None) -> T: ...
@overload
async def on_event(name: str, *, where: Mapping[str, Any] = ..., seconds: float | None = None) -> Any: ...
async def on_event(name: str, kind: Any = Any, *, where: Mapping[str, Any] = {}, seconds: float | None = None) -> Any:
    """Wait for the next event of that name of this organisation whose data has the values of ``where`` (``{"order": "7"}``; a dot goes
    into what is within: ``order.id``), and give its data. One that was sent since the run began counts too, each once. TimeoutError where
    there was none within ``seconds``."""
    return await flow("on_event()").hear(name, kind, where, seconds)
