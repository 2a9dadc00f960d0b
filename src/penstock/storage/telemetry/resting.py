"""The embedded store while nobody has its engine open: what is known of it, and which questions that answers.

Opening DuckDB costs 0.15 s of CPU and 50 MB, which a process that neither takes spans in nor is asked about any need not pay. What is
known is in a small file, written when the engine is closed and deleted when it is opened: after a crash there is none, and the engine says.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock.storage.telemetry.dialect import Dialect
from penstock.storage.telemetry.duck import FILE, DuckDialect
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Facts, Removed, Retention
from penstock.storage.telemetry.words import query

KNOWN = "facts.json"
_DAY_NS = 86_400 * 10**9


class Nothing:
    """An engine with no span in it: questions that make no sense are refused here as by any other."""

    def __init__(self) -> None:
        self.dialect: Dialect = DuckDialect()
        self.summed: int | None = None

    def rows(self, sql: str, values: Any) -> list[tuple[Any, ...]]:
        return []

    @contextlib.contextmanager
    def once(self, sql: str, values: Any) -> Generator[tuple[str, Any]]:
        yield "nothing", values

    def find(self, text: str, organisation: str | None, limit: int, before: int | None) -> list[int]:
        query(text)
        return []


class Resting:
    """A folder that has no engine open. Methods block for the reading of a small file."""

    def __init__(self, folder: Path, inbox: Inbox) -> None:
        self._folder = folder
        self._inbox = inbox
        self._known = folder / KNOWN

    @property
    def empty(self) -> bool:
        """Whether nothing was ever stored and nothing waits: then every question has an answer."""
        return not (self._folder / FILE).exists() and self._inbox.is_empty()

    def note(self, facts: Facts) -> None:
        """Keep what the engine said last; it is closed now."""
        unfinished = self._known.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(facts))
        unfinished.chmod(0o600)
        unfinished.replace(self._known)

    def forget(self) -> None:
        """The engine is about to be opened: from here on only it knows."""
        self._known.unlink(missing_ok=True)

    def facts(self) -> Facts | None:
        """How much is stored; None when only the engine can tell."""
        if not (self._folder / FILE).exists():
            known = Facts(engine="duckdb", spans=0, payloads=0, bytes=0, oldest_ns=None, waiting=0, repeated=0, unreadable=0)
        else:
            try:
                known = msgspec.json.decode(self._known.read_bytes(), type=Facts)
            except (FileNotFoundError, msgspec.DecodeError):
                return None
        waiting = self._inbox.waiting()
        return msgspec.structs.replace(known, waiting=len(waiting), bytes=bytes_in(self._folder) + sum(one.bytes for one in waiting))

    def retain(self, rules: Sequence[Retention], now_ns: int) -> Removed | None:
        """Nothing was removed, where all that is stored is too young for any rule; None when the engine has to look."""
        facts = self.facts()
        if facts is None:
            return None
        if facts.oldest_ns is None or not rules or facts.oldest_ns >= now_ns - min(map(_youngest_ns, rules)):
            return Removed()
        return None


def bytes_in(folder: Path) -> int:
    """What the files of a folder take, without those below it. Some may come and go meanwhile."""
    size = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size


def _youngest_ns(rule: Retention) -> int:
    """The least age at which the rule takes anything away."""
    days = min(rule.span_days, rule.payload_days, *((rule.whole_days,) if rule.sample < 1 else ()))
    return int(days * _DAY_NS)
