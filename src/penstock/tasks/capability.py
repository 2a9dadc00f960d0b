"""The offer of the tasks."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from penstock.kernel.capability import House, Offer
from penstock.tasks.settings import TasksSettings


class TasksRoom:
    """Named pieces of work: who answers for them, how good they have to be, what they may cost and where their data may go."""

    name: ClassVar[str] = "tasks"
    settings: ClassVar[type[msgspec.Struct] | None] = TasksSettings
    migrations: ClassVar[str | None] = "penstock.tasks.migrations"
    commands: ClassVar[str | None] = "penstock.tasks.commands:app"
    templates: ClassVar[str | None] = "penstock.tasks"

    def open(self, house: House) -> Offer:
        """Build the parts; the tasks are read when the service starts."""
        # Kept off the path of `--help`, which reads only the attributes above.
        from penstock.tasks.wiring import wire

        return wire(house)
