"""A database with the tables of routing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from penstock.routing.tables import CHANGES, METADATA
from penstock.storage.records import Records, open_records


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    opened = open_records("", tmp_path)
    with opened.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(insert(CHANGES).values(id=1, version=0))
    yield opened
    opened.close()
