"""Agents of other frameworks, brought in as they are: what they ask models and do with tools is durable, the rest is theirs.

`penstock.agents.adopted.pydantic_ai`, `.openai_agents` and `.langgraph` each need their framework, and nothing here imports one by itself.
"""

from __future__ import annotations

from penstock.agents.adopted.boundary import Adopted
from penstock.agents.adopted.line import URL, http_client

__all__ = ["URL", "Adopted", "http_client"]
