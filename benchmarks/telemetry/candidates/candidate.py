"""What a contestant must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class Question:
    """What pages ask, with the values of this run: a viewer of one organisation looks at a month, and at an hour of it."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.organisation: str = values["organisation"]
        self.since: int = values["since"]
        self.until: int = values["until"]
        self.hour: int = values["hour"]
        self.traces: list[str] = values["traces"]
        self.words: list[str] = values["words"]


QUESTIONS = ("health", "hour", "search", "trace", "top", "threads", "text")


class Candidate(Protocol):
    """One engine on one folder. `ingest` takes a file of JSON lines, each a span, and returns when the batch survives ``kill -9``."""

    def open(self, folder: Path) -> None: ...

    def ingest(self, file: Path) -> None: ...

    def ready(self) -> None:
        """Everything is in: finish what is done in the background of a quiet hour (sealing, merging, indexing)."""
        ...

    def reader(self) -> Any:
        """What a thread that asks needs for itself."""
        ...

    def ask(self, reader: Any, name: str, q: Question, turn: int) -> int:
        """Ask one of `QUESTIONS`; how many rows came."""
        ...

    def count(self) -> int: ...

    def close(self) -> None: ...
