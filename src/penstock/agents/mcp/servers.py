"""The MCP servers of the settings: their tools as they are trusted, and as the servers describe them now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from penstock.agents.faults import Permanent
from penstock.agents.mcp.consents import Consents, ConsentTerms
from penstock.agents.mcp.trust import Kept, Trust
from penstock.agents.toolbox.mcp_client import Lost, McpServer, Refused
from penstock.agents.toolbox.mcp_tools import Link, Pin, effect_of, made
from penstock.agents.tools import Effect, Tool
from penstock.kernel.errors import Conflict, Forbidden, NotFound, SettingsError, UpstreamUnreachable
from penstock.kernel.principal import Principal
from penstock.logs import redact

Standing = Literal["trusted", "changed", "new", "gone", "distrusted", "unknown"]


class Words(Struct, frozen=True, kw_only=True):
    """What a server says of a tool. The hints are its own claims."""

    description: str
    schema: dict[str, Any]
    read_only: bool
    destructive: bool
    idempotent: bool
    digest: str


class ToolStanding(Struct, frozen=True, kw_only=True):
    """A tool: ``pinned`` is what was decided of, by whom and when, ``current`` what the server says now.

    ``state``: ``trusted`` (and unchanged), ``changed`` since (not called), ``new``, ``gone`` from the server, ``distrusted``, ``unknown``
    where the server could not be asked. ``effect`` is what a call counts as.
    """

    name: str
    state: Standing
    effect: Effect
    pinned: Words | None
    current: Words | None
    by: str = ""
    person: str = ""
    at: float | None = None


class ServerView(Struct, frozen=True, kw_only=True):
    """A server of the settings. ``trusted`` and ``distrusted`` count its tools; ``believes`` says whether its hints are."""

    name: str
    transport: Literal["command", "url"]
    address: str
    believes: bool
    trusted: int
    distrusted: int


class ServerTools(Struct, frozen=True, kw_only=True):
    """A server with its tools; ``fault`` says why it could not be asked."""

    server: ServerView
    tools: list[ToolStanding]
    fault: str = ""


class Terms(Struct, frozen=True, kw_only=True):
    """How the tools of a server are taken."""

    server: McpServer
    trusted: bool
    effects: Mapping[str, Effect]
    prefix: str
    most_bytes: int
    consent: ConsentTerms | None = None


class Servers:
    """The servers by the names of their toolboxes."""

    def __init__(self, trust: Trust, consents: Consents | None = None) -> None:
        """Without ``consents`` there are no servers that people consent to."""
        self._trust = trust
        self._consents = consents
        self._terms: dict[str, Terms] = {}
        self._links: dict[str, Link] = {}
        self._kept: list[Kept] = []
        self._taken: list[Kept] = []
        """What agents have of it."""

    def add(self, name: str, terms: Terms) -> None:
        """Make a server known. Nothing is connected to."""
        self._terms[name] = terms
        mend = f"GET /v1/agents/mcp/{name}, POST /v1/agents/mcp/{name}/trust"
        consented = None
        if terms.consent is not None and self._consents is not None:
            consented = self._consents.add(name, terms.server, terms.consent)
        self._links[name] = Link(terms.server, partial(self._trust.accepted, name), mend, consented)

    @property
    def names(self) -> Sequence[str]:
        """Of all servers."""
        return sorted(self._terms)

    async def fresh(self) -> bool:
        """Read what was decided; whether agents have something else of it. Raises `StorageError`."""
        if self._terms:
            self._kept = await self._trust.all()
        return self._taken != self._kept

    def taken(self) -> None:
        """Agents have what was read last."""
        self._taken = self._kept

    def tools(self, name: str) -> list[Tool[..., Any]]:
        """The tools of which something was decided, when it was last read. Those that are not trusted are not offered to models, but known:
        a run that called one finds it."""
        terms, found = self._terms[name], list[Tool[..., Any]]()
        for kept in self._of(name):
            (tool,) = made(
                [kept.pin],
                self._links[name],
                trusted=terms.trusted,
                effects=terms.effects,
                prefix=terms.prefix,
                most_bytes=terms.most_bytes,
            )
            tool.offered = kept.state == "trusted"
            found.append(tool)
        return found

    async def close(self) -> None:
        """End the connections of this event loop."""
        for link in self._links.values():
            await link.close()

    def list(self, principal: Principal) -> list[ServerView]:
        """The servers. Raises `Forbidden` for another organisation than the one that runs the installation."""
        _home(principal)
        return [self._view(name) for name in self.names]

    async def look(self, principal: Principal, name: str) -> ServerTools:
        """A server with its tools as they are trusted and as they are now. Raises `NotFound` and `Forbidden`."""
        self._found(principal, name)
        await self.fresh()
        try:
            now, fault = {one.name: one for one in await self._links[name].described(_who(principal))}, ""
        except (Lost, Refused, SettingsError, Permanent) as lost:
            now, fault = None, redact(str(lost))
        kept = {one.tool: one for one in self._of(name)}
        names = kept.keys() | (now or {}).keys()
        tools = [self._standing(name, kept.get(one), now, one) for one in sorted(names)]
        return ServerTools(server=self._view(name), tools=tools, fault=fault)

    async def trust(self, principal: Principal, name: str, digests: Mapping[str, str], note: str) -> None:
        """Trust tools, each as the digest says that it was looked at. Raises `Conflict` where the server says something else by now,
        `NotFound` for a tool that it does not have, and `UpstreamUnreachable`; then nothing is trusted."""
        self._found(principal, name)
        try:
            now = {one.name: one for one in await self._links[name].described(_who(principal))}
        except (Lost, Refused, SettingsError, Permanent) as fault:
            raise UpstreamUnreachable(redact(str(fault))) from fault
        for tool, digest in digests.items():
            if tool not in now:
                raise NotFound(f"{name} has no tool {tool[:100]!r}", param="tools")
            if now[tool].digest != digest:
                raise Conflict(f"{name} describes {tool} differently than what was looked at; look again", param="tools")
        for pin in (now[tool] for tool in digests):
            self._usable(name, pin)
        await self._trust.trust(principal, name, [now[tool] for tool in digests], note)

    async def distrust(self, principal: Principal, name: str, tools: Sequence[str], note: str) -> ServerView:
        """Trust tools no more: from the next call on, in every process. The server is not asked. Raises `NotFound`."""
        self._found(principal, name)
        await self._trust.distrust(principal, name, tools, note)
        self._kept = await self._trust.all()
        return self._view(name)

    def _usable(self, name: str, pin: Pin) -> None:
        terms = self._terms[name]
        try:
            made([pin], self._links[name], trusted=terms.trusted, effects={}, prefix=terms.prefix, most_bytes=terms.most_bytes)
        except SettingsError as fault:
            raise Conflict(f"{pin.name[:100]!r} cannot be a tool: {fault.message}", param="tools") from fault

    def _found(self, principal: Principal, name: str) -> None:
        _home(principal)
        if name not in self._terms:
            raise NotFound(f"there is no MCP server {name[:100]!r} in [agents.toolboxes]", param="name")

    def _of(self, name: str) -> list[Kept]:
        return [one for one in self._kept if one.server == name]

    def _view(self, name: str) -> ServerView:
        terms, states = self._terms[name], [one.state for one in self._of(name)]
        server = terms.server
        return ServerView(
            name=name,
            transport="command" if server.command else "url",
            address=server.command[0] if server.command else server.url.partition("?")[0],
            believes=terms.trusted,
            trusted=states.count("trusted"),
            distrusted=states.count("distrusted"),
        )

    def _standing(self, server: str, kept: Kept | None, now: Mapping[str, Pin] | None, name: str) -> ToolStanding:
        terms, current = self._terms[server], None if now is None else now.get(name)
        state: Standing
        if kept is None:
            state = "new"
        elif kept.state == "distrusted":
            state = "distrusted"
        elif now is None:
            state = "unknown"
        elif current is None:
            state = "gone"
        else:
            state = "trusted" if current.digest == kept.pin.digest else "changed"
        pin = kept.pin if kept is not None else current
        assert pin is not None
        return ToolStanding(
            name=name,
            state=state,
            effect=effect_of(pin, terms.trusted, terms.effects),
            pinned=None if kept is None else _words(kept.pin),
            current=None if current is None else _words(current),
            by="" if kept is None else kept.by,
            person="" if kept is None else kept.person,
            at=None if kept is None else kept.at,
        )


def _words(pin: Pin) -> Words:
    return Words(
        description=pin.description,
        schema=pin.schema,
        read_only=pin.read_only,
        destructive=pin.destructive,
        idempotent=pin.idempotent,
        digest=pin.digest,
    )


def _who(principal: Principal) -> tuple[str, str]:
    return principal.organisation, principal.person or ""


def _home(principal: Principal) -> None:
    if not principal.home:
        raise Forbidden("MCP servers are those of the organisation that runs the installation")
