"""Whether the caller stands in the function of a workflow, where what it does must be durable, or inside one step of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from penstock.kernel.errors import PenstockError
from penstock.kernel.journal import current_step

T = TypeVar("T")

Work = Callable[[], Any]
"""Something to do, with its arguments: a function of none, or `functools.partial` of an agent, a workflow, a tool, a function."""


class NotHere(PenstockError):
    """A durable call where there is no workflow to make it: outside of any, inside a step, or beside another one."""

    default_code = "not_durable_here"


class Here(Protocol):
    """The workflow that the caller stands in."""

    def noted(self, what: str, work: Coroutine[Any, Any, T], *, first: bool = False) -> Coroutine[Any, Any, T]:
        """The same call, remembered until somebody awaits it; ``first``: that must be before anything else is done."""
        ...

    async def parallel(self, works: Sequence[Work], at_once: int) -> list[Any]: ...

    async def one(self, work: Work) -> Any: ...

    async def sleep(self, seconds: float) -> None: ...

    async def ask(self, text: str, kind: Any, seconds: float | None, to: Sequence[str]) -> Any: ...

    async def hear(self, name: str, kind: Any, where: Mapping[str, Any], seconds: float | None) -> Any: ...


FLOW: ContextVar[Here | None] = ContextVar("penstock_flow", default=None)

Outside = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Coroutine[Any, Any, Any]]
OUTSIDE: ContextVar[Outside | None] = ContextVar("penstock_outside", default=None)
"""Runs an agent or a workflow that a test calls."""


def here() -> Here | None:
    """The workflow that the caller stands in; None outside of any, and inside a step, which is journalled as a whole."""
    return FLOW.get() if current_step.get() is None else None


def flow(what: str) -> Here:
    """The same, for what only a workflow can do. Raises `NotHere`."""
    found = here()
    if found is not None:
        return found
    if current_step.get() is not None:
        raise NotHere(
            f"{what} waits durably, and a tool or a step is done or done again as a whole: "
            "make it a @workflow, and give that to the agent as its tool"
        )
    raise NotHere(f"{what} is for workflows: start one under Penstock, or in a test with penstock.agents.testing.Trial")
