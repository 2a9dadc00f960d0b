"""The SQL of long-term memory; decides nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal_column, or_, select, text, update

from penstock.agents.memory.tables import MEMORIES
from penstock.agents.recollection import Memory, Owner

_COLUMNS = tuple(name for name in Memory.__struct_fields__)
_SHOWN = tuple(MEMORIES.c[name] for name in _COLUMNS)
_WORD = re.compile(r"\w+")
MOST_WORDS = 32
PREFIXED = 4
"""Letters from which on a word is also the beginning of others, so that 'river' finds 'rivers'."""


def add(connection: Connection, organisation: str, memory: Memory, embedder: str | None, vector: bytes | None) -> None:
    """Insert one."""
    values: dict[str, Any] = {name: getattr(memory, name) for name in _COLUMNS}
    values |= {"labels": msgspec.json.encode(memory.labels).decode(), "organisation": organisation, "embedder": embedder, "vector": vector}
    connection.execute(insert(MEMORIES).values(values))


def get(connection: Connection, organisation: str, id: str, among: Sequence[Owner] | None, now: float) -> Memory | None:
    """One that has not expired, of these owners, or of any."""
    wanted = (MEMORIES.c.id == id, *_within(organisation, among, now))
    row = connection.execute(select(*_SHOWN).where(*wanted)).mappings().first()
    return None if row is None else _memory(row)


def count(connection: Connection, organisation: str, owner: Owner, now: float) -> int:
    """How many an owner has."""
    asked = select(func.count()).select_from(MEMORIES).where(*_within(organisation, (owner,), now))
    return int(connection.execute(asked).scalar_one())


def listed(
    connection: Connection,
    organisation: str,
    among: Sequence[Owner] | None,
    now: float,
    *,
    label: str = "",
    before: float | None,
    most: int,
) -> list[Memory]:
    """The newest first, made before a moment."""
    wanted = [*_within(organisation, among, now), *_labelled(label)]
    if before is not None:
        wanted.append(MEMORIES.c.created_at < before)
    asked = select(*_SHOWN).where(*wanted).order_by(MEMORIES.c.created_at.desc(), MEMORIES.c.number.desc()).limit(most)
    return [_memory(row) for row in connection.execute(asked).mappings()]


def worded(
    connection: Connection, organisation: str, among: Sequence[Owner] | None, query: str, now: float, *, label: str = "", most: int
) -> list[Memory]:
    """Those that have words of the query, the best first; nothing for a query without words."""
    words = list(dict.fromkeys(_stem(word.lower()) for word in _WORD.findall(query)))[:MOST_WORDS]
    if not words:
        return []
    asked = select(*_SHOWN).where(*_within(organisation, among, now), *_labelled(label)).limit(most)
    if connection.dialect.name == "postgresql":
        told = " | ".join(f"'{word}':*" if len(word) >= PREFIXED else f"'{word}'" for word in words)
        vector, wanted = func.to_tsvector(literal_column("'simple'"), MEMORIES.c.text), func.to_tsquery(literal_column("'simple'"), told)
        asked = asked.where(vector.op("@@")(wanted)).order_by(func.ts_rank(vector, wanted).desc(), MEMORIES.c.number.desc())
        return [_memory(row) for row in connection.execute(asked).mappings()]
    told = " OR ".join(f'"{word}"*' if len(word) >= PREFIXED else f'"{word}"' for word in words)
    joined = asked.join(text("agent_memory_words"), text("agent_memory_words.rowid = agent_memories.number"))
    matched = joined.where(text("agent_memory_words MATCH :told").bindparams(told=told)).order_by(text("bm25(agent_memory_words)"))
    return [_memory(row) for row in connection.execute(matched).mappings()]


def _stem(word: str) -> str:
    """A word without the s of many, so that it is the beginning of one and of many."""
    return word[:-1] if len(word) > PREFIXED and word.endswith("s") and not word.endswith("ss") else word


def vectors(
    connection: Connection, organisation: str, among: Sequence[Owner] | None, embedder: str, now: float, *, label: str = "", most: int
) -> list[tuple[Memory, bytes]]:
    """Those that have a vector of this embedder, with it; the newest first."""
    wanted = (*_within(organisation, among, now), *_labelled(label), MEMORIES.c.embedder == embedder)
    asked = select(*_SHOWN, MEMORIES.c.vector).where(*wanted).order_by(MEMORIES.c.number.desc()).limit(most)
    return [(_memory(row), bytes(row["vector"])) for row in connection.execute(asked).mappings()]


def touch(connection: Connection, ids: Sequence[str], now: float, at_least: float) -> None:
    """They were of use: now, and for as long again at least."""
    later = func.max if connection.dialect.name == "sqlite" else func.greatest
    values: dict[str, Any] = {"used_at": now, "expires_at": later(MEMORIES.c.expires_at, at_least)}
    connection.execute(update(MEMORIES).where(MEMORIES.c.id.in_(ids)).values(values))


def remove(connection: Connection, organisation: str, id: str, among: Sequence[Owner] | None, now: float) -> bool:
    """Delete one; whether there was one."""
    return connection.execute(delete(MEMORIES).where(MEMORIES.c.id == id, *_within(organisation, among, now))).rowcount > 0


def remove_expired(connection: Connection, now: float) -> int:
    """Delete those whose time is over; how many."""
    return connection.execute(delete(MEMORIES).where(MEMORIES.c.expires_at <= now)).rowcount


def remove_person(connection: Connection, organisation: str, person: str) -> int:
    """Delete a person's memory, and what comes from a run for the person in anybody's; how many."""
    own = (MEMORIES.c.scope == "person") & (MEMORIES.c.owner == person)
    gone = delete(MEMORIES).where(MEMORIES.c.organisation == organisation, or_(own, MEMORIES.c.person == person))
    return connection.execute(gone).rowcount


def _within(organisation: str, among: Sequence[Owner] | None, now: float) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [MEMORIES.c.organisation == organisation, MEMORIES.c.expires_at > now]
    if among is not None:
        # One that may see nobody's memory sees nothing: an empty `or` would be everything.
        found.append(or_(literal_column("1 = 0"), *((MEMORIES.c.scope == one.scope) & (MEMORIES.c.owner == one.id) for one in among)))
    return found


def _labelled(label: str) -> list[ColumnElement[bool]]:
    if not label:
        return []
    return [MEMORIES.c.labels.contains(msgspec.json.encode(label).decode(), autoescape=True)]


def _memory(row: Any) -> Memory:
    values: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    values["labels"] = msgspec.json.decode(values["labels"], type=list[str])
    return Memory(**values)
