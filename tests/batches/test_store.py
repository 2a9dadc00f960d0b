"""Batches in the database: what one organisation lists is its own, in order, each once, however it is paged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from penstock.batches import store
from penstock.batches.model import ANTHROPIC, OPENAI, Batch, LineError, Status
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

OWNERS = st.sampled_from(["north", "south"])
SHAPES = st.sampled_from([OPENAI, ANTHROPIC])


@pytest.fixture
def records(database: str, tmp_path: Path) -> Iterator[Records]:
    opened = open_records(database, tmp_path)
    migrate(opened, ("penstock.batches.migrations",))
    yield opened
    opened.close()


def batch(id: str, organisation: str = "north", shape: str = OPENAI, at: float = 1.0) -> Batch:
    return Batch(
        id=id,
        organisation=organisation,
        key_id="key",
        shape=shape,
        endpoint="/v1/messages",
        status=Status.VALIDATING,
        created_at=at,
        updated_at=at,
        expires_at=at + 10,
    )


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(made=st.lists(st.tuples(OWNERS, SHAPES, st.integers(1, 3)), max_size=12), reach=OWNERS, shape=SHAPES, size=st.integers(1, 5))
def test_a_list_holds_ones_own_in_order_and_each_once(
    records: Records, made: list[tuple[str, str, int]], reach: str, shape: str, size: int
) -> None:
    with records.begin() as connection:
        for old in store.listed(connection, None, limit=1000):
            store.remove(connection, old.id)
        for number, (owner, its, at) in enumerate(made):
            store.add(connection, batch(f"b{number:02}", owner, its, float(at)))
        mine = [(float(at), f"b{n:02}") for n, (owner, its, at) in enumerate(made) if owner == reach and its == shape]
        wanted = [id for _, id in sorted(mine, reverse=True)]
        found: list[str] = []
        while page := store.listed(connection, reach, shape=shape, below=found[-1] if found else None, limit=size):
            found += [b.id for b in page]
        assert found == wanted
        back: list[str] = []
        while wanted and (page := store.listed(connection, reach, shape=shape, above=back[0] if back else wanted[-1], limit=size)):
            back = [b.id for b in page] + back
        assert back == wanted[:-1]
        for number, (owner, _, _) in enumerate(made):
            assert (store.get(connection, reach, f"b{number:02}") is None) == (owner != reach)


def test_what_is_changed_is_read_again_unless_it_had_ended(records: Records) -> None:
    with records.begin() as connection:
        store.add(connection, batch("one"))
        errors = [LineError(code="empty_file", message="nothing", line=3)]
        changed = store.change(connection, "one", {"status": Status.FAILED, "errors": errors, "codes": {"a": 1}}, among={Status.VALIDATING})
        assert changed is not None
        assert (changed.status, changed.errors, changed.codes) == (Status.FAILED, errors, {"a": 1})
        assert store.get(connection, "north", "one") == changed
        assert store.change(connection, "one", {"status": Status.COMPLETED}, among={Status.IN_PROGRESS}) is None
        assert store.change(connection, "two", {"total": 1}) is None
