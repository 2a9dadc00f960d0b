"""What a running Penstock says of its providers: circuits are in its memory, and the doctor is another process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from penstock.gateway.standings import ProviderList, findings
from penstock.kernel.capability import Finding
from penstock.kernel.errors import PenstockError, Unavailable
from penstock.remote import KEY_VARIABLE, Remote
from penstock.settings import ServerSettings, reached

SECONDS = 3.0
NAME = "circuits"


async def told_by_running(server: ServerSettings, environ: Mapping[str, str]) -> list[Finding]:
    """Findings on the circuits of the Penstock that listens where the settings say, asked with the key in PENSTOCK_KEY. Never raises."""
    key = environ.get(KEY_VARIABLE)
    if not key or not server.port:
        return [Finding(name=NAME, status="off", what=f"not asked; set {KEY_VARIABLE} to an admin key to hear what the running one knows")]
    url = reached(server.host, server.port)
    try:
        told = await asyncio.to_thread(Remote(url, key, seconds=SECONDS).get, "/v1/providers")
        found = findings(msgspec.json.decode(told, type=ProviderList).data)
    except (Unavailable, msgspec.DecodeError):
        return [Finding(name=NAME, status="off", what=f"nothing answers at {url}")]
    except PenstockError as fault:
        return [
            Finding(name=NAME, status="warn", what=f"the running one says: {fault.message}", mend=f"{KEY_VARIABLE} must be an admin key")
        ]
    return found or [Finding(name=NAME, status="ok", what="all closed")]
