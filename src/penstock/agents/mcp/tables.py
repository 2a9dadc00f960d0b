"""Tables of MCP servers."""

from __future__ import annotations

from sqlalchemy import Column, Double, Integer, PrimaryKeyConstraint, Table, Text

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

CONSENTS = Table(
    "agent_mcp_consents",
    METADATA,
    Column("server", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # tokens, and the client that they were given to
    Column("scope", Text, nullable=False),
    Column("at", Double, nullable=False),  # when the person consented
    Column("expires_at", Double),  # of the token in use
    Column("number", Integer, nullable=False),  # of tokens so far
    Column("busy_until", Double),  # while a process renews it
    PrimaryKeyConstraint("server", "organisation", "person", name="pk_agent_mcp_consents"),
)

BEGUN = Table(
    "agent_mcp_begun",
    METADATA,
    Column("state", Text, primary_key=True),  # SHA-256 of it
    Column("server", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("sealed", Text, nullable=False),  # what ends it
    Column("at", Double, nullable=False),
)

CLIENTS = Table(
    "agent_mcp_clients",
    METADATA,
    Column("server", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("redirect", Text, nullable=False),  # where browsers come back to
    Column("sealed", Text, nullable=False),  # the registration
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("server", "issuer", "redirect", name="pk_agent_mcp_clients"),
)
