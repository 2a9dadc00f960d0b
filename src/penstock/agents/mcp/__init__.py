"""MCP servers that operators configure: which of their tools are trusted, and who consented to what."""
