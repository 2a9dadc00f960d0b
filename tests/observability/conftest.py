from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    """An empty database of each engine with the tables of observability."""
    opened = open_records(database, tmp_path)
    migrate(opened, ["penstock.observability.migrations"])
    yield opened
    opened.close()
