"""Tools of MCP servers: what a server says of them is pinned to a file that somebody looked at, and a change of it voids the trust."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from penstock.agents.faults import InDoubt, Permanent, Transient
from penstock.agents.toolbox.mcp_client import Connection, Lost, McpServer, Overlong, Refused
from penstock.agents.tools import Effect, Tool, ToolContext
from penstock.kernel.errors import SettingsError

LONGEST_TOLD = 2000
ACCEPT_FILE = "python -m penstock.agents.toolbox.pins"
LOOK_SECONDS = 60.0
"""How long what a server says of its tools is taken for true while it is connected to."""


class Pin(Struct, frozen=True):
    """A tool as it was when somebody accepted it."""

    name: str
    description: str
    schema: dict[str, Any]
    read_only: bool
    destructive: bool
    idempotent: bool
    digest: str


class Pins(Struct, frozen=True):
    """The accepted tools of one server."""

    server: str
    tools: list[Pin]


def mcp(
    server: McpServer,
    pins: str | Path,
    *,
    trusted: bool = False,
    effects: Mapping[str, Effect] | None = None,
    only: Sequence[str] = (),
    prefix: str = "",
    most_bytes: int = 65_536,
) -> list[Tool[..., Any]]:
    """The server's tools as the file ``pins`` has them; ``penstock.agents.toolbox.pins`` writes it.

    Each counts as irreversible, unless ``effects`` says otherwise or the server is ``trusted`` to say it itself (``readOnlyHint``,
    ``destructiveHint``, and ``idempotentHint``, which lets a call in doubt be made again). A tool that the server describes in other
    words, or with another schema, than the pinned ones is not called. Nothing is connected to before the first call. Raises
    `SettingsError` for a file that is missing or no file of pins, and for names that it does not hold.
    """
    kept = read_pins(pins)
    known = {one.name for one in kept.tools}
    lost = sorted({*only, *(effects or {})} - known)
    if lost:
        raise SettingsError(f"mcp: {pins} holds no tool {', '.join(lost)} of {server.name}", param="pins")
    accepted = {one.name: one.digest for one in kept.tools}

    async def now(name: str) -> str | None:
        return accepted.get(name)

    terms: dict[str, Any] = {"trusted": trusted, "effects": effects or {}, "prefix": prefix, "most_bytes": most_bytes}
    link = Link(server, now, ACCEPT_FILE)
    return made([one for one in kept.tools if not only or one.name in only], link, **terms)


def made(
    pins: Sequence[Pin], link: Link, *, trusted: bool, effects: Mapping[str, Effect], prefix: str, most_bytes: int
) -> list[Tool[..., Any]]:
    """Accepted tools, as agents call them. Raises `SettingsError` for one that cannot be a tool."""
    return [_tool(link, one, effect_of(one, trusted, effects), prefix, most_bytes, again=trusted and one.idempotent) for one in pins]


def read_pins(path: str | Path) -> Pins:
    """Read what was accepted. Raises `SettingsError`."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Pins)
    except FileNotFoundError:
        told = f"mcp: {path} is missing: look at the server's tools and accept them with python -m penstock.agents.toolbox.pins"
        raise SettingsError(told, param="pins") from None
    except (OSError, msgspec.DecodeError) as fault:
        raise SettingsError(f"mcp: {path} is no file of pins: {fault}", param="pins") from fault


def write_pins(path: str | Path, pins: Pins) -> None:
    """Write them, whole or not at all."""
    draft = Path(f"{path}.part")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(pins), indent=2) + b"\n")
    draft.replace(path)


def pinned(described: Mapping[str, Any]) -> Pin:
    """A tool as its server describes it."""
    hints = cast("dict[str, Any]", described.get("annotations") or {})
    told = {"name": described["name"], "description": described.get("description", ""), "schema": described["inputSchema"], "hints": hints}
    digest = sha256(msgspec.json.encode(told, order="sorted")).hexdigest()
    schema = cast("dict[str, Any]", _checked(described["inputSchema"]))
    return Pin(
        name=str(described["name"]),
        description=str(told["description"]),
        schema={"type": "object", **schema},
        read_only=bool(hints.get("readOnlyHint", False)),
        destructive=bool(hints.get("destructiveHint", True)),
        idempotent=bool(hints.get("idempotentHint", False)),
        digest=digest,
    )


def _checked(node: Any, depth: int = 0) -> Any:
    """A stranger's schema without its regular expressions, which may take for ever; the server sees to them itself."""
    if depth > 60:
        raise SettingsError("mcp: a tool's schema is nested deeper than 60", param="pins")
    if isinstance(node, list):
        return [_checked(one, depth + 1) for one in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    tree = cast("dict[str, Any]", node)
    return {
        key: {name: _checked(one, depth + 1) for name, one in cast("dict[str, Any]", value).items()}
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict)
        else _checked(value, depth + 1)
        for key, value in tree.items()
        if key not in ("pattern", "patternProperties") or not isinstance(value, str | dict)
    }


def effect_of(pin: Pin, trusted: bool, effects: Mapping[str, Effect]) -> Effect:
    """What a call counts as: as ``effects`` say, as a ``trusted`` server says itself, or else irreversible."""
    if pin.name in effects:
        return effects[pin.name]
    if not trusted:
        return "irreversible"
    return "read" if pin.read_only else "irreversible" if pin.destructive else "write"


Accepted = Callable[[str], Awaitable[str | None]]
"""The digest under which a tool is accepted now, by its name; None where it is not."""


Who = tuple[str, str]
"""An organisation and a person of it."""
NOBODY: Who = ("", "")
MOST_HELD = 200


class Consented(Protocol):
    """People's consent to a server."""

    async def ready(self, who: Who) -> None:
        """Raise `Permanent`, with where to consent, for who has not consented."""
        ...

    def auth(self, who: Who) -> Any:
        """What signs their requests in."""
        ...


class _Held:
    """One connection, and what its server was found to say over it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.lock = asyncio.Lock()
        self.found: dict[str, str] = {}
        self.strange, self.looked = False, 0.0


class Link:
    """The connections to one server: one on each event loop, and where people consent one for each of them. ``mend`` says how a tool is
    accepted."""

    def __init__(self, server: McpServer, accepted: Accepted, mend: str, consented: Consented | None = None) -> None:
        self.server = server
        self.mend = mend
        self._accepted = accepted
        self._consented = consented
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Who, _Held]] = WeakKeyDictionary()

    async def call(self, pin: Pin, arguments: dict[str, Any], context: ToolContext) -> Any:
        """Call a tool that is what it was when it was accepted. Raises `Lost`, `Refused`, and `Permanent` for one that is not."""
        name = pin.name
        accepted = await self._accepted(name)
        if accepted is None:
            raise Permanent(f"mcp_distrusted: {name} of {self.server.name} is not trusted any more ({self.mend})")
        held = await self._here((context.organisation, context.person))
        async with held.lock:
            if not held.connection.open or held.strange or time.monotonic() > held.looked + LOOK_SECONDS:
                # A server that was started anew may be another one, and one over HTTP is started anew without our knowing.
                held.found = {one.name: one.digest for one in map(pinned, await held.connection.tools())}
                held.strange, held.looked = False, time.monotonic()
        if name not in held.found:
            raise Permanent(f"mcp_missing: {self.server.name} has no tool {name} any more")
        if held.found[name] != accepted:
            held.strange = True
            raise Permanent(
                f"mcp_changed: {self.server.name} describes {name} differently than when it was accepted; it is not called until somebody "
                f"looks at it and accepts it again ({self.mend})"
            )
        if pin.digest != accepted:
            raise Permanent(f"mcp_changed: {name} of {self.server.name} was accepted anew; runs that begin now know it as it is")
        try:
            return await held.connection.call(name, arguments, context.key)
        except Refused:
            if self._consented is not None:  # it may be that they are not signed in any more, which says better what to do
                await self._consented.ready((context.organisation, context.person))
            raise

    async def described(self, who: Who) -> list[Pin]:
        """What the server says of its tools now. Raises `Lost`, `Refused`, and `Permanent` for who has not consented."""
        held = await self._here(who)
        async with held.lock:
            return [pinned(one) for one in await held.connection.tools()]

    async def close(self) -> None:
        """End the connections of this event loop."""
        for held in self._held.pop(asyncio.get_running_loop(), {}).values():
            await held.connection.close()

    async def _here(self, who: Who) -> _Held:
        here = self._held.setdefault(asyncio.get_running_loop(), {})
        consented = self._consented
        if consented is None:
            return here.setdefault(NOBODY, _Held(Connection(self.server)))
        await consented.ready(who)
        if who not in here:
            if len(here) >= MOST_HELD:
                for other in [one for one, held in here.items() if not held.connection.open]:
                    del here[other]
            here[who] = _Held(Connection(self.server, auth=partial(consented.auth, who)))
        return here[who]


def _tool(link: Link, pin: Pin, effect: Effect, prefix: str, most_bytes: int, *, again: bool) -> Tool[..., Any]:
    async def call(arguments: dict[str, Any], context: ToolContext) -> Any:
        try:
            return await link.call(pin, arguments, context)
        except Refused as fault:
            raise Permanent(f"mcp_failed: {fault}") from fault
        except Overlong as fault:
            said = f"mcp_overlong: {fault}"
            raise (Permanent(said) if effect == "read" else InDoubt(said)) from fault
        except Lost as fault:
            said = f"mcp_lost: {fault}"
            raise (InDoubt(said) if fault.sent and effect != "read" else Transient(said)) from fault

    name = re.sub(r"[^a-zA-Z0-9_-]", "_", prefix + pin.name)[:64]
    if not name[:1].isalpha():
        name = f"mcp_{name}"[:64]
    try:
        return Tool.of_schema(
            call,
            pin.schema,
            name=name,
            description=pin.description[:LONGEST_TOLD],
            effect=effect,
            honours_key=again,
            seconds=link.server.seconds + 10.0,  # the connection ends it first, and says so better
            most_bytes=most_bytes,
            told_by=f"the MCP server {link.server.name}",
        )
    except ValueError as fault:
        raise SettingsError(f"mcp: {link.server.name}: {fault}", param="pins") from fault


async def tools_of(server: McpServer) -> list[Pin]:
    """What the server says of its tools now. Raises `Lost` and `Refused`."""
    connection = Connection(server)
    try:
        return [pinned(one) for one in await connection.tools()]
    finally:
        await connection.close()
