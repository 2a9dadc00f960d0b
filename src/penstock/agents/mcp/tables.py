"""Tables of MCP servers."""

from __future__ import annotations

from sqlalchemy import Column, Double, PrimaryKeyConstraint, Table, Text

from penstock.agents.tables import METADATA

TOOLS = Table(
    "agent_mcp_tools",
    METADATA,
    Column("server", Text, nullable=False),  # the name of its toolbox
    Column("tool", Text, nullable=False),  # as the server calls it
    Column("state", Text, nullable=False),  # trusted, distrusted
    Column("pin", Text, nullable=False),  # JSON: the tool as somebody saw it
    Column("digest", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("server", "tool", name="pk_agent_mcp_tools"),
)
"""Rows are never deleted: runs that have called a tool find it again when they are executed once more."""
