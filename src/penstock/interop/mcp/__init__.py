"""The Model Context Protocol (https://modelcontextprotocol.io): each agent and each task is a tool."""
