"""An agent of a house in the tests whose payments need somebody."""

from __future__ import annotations

from penstock.agents import Agent, tool
from penstock.agents.tools import Amount

paid: list[tuple[str, float]] = []


@tool(effect="irreversible", amount=Amount("euros", unit="EUR"), owner="finance")
async def refund(order: str, euros: float, reason: str) -> str:
    """Pay somebody back."""
    paid.append((order, euros))
    return f"refunded {euros} for {order}"


cashier = Agent("cashier", model="up/m", instructions="Pay back what is owed.", tools=[refund])
