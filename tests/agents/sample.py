"""Agents of a house in the tests."""

from __future__ import annotations

from penstock.agents import Agent, tool

sent: list[str] = []


@tool
async def look_up(order: str) -> dict[str, str]:
    """Look up an order."""
    return {"order": order, "state": "shipped"}


@tool(effect="write")
async def notify(text: str) -> str:
    """Tell the customer."""
    sent.append(text)
    return "told"


desk = Agent("desk", model="up/m", instructions="Help.", tools=[look_up, notify])
_secretary = Agent("secretary", model="up/m", description="Hands on.", tools=[desk])
