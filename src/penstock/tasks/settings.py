"""The slice of the settings that is about tasks: the tasks themselves, by name."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct, field

from penstock.tasks.declaration import Declaration


class TasksSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Named pieces of work that all organisations may call for (docs/tasks.md): ``[tasks."support.intent"]``."""

    NAMED: ClassVar[str] = "declared"
    refresh_seconds: Annotated[
        float, Meta(gt=0, le=1, description="How often tasks are looked for that other processes declared or changed.")
    ] = 0.5
    declared: Annotated[dict[str, Declaration], Meta(description="Tasks by name, each a table of its own: `[tasks.NAME]`.")] = field(
        default_factory=dict[str, Declaration]
    )
