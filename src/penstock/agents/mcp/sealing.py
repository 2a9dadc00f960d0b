"""What seals people's tokens for MCP servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penstock.agents.toolbox.references import resolved
from penstock.storage.sealing import Sealing, installation_secrets

SETTING = "agents.tokens_key"
FILE = "mcp-tokens.key"


def sealing(given: str, folder: Path) -> Sealing:
    """By the secret that ``given`` names, ``env:NAME`` or ``file:/path``; empty: a file in ``folder``, made when it is first needed."""

    def secrets() -> Sequence[bytes]:
        value = resolved(given, SETTING) if given else None
        return installation_secrets(folder / FILE, value, SETTING, "people's tokens for MCP servers")

    return Sealing(secrets, "mcp consents")
