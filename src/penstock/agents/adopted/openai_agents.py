"""Agents of the OpenAI Agents SDK, with those that they hand over to."""

# The framework is not in the environment that checks types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from agents import Agent, FunctionTool, Handoff, OpenAIProvider, RunConfig, Runner
from agents.tool_context import ToolContext
from openai import AsyncOpenAI
from pydantic_core import to_jsonable_python

from penstock.agents.adopted.boundary import BOUNDARY, Adopted, durable, effect_of, value_of
from penstock.agents.adopted.line import URL, http_client
from penstock.agents.limits import Limits
from penstock.agents.tools import Effect

TURNS = 1000
"""The SDK's own limit on turns; ours is in `Limits`."""


def adopt(
    agent: Agent[Any],
    *,
    model: str,
    name: str = "",
    description: str = "",
    effects: Mapping[str, Effect] | None = None,
    usual: Effect = "write",
    limits: Limits | None = None,
    context: Any = None,
) -> Adopted:
    """Bring in an agent as it is, with those that it hands over to; outside of our runs they stay what they were.

    ``model`` is asked by those that name none of their own; any name that calls may use is one. ``effects`` says what their tools do to the
    world, by name, ``usual`` what the others do. ``context`` is given to each run. What a tool gives is read back as text or JSON. What the
    SDK would send to its own tracing is not sent: the run is a trace here.

    Raises ValueError for a tool that runs at OpenAI, such as a web search of theirs, which chat completions do not have, and for MCP
    servers, whose tools the SDK would call past the run.
    """
    told = effects or {}
    made = _Copies(told, usual).of(agent)

    async def go(input: Any) -> Any:
        # Made for each run: clients belong to the loop that they are used on.
        client = AsyncOpenAI(http_client=http_client(), base_url=URL, api_key="-", max_retries=0)
        provider = _Named(OpenAIProvider(openai_client=client, use_responses=False), model)
        config = RunConfig(model_provider=provider, tracing_disabled=True)
        result = await Runner.run(made, input, context=context, max_turns=TURNS, run_config=config)
        return to_jsonable_python(result.final_output)

    return Adopted(
        name or agent.name.replace(" ", "_"),
        go,
        model=model,
        tools={one.name: effect_of(one.name, told, usual) for one in agent.tools if isinstance(one, FunctionTool)},
        description=description or agent.handoff_description or "",
        output=str if agent.output_type in (None, str) else Any,
        limits=limits,
    )


class _Named(OpenAIProvider):
    """Names a model for those agents that name none."""

    def __init__(self, provider: OpenAIProvider, model: str) -> None:
        self._provider = provider
        self._usual = model

    def get_model(self, model_name: str | None) -> Any:
        return self._provider.get_model(model_name or self._usual)


class _Copies:
    """Copies of agents whose tools are steps of our run; each agent once, since they may hand over in a circle."""

    def __init__(self, effects: Mapping[str, Effect], usual: Effect) -> None:
        self._effects = effects
        self._usual: Effect = usual
        self._made: dict[int, Agent[Any]] = {}

    def of(self, agent: Agent[Any]) -> Agent[Any]:
        known = self._made.get(id(agent))
        if known is not None:
            return known
        if agent.mcp_servers:
            raise ValueError(f"the agent {agent.name} has MCP servers, whose tools would be called past the run: give it functions instead")
        copy = self._made[id(agent)] = agent.clone()
        copy.tools = [self._tool(one, agent.name) for one in agent.tools]
        copy.handoffs = [self._handoff(one) for one in agent.handoffs]
        return copy

    def _handoff(self, one: Any) -> Any:
        if isinstance(one, Agent):
            return self.of(one)
        given: Handoff[Any, Any] = one
        before = given.on_invoke_handoff

        async def handed(context: Any, arguments: str) -> Agent[Any]:
            return self.of(await before(context, arguments))

        return dataclasses.replace(given, on_invoke_handoff=handed)

    def _tool(self, one: Any, agent: str) -> Any:
        if not isinstance(one, FunctionTool):
            raise ValueError(f"{getattr(one, 'name', one)} of the agent {agent} runs at OpenAI, and cannot be called over chat completions")
        before = one.on_invoke_tool
        effect = effect_of(one.name, self._effects, self._usual)

        async def invoke(context: ToolContext[Any], arguments: str) -> Any:
            boundary = BOUNDARY.get()
            if boundary is None:
                return await before(context, arguments)

            async def once() -> Any:
                return to_jsonable_python(await before(context, arguments))

            outcome = await boundary.call(durable(one.name, effect, once), {"arguments": arguments}, context.tool_call_id)
            return value_of(outcome) if outcome.state == "done" else outcome.words()

        return dataclasses.replace(one, on_invoke_tool=invoke)
