"""Accepts the tools of an MCP server: shows what it offers and what has changed, and writes the file of pins when told to.

python -m penstock.agents.toolbox.pins acme.agents:TICKETS acme/tickets.json            # look
python -m penstock.agents.toolbox.pins acme.agents:TICKETS acme/tickets.json --accept   # and accept
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import msgspec

from penstock.agents.toolbox.mcp_client import Lost, McpServer, Refused
from penstock.agents.toolbox.mcp_tools import Pin, Pins, read_pins, tools_of, write_pins
from penstock.kernel.errors import SettingsError
from penstock.logs import redact


def compared(before: Sequence[Pin], now: Sequence[Pin]) -> list[tuple[str, Pin]]:
    """Each tool with how it stands to what was accepted: same, new, changed or gone."""
    known = {one.name: one for one in before}
    found = [("new" if (old := known.get(one.name)) is None else "same" if old.digest == one.digest else "changed", one) for one in now]
    return found + [("gone", one) for one in before if one.name not in {other.name for other in now}]


def main(words: Sequence[str], out: TextIO) -> int:
    """0 where all is as accepted, or was accepted now; 1 where something is to be looked at; 2 where it could not be looked at."""
    plain = [one for one in words if one != "--accept"]
    if len(plain) != 2:
        print((__doc__ or "").partition("\n\n")[2], file=out)
        return 2
    try:
        server = _server(plain[0])
        before = read_pins(plain[1]).tools if Path(plain[1]).exists() else []
        now = asyncio.run(tools_of(server))
    except (SettingsError, Lost, Refused) as fault:
        print(redact(str(fault)), file=out)
        return 2
    found = compared(before, now)
    for how, one in found:
        print(f"{how:8}{one.name}", file=out)
        if how in ("new", "changed"):
            print(f"        {one.description!r}\n        {msgspec.json.encode(one.schema).decode()}", file=out)
    if "--accept" in words:
        write_pins(plain[1], Pins(server.name, list(now)))
        print(f"accepted: {plain[1]}", file=out)
        return 0
    return int(any(how != "same" for how, _ in found))


def _server(named: str) -> McpServer:
    module, _, attribute = named.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute or "")
    except (ImportError, AttributeError, ValueError) as fault:
        raise SettingsError(f"{named}: give module:NAME of an McpServer: {fault}", param="server") from fault
    if not isinstance(found, McpServer):
        raise SettingsError(f"{named} is no McpServer", param="server")
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main(sys.argv[1:], sys.stdout))
