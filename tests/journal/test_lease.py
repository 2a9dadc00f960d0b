"""Who is alive on a shared journal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, create_engine
from tests.journal.conftest import migrated

from penstock.journal.lease import LIVING, Lease
from penstock.journal.tables import NODES


@pytest.fixture
def engine(postgres: str, tmp_path: Path) -> Iterator[Engine]:
    migrated(postgres, tmp_path)
    made = create_engine(postgres.replace("postgresql://", "postgresql+psycopg://"))
    yield made
    made.dispose()


def living(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(LIVING).scalars())


def until(rounds: threading.Semaphore, count: int = 3) -> None:
    for _ in range(count):
        assert rounds.acquire(timeout=10)


def test_a_node_lives_while_it_beats_and_is_gone_when_it_leaves(engine: Engine) -> None:
    rounds = threading.Semaphore(0)
    lease = Lease(engine, "one", 1.0, reap=lambda: 0, lost=lambda: "other", each=rounds.release)
    lease.begin()
    until(rounds, 8)  # longer than the lease
    assert living(engine) == ["one"]
    lease.end()
    assert living(engine) == []


def test_one_that_does_not_beat_is_reaped_and_buried(engine: Engine) -> None:
    past = sa.literal(0.0)
    with engine.begin() as connection:
        connection.execute(sa.insert(NODES).values(node="dead", host="h", pid=1, started_at=past, beat_at=past, lease=1.0))
    seen: list[list[str]] = []
    rounds = threading.Semaphore(0)

    def reap() -> int:
        with engine.connect() as connection:
            seen.append(sorted(connection.execute(sa.select(NODES.c.node)).scalars()))
        return 0

    lease = Lease(engine, "one", 1.0, reap=reap, lost=lambda: "other", each=rounds.release)
    lease.begin()
    until(rounds)
    lease.end()
    assert seen[0] == ["dead", "one"]
    assert seen[-1] == ["one"]


def test_one_that_was_buried_goes_on_under_another_name(engine: Engine) -> None:
    rounds = threading.Semaphore(0)
    lease = Lease(engine, "one", 1.0, reap=lambda: 0, lost=lambda: "two", each=rounds.release)
    lease.begin()
    until(rounds)
    with engine.begin() as connection:
        connection.execute(sa.delete(NODES))
    until(rounds)
    assert living(engine) == ["two"]
    lease.end()
    assert living(engine) == []


def test_the_first_of_the_living_leads(engine: Engine) -> None:
    leases = [Lease(engine, name, 60.0, reap=lambda: 0, lost=lambda: "other", each=lambda: None) for name in ("one", "three", "two")]
    for lease in leases:
        lease.begin()
    assert [lease.leads() for lease in leases] == [True, False, False]
    leases[0].end()
    assert [lease.leads() for lease in leases[1:]] == [True, False]
    for lease in leases[1:]:
        lease.end()
