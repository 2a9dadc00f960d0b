"""Agents: durable work of models and tools, declared in plain Python."""

from __future__ import annotations

from penstock.agents.definition import Agent
from penstock.agents.faults import InDoubt, Permanent, Transient
from penstock.agents.limits import Limits
from penstock.agents.tools import Tool, ToolContext, tool

__all__ = ["Agent", "InDoubt", "Limits", "Permanent", "Tool", "ToolContext", "Transient", "tool"]
