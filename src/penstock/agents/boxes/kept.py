"""The toolboxes of a house, and what its agents get of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.agents.boxes.building import built
from penstock.agents.boxes.settings import Box
from penstock.agents.definition import Agent
from penstock.agents.faults import Permanent
from penstock.agents.startable import Startable
from penstock.agents.tools import NAME, Tool
from penstock.kernel.errors import SettingsError
from penstock.logs import redact

LONGEST = 40
"""Of the name of a toolbox: the names of its tools begin with it."""


class Boxes:
    """The toolboxes that the settings have, each made once."""

    def __init__(self, settings: Mapping[str, Box]) -> None:
        self._settings = settings
        self._made: dict[str, Sequence[Tool[..., Any]]] = {}

    def make(self) -> None:
        """Make those that are not made yet. Raises `SettingsError`, which names the toolbox."""
        for name, box in self._settings.items():
            if name not in self._made:
                self._made[name] = self._one(name, box)

    def fill(self, known: Iterable[Startable]) -> None:
        """Give each agent the tools of its toolboxes. Raises `SettingsError` for one that there is not."""
        for one in known:
            if isinstance(one, Agent):
                one.fill(self._made)

    def _one(self, name: str, box: Box) -> Sequence[Tool[..., Any]]:
        place = f"agents.toolboxes.{name}"
        if NAME.fullmatch(name) is None or len(name) > LONGEST:
            told = f"{place}: a toolbox's name has letters, digits, _ and -, a letter first, at most {LONGEST}"
            raise SettingsError(told, param=place)
        try:
            return built(name, box)
        except SettingsError as fault:
            raise SettingsError(f"{place}: {fault.message}", param=place) from fault
        except (ValueError, OSError, Permanent) as fault:  # an address that is none is refused as the tool would refuse it
            raise SettingsError(f"{place}: {redact(str(fault))}", param=place) from fault
