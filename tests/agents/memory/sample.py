"""An agent with a long-term memory, for the houses of these tests."""

from __future__ import annotations

from penstock.agents import Agent
from penstock.agents.memory.tools import forget, recall, remember

desk = Agent("desk", model="up/m", instructions="Help.", tools=[remember, recall, forget])
