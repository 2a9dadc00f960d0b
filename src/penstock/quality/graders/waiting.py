"""Judges that are no program: people, and the business. An answer waits until they have spoken."""

from __future__ import annotations

from penstock.quality.examples import Item
from penstock.quality.graders.grade import Grade


class Waiting:
    """``human`` waits for labels, ``outcome`` for what the business says came of it."""

    compares = False

    def __init__(self, name: str) -> None:
        self.name = name

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """Always `waiting`."""
        return Grade(state="waiting", reason="no label yet" if self.name == "human" else "no outcome yet")


__all__ = ["Waiting"]
