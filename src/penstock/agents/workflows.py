"""Workflows: plain async functions that run durably. What they call in agents, tools, other workflows and steps is done once and kept."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

import msgspec
from msgspec import structs

from penstock.agents.asking import People
from penstock.agents.flow import Flow, LimitReached, Occasions, called
from penstock.agents.here import FLOW
from penstock.agents.limits import Limits
from penstock.agents.performing import told
from penstock.agents.running import Ended, Running
from penstock.agents.startable import Startable, described, input_of
from penstock.agents.tools import builtins
from penstock.kernel.errors import StepFailed

P = ParamSpec("P")
R = TypeVar("R")

USUAL = {"calls": 1000, "depth": 4}
"""Limits of a workflow that says nothing of these."""


class Workflow(Startable, Generic[P, R]):
    """An async function that runs durably (`workflow`). Called within another workflow, or a test, it is run and waited for.

    Between what it calls it must do the same each time: it is executed from its beginning again after a crash, and what was done is read
    back. No clock, no chance, nothing read that changes, but in a `penstock.agents.step`.
    """

    kind = "workflow"

    def __init__(
        self, function: Callable[P, Coroutine[Any, Any, R]], *, name: str = "", description: str = "", limits: Limits | None = None
    ) -> None:
        named = name or function.__name__
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"the workflow {named} must be an async function: write `async def {function.__name__}`")
        _, first = described(function)
        arguments, text_name, returns = input_of(named, function)
        given = limits or Limits()
        limits = structs.replace(given, **{field: value for field, value in USUAL.items() if getattr(given, field) is None})
        super().__init__(
            named, description=description or first, limits=limits, arguments=arguments, output=returns, text_name=text_name or "question"
        )
        self.function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Have it done by a run of its own, below the one that calls, and wait. Raises `StepFailed` where it did not return."""
        return called(self, args, kwargs)


@overload
def workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *, name: str = "", description: str = "", limits: Limits | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Workflow[P, R]]: ...
def workflow(function: Any = None, /, **terms: Any) -> Any:
    """Make an async function a `Workflow`; its arguments are the input, its return type that of the output, its docstring says what it is
    for. It is started by its name like an agent, and may be among an agent's tools."""

    def made(given: Callable[..., Coroutine[Any, Any, Any]]) -> Workflow[..., Any]:
        return Workflow(given, **terms)

    return made if function is None else made(function)


async def go(one: Workflow[..., Any], running: Running, people: People, occasions: Occasions, met: Callable[[Startable], None]) -> Ended:
    """One run of a workflow. Only faults of the journal itself are raised."""
    await running.begin()
    flow = Flow(running, one.name, people, occasions, met)
    token = FLOW.set(flow)
    try:
        if one.arguments is None:
            result = await one.function(running.start.input)
        else:
            given = msgspec.convert(running.start.input, one.arguments)
            result = await one.function(**{field: getattr(given, field) for field in one.arguments.__struct_fields__})
        flow.forgotten()
        output = builtins(f"what the workflow {one.name} returns", result)
        if one.output is not Any:
            msgspec.convert(output, one.output)
    except LimitReached as fault:
        return running.ended("limit", f"limit_{fault.limit}", fault.message)
    except Exception as fault:  # whatever the function raises is how its run ended
        if flow.broken is not None:
            raise
        code = fault.step_code if isinstance(fault, StepFailed) else getattr(fault, "code", None)
        return running.ended("failed", code if isinstance(code, str) and code else "workflow_failed", told(fault))
    finally:
        FLOW.reset(token)
        flow.close()
    return running.ended("done", output=output)
