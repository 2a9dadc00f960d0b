"""A task as it is kept and shown, and a line of its audit trail."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from penstock.tasks.declaration import Declaration


class Kept(Struct, frozen=True, kw_only=True):
    """A task that an organisation declared, as it is stored."""

    id: str
    organisation: str
    name: str
    declaration: Declaration
    created_at: float
    created_by: str
    changed_at: float
    changed_by: str


class TaskView(Struct, frozen=True, kw_only=True):
    """A task as it is shown. Shared tasks stand in the settings, so nobody made or changed them here."""

    name: str
    organisation: str
    shared: bool
    digest: str
    declaration: Declaration
    created_at: float | None = None
    created_by: str | None = None
    changed_at: float | None = None
    changed_by: str | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the audit trail: who did what when, and by field what was and what is. ``digest`` is SHA-256 over the line and the
    ``digest`` of the organisation's line before it."""

    id: int
    organisation: str
    task: str
    action: str
    changes: dict[str, tuple[Any, Any]]
    by: str
    person: str | None
    at: float
    digest: str
