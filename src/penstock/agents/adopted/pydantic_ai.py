"""Agents of Pydantic AI."""

# The framework is not in the environment that checks types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.toolsets import AbstractToolset, FunctionToolset, WrapperToolset
from pydantic_ai.toolsets.abstract import ToolsetTool
from pydantic_core import to_jsonable_python

from penstock.agents.adopted.boundary import BOUNDARY, Adopted, durable, effect_of, value_of
from penstock.agents.adopted.line import URL, http_client
from penstock.agents.limits import Limits
from penstock.agents.tools import Effect


def adopt(
    agent: Agent[Any, Any],
    *,
    model: str,
    name: str = "",
    description: str = "",
    effects: Mapping[str, Effect] | None = None,
    usual: Effect = "write",
    limits: Limits | None = None,
    deps: Any = None,
) -> Adopted:
    """Bring in an agent as it is; outside of our runs it stays what it was.

    ``model`` is asked in place of its own: any name that calls may use. ``effects`` says what its tools do to the world, by name, ``usual``
    what the others do. ``deps`` are given to each run. What its tools give is read back as JSON. What a tool raises is told to the model.

    Raises ValueError for an agent without a name.
    """
    named = name or agent.name
    if not named:
        raise ValueError("give the agent a name, here or where it is made")
    told = effects or {}

    async def go(input: Any) -> Any:
        # Made for each run: clients belong to the loop that they are used on.
        client = _client()
        toolsets = [one.visit_and_replace(lambda leaf: _Durable(leaf, told, usual)) for one in agent.toolsets]
        provider = OpenAIProvider(openai_client=client)
        with agent.override(model=OpenAIChatModel(model, provider=provider), toolsets=toolsets, tools=[]):
            result = await agent.run(input, deps=deps, infer_name=False)
        return to_jsonable_python(result.output)

    return Adopted(
        named,
        go,
        model=model,
        tools={one: effect_of(one, told, usual) for one in _tools_of(agent)},
        description=description,
        output=str if agent.output_type is str else Any,
        limits=limits,
    )


def _client() -> Any:
    from openai import AsyncOpenAI

    return AsyncOpenAI(http_client=http_client(), base_url=URL, api_key="-", max_retries=0)


def _tools_of(agent: Agent[Any, Any]) -> list[str]:
    """The names of its functions; what other toolsets hold is known when they are asked."""
    found: set[str] = set()
    for toolset in agent.toolsets:

        def look(leaf: AbstractToolset[Any]) -> None:
            if isinstance(leaf, FunctionToolset):
                found.update(cast("FunctionToolset[Any]", leaf).tools)

        toolset.apply(look)
    return sorted(found)


@dataclasses.dataclass
class _Durable(WrapperToolset[Any]):
    """A toolset whose calls are steps of our run."""

    effects: Mapping[str, Effect]
    usual: Effect

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: RunContext[Any], tool: ToolsetTool[Any]) -> Any:
        boundary = BOUNDARY.get()
        if boundary is None:
            return await self.wrapped.call_tool(name, tool_args, ctx, tool)

        async def once() -> Any:
            try:
                return {"value": to_jsonable_python(await self.wrapped.call_tool(name, tool_args, ctx, tool))}
            except ModelRetry as fault:
                return {"retry": fault.message}

        made = durable(name, effect_of(name, self.effects, self.usual), once)
        outcome = await boundary.call(made, to_jsonable_python(tool_args), ctx.tool_call_id or "")
        if outcome.state != "done":
            raise ModelRetry(outcome.words())
        if outcome.cut:
            return outcome.text
        given = msgspec.convert(value_of(outcome), dict[str, Any])
        if "retry" in given:
            raise ModelRetry(given["retry"])
        return given["value"]
