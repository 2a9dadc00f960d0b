"""Agents of a house in the tests."""

from __future__ import annotations

from penstock.agents import Agent, on_event, tool, workflow

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


@workflow
async def greet(who: str, times: int = 1) -> str:
    """Greet somebody, once they are there."""
    await on_event("greeted", where={"who": who}, seconds=30)
    return "Hello " + ", ".join([who] * times)
