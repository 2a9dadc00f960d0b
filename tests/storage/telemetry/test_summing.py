"""Sums are made once from each span, go with a person and not with a sample, and last as long as any span is kept."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from penstock.kernel.errors import StorageError
from penstock.storage.telemetry import summing
from penstock.storage.telemetry.duck import DuckValues
from penstock.storage.telemetry.held import Held
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Filter, Retention
from penstock.storage.telemetry.span import Span

from .conftest import DAY, NOW, a_span, put


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    opened = Held(tmp_path, Inbox(tmp_path / "inbox"), memory_mb=256)
    yield opened
    opened.close()


def stored(held: Held, spans: list[Span], batch: str) -> None:
    put(held.inbox, spans, batch)
    held.store_waiting()


def summed(held: Held) -> int:
    return int(held.rows("SELECT coalesce(sum(spans), 0) FROM sums", [])[0][0])


def counted(held: Held) -> int:
    groups = held.questions.groups(Filter(organisation="org_a", until_ns=(NOW // DAY + 1) * DAY), [], 1)
    return groups[0].measures.spans if groups else 0


def test_enough_spans_are_summed_by_themselves_and_once(held: Held) -> None:
    held._summed_from = 3
    stored(held, [a_span(), a_span()], "one")
    assert summed(held) == 0
    stored(held, [a_span(), a_span()], "two")
    assert summed(held) == 4
    held._duck.sum_up()
    stored(held, [a_span()], "three")
    assert summed(held) == 4
    stored(held, [a_span(), a_span()], "four")
    assert summed(held) == 7
    tables = ("sums", "owner_sums", "key_sums")
    assert {int(held.rows(f"SELECT sum(spans) FROM {table}", [])[0][0]) for table in tables} == {7}
    times = held.rows("SELECT cut, sum(n) FROM times WHERE took IS NOT NULL GROUP BY cut", [])
    assert {int(n) for _, n in times} == {7}


def test_a_summing_that_breaks_off_leaves_nothing(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(held, [a_span(), a_span()], "one")
    with monkeypatch.context() as broken:
        broken.setattr(summing, "CUTS", (summing.CUTS[0]._replace(dimensions=("no_such",)),))
        broken.setattr(summing, "_WHERE", ("organisation", "no_such"))
        with pytest.raises(StorageError):
            held._duck.sum_up()
    assert summed(held) == 0
    assert counted(held) == 2
    held._duck.sum_up()
    assert summed(held) == 2


def test_portions_add_up(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summing, "PORTION", 10)
    stored(held, [a_span(start_ns=NOW - 3 * DAY) for _ in range(25)], "one")
    held._duck.sum_up()
    stored(held, [a_span(start_ns=NOW - 3 * DAY) for _ in range(25)], "two")
    held._duck.sum_up()
    assert summed(held) == 50


def test_a_clock_that_goes_back_hides_no_span(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(held, [a_span(start_ns=NOW - 3 * DAY)], "one")
    held._duck.sum_up()
    monkeypatch.setattr("penstock.storage.telemetry.duck.time.time", lambda: NOW / 1e9 - 86_400)
    stored(held, [a_span(start_ns=NOW - 3 * DAY)], "two")
    assert counted(held) == 2
    held._duck.sum_up()
    assert counted(held) == 2


def test_a_sample_is_drawn_from_spans_and_not_from_sums(held: Held) -> None:
    rng = random.Random(1)
    old = NOW - 5 * DAY
    stored(held, [a_span(start_ns=old, trace_id=f"{rng.getrandbits(128):032x}") for _ in range(100)], "one")
    held.retain([Retention(sample=0.25)], NOW)
    assert 10 < len(held.questions.search(Filter(), 100, "").spans) < 45
    assert counted(held) == summed(held) == 100
    held.retain([Retention(sample=0.25)], NOW)
    assert counted(held) == 100
    held.retain([Retention(organisation="org_b", keep_days=1, span_days=1), Retention()], NOW)
    assert counted(held) == 100
    held.retain([Retention(organisation="org_a", keep_days=2, span_days=2)], NOW)
    assert counted(held) == summed(held) == 0
    assert held.rows("SELECT count(*) FROM times", []) == [(0,)]


def test_a_person_who_is_erased_leaves_no_trace_in_sums(held: Held) -> None:
    old = NOW - 5 * DAY
    stored(held, [a_span(start_ns=old, person="ann", task="secret"), a_span(start_ns=old, person="bob")], "one")
    held._duck.sum_up()
    stored(held, [a_span(start_ns=old, person="ann", task="secret")], "two")
    held.erase("org_a", "ann")
    assert counted(held) == 1
    for table in ("sums", "times"):
        assert held.rows(f"SELECT DISTINCT task FROM {table} WHERE task <> ''", []) == [("answer",)]
    assert all(int(n) > 0 for (n,) in held.rows("SELECT n FROM times", []))


def test_a_person_who_is_erased_takes_no_span_of_the_same_id_along(held: Held) -> None:
    mine = a_span(person="ann")
    theirs = a_span(trace_id=mine.trace_id, span_id=mine.span_id, organisation="org_b")
    stored(held, [mine], "one")
    stored(held, [theirs, theirs], "two")
    held._duck.sum_up()
    assert held.erase("org_a", "ann").spans == 1
    assert held.rows("SELECT organisation FROM spans", []) == [("org_b",)]
    assert held.rows("SELECT organisation, sum(spans) FROM sums GROUP BY ALL HAVING sum(spans) <> 0", []) == [("org_b", 1)]


def test_a_new_file_waits_for_questions_of_several_parts(held: Held) -> None:
    stored(held, [a_span()], "one")
    duck = held._duck
    copied, opens = threading.Event(), duck._alone

    def told() -> AbstractContextManager[None]:
        copied.set()
        return opens()

    duck._alone = told  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as other:
        with duck.once("SELECT 7 AS n", DuckValues()) as (source, _):
            compacted = other.submit(duck.compact)
            assert copied.wait(20)
            assert duck.rows(f"SELECT n FROM {source}") == [(7,)]
            assert not compacted.done()
        compacted.result(20)
    assert duck.rows("SELECT count(*) FROM spans") == [(1,)]


def test_a_store_from_before_there_were_sums_gets_them(held: Held) -> None:
    stored(held, [a_span(start_ns=NOW - 3 * DAY) for _ in range(20)], "one")
    for table in ("sums", "owner_sums", "key_sums", "times", "summed", "summed_by"):
        held._duck.writer.execute(f"DROP TABLE {table}")
    held._duck.close()
    held._summed_from = 20
    held._duck._open()
    assert counted(held) == 20
    held.store_waiting()
    assert counted(held) == summed(held) == 20


def test_a_store_that_was_summed_by_less_is_counted_once_from_its_spans(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    old = NOW - 5 * DAY
    monkeypatch.setattr(summing, "PORTION", 2)
    stored(held, [a_span(start_ns=old, provider="east", tool="look") for _ in range(5)], "one")
    held._duck.sum_up()
    before = set(held.rows("SELECT cut, sum(n) FROM times GROUP BY cut", []))
    keys = held.rows("SELECT sum(spans) FROM key_sums", [])
    # As an earlier version left it.
    with held._duck.transaction() as con:
        con.execute("DELETE FROM times WHERE cut IN ('provider', 'agent', 'tool', 'key')")
        for name in ("provider", "agent", "tool", "key"):
            con.execute(f"ALTER TABLE times DROP COLUMN {name}")
        con.execute("DROP TABLE key_sums")
        con.execute("DROP TABLE summed_by")
    stored(held, [a_span(start_ns=old, provider="west")], "late")
    held._duck.close()
    held._duck._open()

    assert set(held.rows("SELECT cut, sum(n) FROM times GROUP BY cut", [])) == before
    assert held.rows("SELECT sum(spans) FROM key_sums", []) == keys == [(5,)]
    assert held.rows("SELECT provider, sum(n) FROM times WHERE cut = 'provider' GROUP BY ALL", []) == [("east", 5)]
    held._duck.sum_up()
    found = held.rows("SELECT provider, sum(n) FROM times WHERE cut = 'provider' GROUP BY ALL ORDER BY ALL", [])
    assert found == [
        ("east", 5),
        ("west", 1),
    ]
    assert counted(held) == 6
    held._duck.close()
    held._duck._open()
    assert held.rows("SELECT sum(spans) FROM key_sums", []) == [(6,)]
