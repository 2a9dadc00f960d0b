"""What a running Penstock says of its providers: circuits are in its memory, and the doctor is another process."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Mapping

import msgspec

from penstock.gateway.standings import ProviderList, findings
from penstock.kernel.capability import Finding
from penstock.settings import ServerSettings

KEY_VARIABLE = "PENSTOCK_KEY"
SECONDS = 3.0
NAME = "circuits"


async def told_by_running(server: ServerSettings, environ: Mapping[str, str]) -> list[Finding]:
    """Findings on the circuits of the Penstock that listens where the settings say, asked with the key in PENSTOCK_KEY. Never raises."""
    key = environ.get(KEY_VARIABLE)
    if not key or not server.port:
        return [Finding(name=NAME, status="off", what=f"not asked; set {KEY_VARIABLE} to an admin key to hear what the running one knows")]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, server.host)  # noqa: S104 - where it listens, not where we do
    try:
        told = await asyncio.to_thread(_ask, f"http://{host}:{server.port}/v1/providers", key)
        found = findings(msgspec.json.decode(told, type=ProviderList).data)
    except urllib.error.HTTPError as fault:
        return [
            Finding(name=NAME, status="warn", what=f"the running one answers {fault.code}", mend=f"{KEY_VARIABLE} must be an admin key")
        ]
    except (OSError, msgspec.DecodeError):
        return [Finding(name=NAME, status="off", what=f"nothing answers on {host}:{server.port}")]
    return found or [Finding(name=NAME, status="ok", what="all closed")]


def _ask(url: str, key: str) -> bytes:
    asked = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})  # noqa: S310 - http, to the settings' own address
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:  # noqa: S310
        return bytes(answer.read())
