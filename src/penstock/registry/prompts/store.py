"""The SQL of prompts. Writes what it is given, and reads it back; decides nothing."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, insert, select, update

from penstock.registry.prompts.model import Known, Prompt, PromptVersion
from penstock.registry.tables import PROMPT_VERSIONS, PROMPTS
from penstock.storage.schema import encode_json

T = TypeVar("T")
_JSON = frozenset({"labels", "messages", "variables", "makers"})


def add_prompt(connection: Connection, prompt: Prompt) -> None:
    """Insert a prompt. Raises `Conflict` through the engine when its name is taken."""
    connection.execute(insert(PROMPTS).values(_row(prompt)))


def put_prompt(connection: Connection, prompt: Prompt) -> None:
    """Write a prompt over the stored one with the same id."""
    connection.execute(update(PROMPTS).where(PROMPTS.c.id == prompt.id).values(_row(prompt)))


def add_version(connection: Connection, version: PromptVersion) -> None:
    """Insert a version."""
    connection.execute(insert(PROMPT_VERSIONS).values(_row(version)))


def set_state(connection: Connection, id: str, state: str) -> None:
    """The one thing about a version that may change."""
    connection.execute(update(PROMPT_VERSIONS).where(PROMPT_VERSIONS.c.id == id).values(state=state))


def prompt(connection: Connection, reach: str | None, organisation: str, id: str) -> Prompt | None:
    """The prompt with this id within ``reach``, or else the one of ``organisation`` with this name."""
    by_id, by_name = PROMPTS.c.id == id, (PROMPTS.c.name == id) & (PROMPTS.c.organisation == organisation)
    query = select(PROMPTS).where(by_id if id.startswith("prm_") else by_name)
    row = connection.execute(query if reach is None else query.where(PROMPTS.c.organisation == reach)).mappings().first()
    return _read(row, Prompt) if row is not None else None


def prompts(connection: Connection, reach: str | None, after: str | None = None, limit: int | None = None) -> list[Prompt]:
    """Prompts in the order of their ids, newest first, from behind ``after``."""
    query = select(PROMPTS).order_by(PROMPTS.c.id.desc())
    if reach is not None:
        query = query.where(PROMPTS.c.organisation == reach)
    if after is not None:
        query = query.where(PROMPTS.c.id < after)
    if limit is not None:
        query = query.limit(limit)
    return [_read(row, Prompt) for row in connection.execute(query).mappings()]


def versions(connection: Connection, prompt: str) -> list[PromptVersion]:
    """All versions of a prompt, newest first."""
    query = select(PROMPT_VERSIONS).where(PROMPT_VERSIONS.c.prompt == prompt).order_by(PROMPT_VERSIONS.c.number.desc())
    return [_read(row, PromptVersion) for row in connection.execute(query).mappings()]


def version(connection: Connection, prompt: str, number: int) -> PromptVersion | None:
    """One version of a prompt."""
    query = select(PROMPT_VERSIONS).where(PROMPT_VERSIONS.c.prompt == prompt, PROMPT_VERSIONS.c.number == number)
    row = connection.execute(query).mappings().first()
    return _read(row, PromptVersion) if row is not None else None


def version_by_id(connection: Connection, id: str) -> PromptVersion | None:
    """One version, by the id that a process holds in memory."""
    row = connection.execute(select(PROMPT_VERSIONS).where(PROMPT_VERSIONS.c.id == id)).mappings().first()
    return _read(row, PromptVersion) if row is not None else None


def known(connection: Connection) -> tuple[list[Prompt], dict[tuple[str, int], Known]]:
    """All prompts, and of each of their versions, by prompt and number, what a process holds in memory."""
    found = prompts(connection, None)
    names = {one.id: one.name for one in found}
    columns = (PROMPT_VERSIONS.c.id, PROMPT_VERSIONS.c.prompt, PROMPT_VERSIONS.c.number, PROMPT_VERSIONS.c.state)
    rows = connection.execute(select(*columns)).all()
    return found, {(row.prompt, row.number): Known(row.id, names[row.prompt], row.number, row.state) for row in rows}


def _row(value: msgspec.Struct) -> dict[str, Any]:
    return {name: encode_json(held) if name in _JSON else held for name, held in msgspec.structs.asdict(value).items()}


def _read(row: Any, kind: type[T]) -> T:
    # SQLAlchemy's names of columns are a kind of text that msgspec does not take for one.
    return msgspec.convert({str(name): msgspec.json.decode(value) if name in _JSON else value for name, value in row.items()}, kind)
