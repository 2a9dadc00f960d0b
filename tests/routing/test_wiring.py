"""Routing joins the other rooms when all of them have started."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from tests.house import SETTINGS, open_house

from penstock.kernel.capability import House, Offer


class Last:
    """A room that starts after all others; ``begun`` says whether routing went round by then."""

    name: ClassVar[str] = "last"
    settings: ClassVar[Any] = None
    migrations: ClassVar[str | None] = None
    commands: ClassVar[str | None] = None
    templates: ClassVar[str | None] = None

    def __init__(self) -> None:
        self.house: Any = None
        self.begun: bool | None = None

    def open(self, house: House) -> Offer:
        self.house = house
        return Offer(services=(self,))

    async def start(self) -> None:
        (life,) = self.house.offers["routing"].services
        self.begun = life.rounds._task is not None

    async def stop(self) -> None: ...


async def test_no_round_begins_before_every_room_has_started(tmp_path: Path) -> None:
    last = Last()
    async with open_house(tmp_path, SETTINGS, more=[last]) as house:
        assert last.begun is False
        (life,) = house.app.offers["routing"].services
        assert life.rounds._task is not None  # type: ignore[attr-defined]
