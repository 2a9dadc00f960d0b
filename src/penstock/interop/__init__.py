"""Agents and tasks for programs that speak other protocols: AG-UI, MCP and A2A."""
