"""Agents: durable work of models and tools, declared in plain Python."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.agents.context import Context
    from penstock.agents.definition import Agent, agent
    from penstock.agents.durable import ask_human, on_event, parallel, sleep, step
    from penstock.agents.faults import InDoubt, Permanent, Transient
    from penstock.agents.limits import Limits
    from penstock.agents.tools import Tool, ToolContext, tool
    from penstock.agents.workflows import Workflow, workflow

_WHERE = {
    "context": ("Context",),
    "definition": ("Agent", "agent"),
    "durable": ("ask_human", "on_event", "parallel", "sleep", "step"),
    "faults": ("InDoubt", "Permanent", "Transient"),
    "limits": ("Limits",),
    "tools": ("Tool", "ToolContext", "tool"),
    "workflows": ("Workflow", "workflow"),
}
_MODULES = {name: module for module, names in _WHERE.items() for name in names}


def __getattr__(name: str) -> Any:
    """What others import from here, when they do: a house without agents, and ``--help``, load none of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return found


__all__ = [
    "Agent",
    "Context",
    "InDoubt",
    "Limits",
    "Permanent",
    "Tool",
    "ToolContext",
    "Transient",
    "Workflow",
    "agent",
    "ask_human",
    "on_event",
    "parallel",
    "sleep",
    "step",
    "tool",
    "workflow",
]
