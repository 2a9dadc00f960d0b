"""How our words become DBOS's."""

from __future__ import annotations

from pathlib import Path

from penstock.journal.terms import file_of, is_shared, keyed, limiter, options
from penstock.kernel.journal import Rate


def test_the_file_stands_beside_the_records(tmp_path: Path) -> None:
    assert file_of("", tmp_path) == tmp_path / "journal.db"
    assert file_of("sqlite:////var/lib/penstock/records.db", tmp_path) == Path("/var/lib/penstock/journal.db")
    assert file_of("sqlite:///records.db", tmp_path) == Path("journal.db")


def test_only_a_server_is_shared() -> None:
    assert [is_shared(url) for url in ("", "sqlite:///x.db", "postgresql://h/d", "postgres://h/d")] == [False, False, True, True]


def test_a_key_names_one_run_of_one_organisation() -> None:
    assert keyed("a", "k") == keyed("a", "k")
    assert len({keyed("a", "k"), keyed("b", "k"), keyed("a", "l"), keyed("ak", "")}) == 4


def test_what_a_queue_is_told() -> None:
    told = options("work@1", "org", "queue", priority=0, attributes={}, id=None, delay=0.0)
    assert (told["priority"], told["queue_partition_key"], told["authenticated_user"]) == (1, "org", "org")
    assert "workflow_id" not in told
    assert "delay_seconds" not in told
    assert limiter(None) is None
    assert limiter(Rate(starts=2, seconds=3)) == {"limit": 2, "period": 3}
