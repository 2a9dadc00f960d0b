"""Graphs of LangGraph, and the tools of LangChain in them."""

# The framework is not in the environment that checks types.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, cast

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import ToolCallRequest
from pydantic_core import to_jsonable_python

from penstock.agents.adopted.boundary import BOUNDARY, Adopted, durable, effect_of, value_of
from penstock.agents.limits import Limits
from penstock.agents.tools import Effect


class Graph(Protocol):
    """A compiled graph."""

    nodes: Mapping[str, Any]

    async def ainvoke(self, input: Any, config: Any = None) -> Any: ...


def adopt(
    graph: Graph,
    *,
    name: str,
    model: str = "",
    description: str = "",
    effects: Mapping[str, Effect] | None = None,
    usual: Effect = "write",
    limits: Limits | None = None,
    ask: Callable[[Any], Any] | None = None,
    answer: Callable[[Any], Any] | None = None,
    steps: int = 1000,
) -> Adopted:
    """Bring in a compiled graph. Its tool nodes call their tools durably from now on, when it runs here; elsewhere as before.

    Its models must ask over the run's line: ``ChatOpenAI(model="task:support", http_async_client=penstock.agents.adopted.http_client(),
    base_url=penstock.agents.adopted.URL, api_key="-", max_retries=0)``; ``model`` is what is told of them. ``effects`` says what tools do
    to the world, by name, ``usual`` what the others do. ``ask`` makes the graph's state of an input, one message of a person if not said
    otherwise, and ``answer`` the output of the state at its end, the text of its last message. Whatever else its nodes do to the world
    belongs into tools. A graph here needs no checkpointer: the run is journalled. ``steps`` is LangGraph's limit of recursion.
    """
    told = effects or {}
    tools: dict[str, Effect] = {}
    for held in _tool_nodes(graph):
        tools.update({one: effect_of(one, told, usual) for one in held.tools_by_name})
        _wrap(held, told, usual)

    async def go(input: Any) -> Any:
        state = ask(input) if ask is not None else {"messages": [HumanMessage(input)]}
        ended = await graph.ainvoke(state, {"recursion_limit": steps})
        return to_jsonable_python(answer(ended) if answer is not None else _last(ended))

    return Adopted(name, go, model=model, tools=tools, description=description, output=Any if answer is not None else str, limits=limits)


def _tool_nodes(graph: Any) -> Iterator[ToolNode]:
    """Those of a graph, and of the graphs that are its nodes."""
    for node in graph.nodes.values():
        held: Any = getattr(node, "bound", node)
        if isinstance(held, ToolNode):
            yield held
        elif isinstance(getattr(held, "nodes", None), Mapping):
            yield from _tool_nodes(held)


def _last(state: Any) -> str:
    message: BaseMessage = state["messages"][-1]
    return message.text if isinstance(message.text, str) else str(message.content)


def _wrap(node: ToolNode, effects: Mapping[str, Effect], usual: Effect) -> None:
    """Have a tool node's calls go by the boundary of the run that it is in. Twice does nothing more than once."""
    before = cast("Any", node)._awrap_tool_call
    if getattr(before, "penstock", False):
        return

    async def call(request: ToolCallRequest, execute: Callable[[ToolCallRequest], Any]) -> Any:
        async def usually() -> Any:
            return await (execute(request) if before is None else before(request, execute))

        boundary, asked = BOUNDARY.get(), request.tool_call
        if boundary is None:
            return await usually()

        async def once() -> Any:
            given = await usually()
            if not isinstance(given, ToolMessage):
                raise TypeError(f"{asked['name']} gave a {type(given).__name__}, and only messages can be read back after a crash")
            return {"content": to_jsonable_python(given.content), "status": given.status, "artifact": to_jsonable_python(given.artifact)}

        made = durable(asked["name"], effect_of(asked["name"], effects, usual), once)
        outcome = await boundary.call(made, to_jsonable_python(asked["args"]), asked["id"] or "")
        named = {"name": asked["name"], "tool_call_id": asked["id"] or ""}
        if outcome.state != "done":
            return ToolMessage(outcome.words(), status="error", **named)
        if outcome.cut:
            return ToolMessage(outcome.text, **named)
        return ToolMessage(**value_of(outcome), **named)

    call.penstock = True  # type: ignore[attr-defined]
    cast("Any", node)._awrap_tool_call = call


__all__ = ["Graph", "adopt"]
