"""Agent cards: who there is, what they take, and how they are spoken to."""

from __future__ import annotations

from typing import Any

from penstock.interop.a2a.words import VERSION
from penstock.kernel.agents import AgentCard

PATH = "/a2a"
JSON_MEDIA, TEXT = "application/json", "text/plain"


def card_of(card: AgentCard, base: str, *, pushes: bool) -> dict[str, Any]:
    """An agent's card, for clients that reach this installation at ``base``."""
    url = f"{base}{PATH}/{card.name}"
    takes = TEXT if card.input.get("type") == "string" else JSON_MEDIA
    gives = TEXT if card.output.get("type") == "string" else JSON_MEDIA
    description = card.description or f"The {card.kind} {card.name}."
    skill = {"id": card.name, "name": card.name, "description": description, "tags": [card.kind, *sorted(card.tools)]}
    told: dict[str, Any] = {
        "name": card.name,
        "description": description,
        "version": card.version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": VERSION},
            {"url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": VERSION},
        ],
        "capabilities": {"streaming": True, "pushNotifications": pushes, "extendedAgentCard": True},
        "securitySchemes": {"key": {"httpAuthSecurityScheme": {"scheme": "Bearer", "description": "A key with the scope call."}}},
        "securityRequirements": [{"schemes": {"key": {"list": []}}}],
        "defaultInputModes": [takes],
        "defaultOutputModes": [gives],
        "skills": [skill],
    }
    if JSON_MEDIA in (takes, gives):
        schemas = {"input": card.input, "output": card.output}
        uri = "https://json-schema.org/draft/2020-12/schema"
        told["capabilities"]["extensions"] = [{"uri": uri, "description": "What the agent takes and gives.", "params": schemas}]
    return told


__all__ = ["PATH", "card_of"]
