"""How our words for runs and queues become DBOS's."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from penstock.kernel.errors import NotFound
from penstock.kernel.journal import Rate, RunFunction

FILE = "journal.db"

CODE = "penstock"
"""DBOS's application version, the same for ever. By default it is a hash of the source, so that an edit would strand every run that is in
flight; versions are ours, one per definition, and stand in the run's name."""

LABELS = "labels"
QUEUE = "queue"
PAUSED = "paused"
FORKED_BY = "forked_by"
"""Keys of what is kept with a run beside DBOS's own columns."""

UNBOUNDED = 1_000_000
"""The limit of a queue that has none: with it DBOS claims through the one path that asks us first (`systems`)."""


class Definition:
    """The code of one name and version."""

    def __init__(self, name: str, version: int, function: RunFunction) -> None:
        self.name = name
        self.version = version
        self.function = function
        self.full = f"{name}@{version}"


def is_shared(url: str) -> bool:
    """Whether the ``storage.records`` URL names a server, on which several processes may work."""
    return bool(url) and not url.startswith("sqlite")


def file_of(url: str, data_dir: Path) -> Path:
    """The journal's SQLite file: beside the records when those are elsewhere, so that a backup of the folder has both."""
    return (Path(url.partition(":///")[2]).parent if url else data_dir) / FILE


def missing(run: str) -> NotFound:
    """The fault of asking for a run that is not there, or not within reach."""
    return NotFound(f"there is no run {run[:100]!r}", param="id")


def limiter(rate: Rate | None) -> Any:
    """A rate as DBOS takes it."""
    return None if rate is None else {"limit": rate.starts, "period": rate.seconds}


def options(full: str, organisation: str, queue: str, *, priority: int, attributes: dict[str, Any], id: str | None, delay: float) -> Any:
    """What DBOS is told of a run that goes into a queue."""
    told: dict[str, Any] = {
        "workflow_name": full,
        "queue_name": queue,
        "app_version": CODE,
        "priority": priority + 1,  # DBOS counts from 1
        "queue_partition_key": organisation,
        "authenticated_user": organisation,
        "attributes": attributes,
    }
    if id is not None:
        told["workflow_id"] = id
    if delay > 0:
        told["delay_seconds"] = delay
    return told


def keyed(organisation: str, key: str) -> str:
    """The id of the run that this organisation starts under this key."""
    return "run_" + hashlib.sha256(f"{organisation}\0{key}".encode()).hexdigest()[:32]
