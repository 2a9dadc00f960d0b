"""Which prompts and replies have these words: SQLite's FTS5, beside an engine that has nothing of the kind.

The index holds no text, only which words stand where; its rows are the payloads' ids, which grow with time. It is made from the payloads
and may be made again from them: `Words.upto` says how far it has come.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from penstock.kernel.errors import RequestError, StorageError, StorageFull

Text = tuple[int, str, str]
"""A payload's id, the organisation it belongs to, and what is said in it."""

_PART = re.compile(r'"([^"]*)"?|(\S+)')
_MARKS = "PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", "PRAGMA secure_delete=ON", "PRAGMA cache_size=-32768"


class Words:
    """One index. `add` and `remove` are for one thread at a time, `find` for any."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises `StorageError` when it cannot be read: it may be deleted, and is then made again."""
        self._path = path
        self._readers = threading.local()
        self._reading: list[sqlite3.Connection] = []
        try:
            with closing(self._connect()) as con:
                con.execute("CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(owner, text, content='', columnsize=0)")
                con.execute("CREATE TABLE IF NOT EXISTS held (id INTEGER PRIMARY KEY)")
                con.execute("CREATE TABLE IF NOT EXISTS mark (one INTEGER PRIMARY KEY, upto INTEGER NOT NULL)")
            path.chmod(0o600)
            self._writer = self._connect()
        except sqlite3.DatabaseError as fault:
            raise StorageError(f"{path}: the index of words cannot be read; delete it, and it is made again") from fault

    def _connect(self) -> sqlite3.Connection:
        con = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=10)
        for mark in _MARKS:
            con.execute(mark)
        return con

    @property
    def upto(self) -> int:
        """The last payload that was indexed; 0 for none."""
        try:
            found = self._writer.execute("SELECT upto FROM mark").fetchone()
        except sqlite3.DatabaseError as fault:
            raise self._translated(fault) from fault
        return int(found[0]) if found is not None else 0

    def add(self, texts: Iterable[Text], upto: int) -> None:
        """Index these texts, and note that everything up to this id is; all or nothing."""
        rows = [(id, _owner(organisation), text) for id, organisation, text in texts]
        self._transaction(
            ("INSERT INTO words (rowid, owner, text) VALUES (?, ?, ?)", rows),
            ("INSERT INTO held VALUES (?)", [(id,) for id, _, _ in rows]),
            ("INSERT INTO mark VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET upto = excluded.upto", [(upto,)]),
        )

    def remove(self, texts: Sequence[Text]) -> None:
        """Forget these texts, which must be as they were added; those that are not held do no harm."""
        held = {row[0] for id, _, _ in texts for row in self._writer.execute("SELECT id FROM held WHERE id = ?", (id,))}
        rows = [(id, _owner(organisation), text) for id, organisation, text in texts if id in held]
        # Given a text that it does not hold, FTS5 would corrupt itself: hence the table of those that it does.
        self._transaction(
            ("INSERT INTO words (words, rowid, owner, text) VALUES ('delete', ?, ?, ?)", rows),
            ("DELETE FROM held WHERE id = ?", [(id,) for id, _, _ in rows]),
        )

    def scrub(self) -> None:
        """Take what was removed off the disk too; reads and writes the whole index."""
        try:
            self._writer.execute("INSERT INTO words (words) VALUES ('optimize')")
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError as fault:
            raise self._translated(fault) from fault

    def find(self, text: str, organisation: str | None, limit: int, before: int | None = None) -> list[int]:
        """Ids of payloads that have all these words, the latest first, below ``before``."""
        if not hasattr(self._readers, "con"):
            self._readers.con = self._connect()
            self._reading.append(self._readers.con)
        wanted = query(text)
        if organisation is not None:
            wanted = f'owner : "{_owner(organisation)}" AND {wanted}'
        sql = "SELECT rowid FROM words WHERE words MATCH ? AND rowid < ? ORDER BY rowid DESC LIMIT ?"
        try:
            rows = self._readers.con.execute(sql, (wanted, before if before is not None else 2**62, limit)).fetchall()
        except sqlite3.DatabaseError as fault:
            raise self._translated(fault) from fault
        return [int(row[0]) for row in rows]

    def close(self) -> None:
        """Let go of the file; no thread may be looking for anything."""
        for con in (self._writer, *self._reading):
            con.close()

    def _transaction(self, *statements: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        con = self._writer
        try:
            con.execute("BEGIN IMMEDIATE")
            for sql, rows in statements:
                con.executemany(sql, rows)
            con.execute("COMMIT")
        except sqlite3.DatabaseError as fault:
            if con.in_transaction:
                con.execute("ROLLBACK")
            raise self._translated(fault) from fault

    def _translated(self, fault: sqlite3.DatabaseError) -> StorageError:
        code: int | None = getattr(fault, "sqlite_errorcode", None)
        if code is not None and code & 0xFF == sqlite3.SQLITE_FULL:
            return StorageFull(f"{self._path}: the disk is full; free some space", retry_after=5)
        return StorageError(f"{self._path}: {fault}; if this stays so, delete the file, and it is made again")


def query(text: str) -> str:
    """What FTS5 is asked: every word, phrases in quotation marks, ``word*`` by its beginning. Raises `RequestError` for no word at all."""
    asked = [f'"{said}"{"*" if beginning else ""}' for said, beginning in parts(text)]
    return f"text : ({' AND '.join(asked)})"


def parts(text: str) -> list[tuple[str, bool]]:
    """The words and phrases that are looked for, each with whether it is a beginning only. Raises `RequestError` for none."""
    found: list[tuple[str, bool]] = []
    for phrase, word in _PART.findall(text):
        said = (phrase or word.rstrip("*")).replace('"', "")
        if any(character.isalnum() for character in said):
            found.append((said, not phrase and word.endswith("*")))
    if not found:
        raise RequestError("there is no word to look for", param="text")
    return found


def _owner(organisation: str) -> str:
    # One token, whatever the id is made of.
    return "o" + organisation.encode().hex()


def remove_files(path: Path) -> None:
    """Delete an index that nobody has open."""
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        (path.parent / name).unlink(missing_ok=True)
