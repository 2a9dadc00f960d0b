"""The toolboxes of a house, and what its agents get of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.agents.boxes.building import built, terms_of
from penstock.agents.boxes.settings import Box, McpBox
from penstock.agents.definition import Agent
from penstock.agents.faults import Permanent
from penstock.agents.mcp.servers import Servers
from penstock.agents.startable import Startable
from penstock.agents.tools import NAME, Tool
from penstock.kernel.errors import SettingsError
from penstock.logs import redact

LONGEST = 40
"""Of the name of a toolbox: the names of its tools begin with it."""


class Boxes:
    """The toolboxes that the settings have, each made once."""

    def __init__(self, settings: Mapping[str, Box], servers: Servers | None = None) -> None:
        """``servers`` keep what is trusted of MCP servers; without them only pins of a file are."""
        self._settings = settings
        self._servers = servers
        self._made: dict[str, Sequence[Tool[..., Any]]] = {}
        self._growing: set[str] = set()

    def make(self) -> None:
        """Make those that are not made yet. Raises `SettingsError`, which names the toolbox."""
        for name, box in self._settings.items():
            if name not in self._made:
                self._made[name] = self._one(name, box)

    def fill(self, known: Iterable[Startable]) -> None:
        """Give each agent the tools of its toolboxes. Raises `SettingsError` for one that there is not."""
        for one in known:
            if isinstance(one, Agent):
                one.fill(self._made, self._growing)

    async def fresh(self, known: Iterable[Startable], *, always: bool = False) -> None:
        """Give the agents what was trusted of MCP servers since it was looked last, in whatever process. Raises `StorageError`."""
        if self._servers is None or not self._growing or not (await self._servers.fresh() or always):
            return
        self._made |= {name: self._servers.tools(name) for name in self._growing}
        self.fill(known)
        self._servers.taken()

    def _one(self, name: str, box: Box) -> Sequence[Tool[..., Any]]:
        place = f"agents.toolboxes.{name}"
        if NAME.fullmatch(name) is None or len(name) > LONGEST:
            told = f"{place}: a toolbox's name has letters, digits, _ and -, a letter first, at most {LONGEST}"
            raise SettingsError(told, param=place)
        try:
            if isinstance(box, McpBox) and not box.pins and self._servers is not None:
                self._servers.add(name, terms_of(name, box))
                self._growing.add(name)
                return ()
            return built(name, box)
        except SettingsError as fault:
            raise SettingsError(f"{place}: {fault.message}", param=place) from fault
        except (ValueError, OSError, Permanent) as fault:  # an address that is none is refused as the tool would refuse it
            raise SettingsError(f"{place}: {redact(str(fault))}", param=place) from fault
