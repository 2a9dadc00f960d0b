"""Agents of the tests that run on a real journal: the module that the settings name."""

from __future__ import annotations

from penstock.agents import Agent, ask_human, tool, workflow


@tool
async def find_order(number: str) -> dict[str, str]:
    """Look up an order."""
    return {"number": number, "state": "sent"}


clerk = Agent("clerk", model="up/m", description="Looks orders up.", tools=[find_order])


@workflow
async def greet(name: str) -> str:
    """Greets somebody once people have said how."""
    word = await ask_human(f"How is {name} greeted?")
    return f"{word}, {name}"
