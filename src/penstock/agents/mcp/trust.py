"""Which tools of MCP servers are trusted, in the records: every worker asks before each call, so that trust ends everywhere at once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, RowMapping, insert, select, update

from penstock.agents.inbox import store
from penstock.agents.mcp.tables import TOOLS
from penstock.agents.toolbox.mcp_tools import Pin
from penstock.kernel.errors import NotFound
from penstock.kernel.principal import Principal
from penstock.storage.records import Records
from penstock.storage.schema import encode_json

Trusted = Literal["trusted", "distrusted"]


class Kept(Struct, frozen=True, kw_only=True):
    """A tool as somebody decided of it: who, with which key, and when (Unix seconds)."""

    server: str
    tool: str
    state: Trusted
    pin: Pin
    by: str
    person: str
    at: float


class Trust:
    """What was decided of the tools of all servers."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def all(self) -> list[Kept]:
        """Every tool of which something was decided."""
        asked = select(TOOLS).order_by(TOOLS.c.server, TOOLS.c.tool)
        return [_kept(row) for row in await self._records.read(lambda c: c.execute(asked).mappings().all())]

    async def accepted(self, server: str, tool: str) -> str | None:
        """The digest under which a tool is trusted now. Raises `StorageError`."""
        t = TOOLS.c
        asked = select(t.digest).where(t.server == server, t.tool == tool, t.state == "trusted")
        return await self._records.read(lambda c: c.execute(asked).scalar())

    async def trust(self, principal: Principal, server: str, pins: Sequence[Pin], note: str = "") -> None:
        """Trust tools as they were seen."""
        now = time.time()

        def write(connection: Connection) -> None:
            for pin in pins:
                values = _row(principal, "trusted", now) | {"pin": encode_json(pin), "digest": pin.digest}
                if not _changed(connection, server, pin.name, values):
                    connection.execute(insert(TOOLS).values(server=server, tool=pin.name, **values))
            told = {pin.name: pin.digest for pin in pins}
            _note(connection, principal, server, "trusted", now, tools=told, note=note)

        await self._records.write(write)

    async def distrust(self, principal: Principal, server: str, tools: Sequence[str], note: str = "") -> None:
        """Trust tools no more. Raises `NotFound`, and then changes nothing, for one of which nothing was decided."""
        now = time.time()

        def write(connection: Connection) -> None:
            for tool in tools:
                if not _changed(connection, server, tool, _row(principal, "distrusted", now)):
                    raise NotFound(f"nobody has trusted a tool {tool[:100]!r} of {server}", param="tools")
            _note(connection, principal, server, "distrusted", now, tools=sorted(tools), note=note)

        await self._records.write(write)


def _row(principal: Principal, state: Trusted, now: float) -> dict[str, Any]:
    return {"state": state, "by": principal.key_id, "person": principal.person or "", "at": now}


def _changed(connection: Connection, server: str, tool: str, values: Mapping[str, Any]) -> bool:
    return connection.execute(update(TOOLS).where(TOOLS.c.server == server, TOOLS.c.tool == tool).values(values)).rowcount == 1


def _note(connection: Connection, principal: Principal, server: str, action: str, now: float, **details: Any) -> None:
    person = principal.person or ""
    store.note(connection, principal.organisation, f"mcp/{server}", action, now, by=principal.key_id, person=person, **details)


def _kept(row: RowMapping) -> Kept:
    return Kept(
        server=row["server"],
        tool=row["tool"],
        state=row["state"],
        pin=msgspec.json.decode(row["pin"], type=Pin),
        by=row["by"],
        person=row["person"],
        at=row["at"],
    )
