"""Calls of built-in tools as the loop makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.agents.performing import Outcome, Performing
from penstock.agents.tools import Tool, ToolContext


def context(key: str = "run/call/1", person: str = "") -> ToolContext:
    return ToolContext(key=key, attempt=1, run="run", organisation="org", person=person)


def named(tools: Sequence[Tool[..., Any]], name: str) -> Tool[..., Any]:
    return next(one for one in tools if one.name == name)


async def call(tool: Tool[..., Any], key: str = "run/call/1", **arguments: Any) -> Any:
    """What the tool returns, with its arguments read as a model's are."""
    return await tool.perform(tool.arguments(arguments), context(key))


async def outcome(tool: Tool[..., Any], **arguments: Any) -> Outcome:
    """How the call ends."""
    return await Performing().once(tool, tool.arguments(arguments), context(), last=True)
