"""An agent that takes the tools of an MCP server by the name of its toolbox."""

from __future__ import annotations

from penstock.agents import Agent
from penstock.agents.toolbox import toolbox

clerk = Agent("clerk", model="up/m", instructions="Help.", tools=[toolbox("tickets", only=["tickets_find", "tickets_close"])])
