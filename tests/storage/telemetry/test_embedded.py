"""The embedded store between processes: one holds it, all append and ask, and any may be killed at any moment."""

from __future__ import annotations

import asyncio
import errno
import signal
from pathlib import Path

import duckdb
import pytest

from penstock.kernel.errors import RequestError, SettingsError, StorageError
from penstock.storage.telemetry.asked import COUNTED
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Filter, Retention
from penstock.storage.telemetry.store import open_telemetry

from .conftest import DAY, HOUR, NOW, a_span, said, until
from .drill import BATCH, acknowledged, drill, rest, writer


def opened(folder: Path) -> EmbeddedTelemetry:
    return EmbeddedTelemetry(folder, memory_mb=256, drain_seconds=0.05)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("where", ["apart", "inside"])
async def test_what_was_acknowledged_survives_kill_9_once(tmp_path: Path, where: str) -> None:
    found = await drill(tmp_path, 3, 11, where)

    assert found["wrong"] == {}
    assert (found["waiting"], found["unreadable"]) == (0, 0)
    assert isinstance(found["spans"], int)
    assert found["found_by_words"] == min(found["spans"] // BATCH, COUNTED) > 10
    assert found["payloads"] == found["spans"] // BATCH
    assert found["counted_with_sums"] == found["spans"]
    assert isinstance(found["summed"], int)
    assert found["summed"] <= found["spans"]


async def test_another_process_asks_the_one_that_holds_the_store(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    await one.start()
    await two.start()
    assert (one.holds, two.holds) == (True, False)
    trace = "ab" * 16
    await two.append([a_span(trace_id=trace, session="s", payload=said("hello there"))], "two")
    await one.append([a_span(trace_id=trace)], "one")
    await two.flush()

    which = Filter(organisation="org_a", since_ns=NOW - DAY, until_ns=NOW, equal={"model": ("gpt",)})
    assert await two.search(which, 10) == await one.search(which, 10)
    assert len(await two.trace(trace, "org_a")) == 2
    assert await two.series(which, HOUR, "task") == await one.series(which, HOUR, "task") != []
    assert await two.groups(which, ["task"]) == await one.groups(which, ["task"]) != []
    assert await two.threads(which) == await one.threads(which)
    stored = (await two.search(Filter(text="hello"))).spans[0]
    assert await two.payload(trace, stored.span_id, "org_a") == said("hello there")
    assert await two.payload(trace, "0" * 16, "org_a") is None
    assert await two.export(which, tmp_path / "out.parquet") == 2
    assert (await two.retain([Retention()], NOW)).spans == 0
    assert (await two.facts()).spans == 2
    with pytest.raises(RequestError, match="two ends"):
        await two.series(Filter(), HOUR)
    assert (await two.erase("org_a", "ann")).spans == 2
    await two.close()
    await one.close()


async def test_whoever_is_left_takes_the_store_over(tmp_path: Path) -> None:
    one, two = opened(tmp_path), opened(tmp_path)
    await one.start()
    await two.start()
    await one.append([a_span()], "first")
    await one.close()
    await two.append([a_span()], "second")
    await two.flush()
    assert two.holds
    assert (await two.facts()).spans == 2
    await two.close()
    with pytest.raises(StorageError, match="closed"):
        await two.search(Filter())
    with pytest.raises(StorageError, match="closed"):
        await two.append([a_span()], "third")


@pytest.mark.slow
@pytest.mark.timeout(60)
async def test_a_holder_that_is_killed_is_replaced(tmp_path: Path) -> None:
    holder = await writer(tmp_path, "holder")
    last = await acknowledged(holder, 3)
    store = opened(tmp_path)
    await store.start()
    assert not store.holds
    assert (await store.facts()).engine == "duckdb"
    holder.send_signal(signal.SIGKILL)
    last = await rest(holder, last)
    await store.flush()
    assert (await store.facts()).spans >= last * BATCH
    await until(lambda: store.holds)
    await store.close()


async def test_the_engine_is_opened_when_there_is_work_and_closed_when_there_is_none(tmp_path: Path) -> None:
    store = EmbeddedTelemetry(tmp_path, memory_mb=256, drain_seconds=0.02, idle_seconds=0.1)
    await store.start()
    which = Filter(organisation="org_a", since_ns=NOW - DAY, until_ns=NOW)
    assert (await store.facts()).spans == (await store.retain([Retention()], NOW)).spans == 0
    assert (await store.search(which)).spans == await store.series(which, HOUR) == await store.groups(which, []) == []
    assert store.holds
    assert not store.awake
    assert not (tmp_path / "spans.duckdb").exists()

    await store.append([a_span(start_ns=NOW - 20 * DAY, payload=said("x"))], "one")
    await until(lambda: store.awake)
    await until(lambda: not store.awake)
    facts = await store.facts()
    assert (facts.spans, facts.payloads, facts.waiting, facts.oldest_ns) == (1, 1, 0, NOW - 20 * DAY)
    assert (await store.retain([Retention(payload_days=30)], NOW)).spans == 0
    assert not store.awake, "nothing is old enough for the rule, which needs no engine to be known"
    assert (await store.retain([Retention()], NOW)).payloads == 1
    await until(lambda: not store.awake)
    assert (await store.retain([Retention(span_days=10, keep_days=10)], NOW)).spans == 1
    await store.close()


async def test_a_round_that_fails_by_whatever_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddedTelemetry(tmp_path, memory_mb=256, drain_seconds=0.02)
    failed = asyncio.Event()

    def failing(_: Inbox) -> bool:
        failed.set()
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(Inbox, "is_empty", failing)
        await store.start()
        await failed.wait()
    await store.append([a_span()], "one")
    await until(lambda: store.awake and not list((tmp_path / "inbox").iterdir()))
    await store.close()


async def test_what_waited_when_a_process_died_is_stored_by_the_next_one(tmp_path: Path) -> None:
    dead = opened(tmp_path)
    dead._inbox = dead._make()  # one that dies before its first round
    await dead.append([a_span()], "one")
    store = opened(tmp_path)
    await store.start()
    await until(lambda: (tmp_path / "spans.duckdb").exists() and not list((tmp_path / "inbox").iterdir()))
    assert (await store.facts()).spans == 1
    await store.close()


async def test_a_long_path_still_has_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)
    one, two = opened(folder), opened(folder)
    await one.start()
    await two.start()
    assert (await two.facts()).spans == 0
    place = Path((folder / "lease").read_text())
    assert not place.is_relative_to(tmp_path)
    await two.close()
    await one.close()
    assert not place.parent.exists()


async def test_nobody_else_on_the_machine_can_read_it(tmp_path: Path) -> None:
    store = opened(tmp_path / "telemetry")
    await store.start()
    await store.append([a_span(payload=said("x"))], "one")
    await store.flush()
    assert (tmp_path / "telemetry").stat().st_mode & 0o077 == 0
    await store.close()


async def test_an_index_of_words_that_was_lost_is_made_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.start()
    await store.append([a_span(payload=said("needle")), a_span(payload=said("hay"))], "one")
    await store.close()
    (tmp_path / "words.db").write_bytes(b"not a database" * 500)

    store = opened(tmp_path)
    await store.start()
    await store.flush()
    assert len((await store.search(Filter(text="needle"))).spans) == 1
    await store.close()


async def test_a_batch_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.storage.telemetry.embedded.LARGEST_BATCH", 1000)
    store = opened(tmp_path)
    await store.start()
    with pytest.raises(RequestError, match="fewer"):
        await store.append([a_span(message="x" * 2000)], "one")
    await store.append([], "nothing")
    assert (await store.facts()).waiting == 0
    await store.close()


async def test_a_file_that_is_no_database_stops_nobody_from_taking_batches_in(tmp_path: Path) -> None:
    (tmp_path / "spans.duckdb").write_bytes(b"not a database" * 1000)
    store = opened(tmp_path)
    await store.start()
    await store.append([a_span()], "one")
    with pytest.raises(StorageError, match=r"spans\.duckdb"):
        await store.search(Filter())
    (tmp_path / "spans.duckdb").unlink()
    await until(lambda: store.holds)
    await store.flush()
    assert (await store.facts()).spans == 1
    await store.close()


async def test_nothing_of_a_person_who_was_erased_is_left_in_any_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.start()
    for number in range(30):
        await store.append([a_span(person="ann", payload=said(f"quetzalcoatl {number}"), message="quetzalcoatl")], f"ann-{number}")
        await store.append([a_span(person="bob", payload=said(f"ordinary {number}"))], f"bob-{number}")
    await store.flush()
    await store.append([a_span(person="ann", payload=said("quetzalcoatl waits"))], "waits")
    assert any(b"quetzal" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    removed = await store.erase("org_a", "ann")

    assert (removed.spans, removed.payloads) == (31, 31)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"quetzal" in path.read_bytes()] == []
    assert (await store.groups(Filter(text="ordinary"), ["person"]))[0].measures.spans == 30
    await store.close()


def test_a_url_picks_the_engine(tmp_path: Path) -> None:
    assert isinstance(open_telemetry("", tmp_path), EmbeddedTelemetry)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingsError) as caught:
        open_telemetry("mysql://user:hidden@host/db", tmp_path)
    assert "hidden" not in caught.value.message


async def test_while_nobody_asks_batches_wait_and_the_first_question_sees_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.storage.telemetry.holder.WATCHED_SECONDS", 0.0)
    store = EmbeddedTelemetry(tmp_path, memory_mb=256, drain_seconds=0.001, unwatched_seconds=3600)
    await store.start()
    for name in ("one", "two"):
        await store.append([a_span(name=name)], name)
    assert (await store.facts()).waiting == 2  # who only looks how much there is does not read it
    assert {span.name for span in (await store.search(Filter())).spans} == {"one", "two"}
    assert (await store.facts()).waiting == 0
    # Somebody reads after a long time, and from now on what comes is stored by itself.
    monkeypatch.setattr("penstock.storage.telemetry.holder.WATCHED_SECONDS", 3600.0)
    store._holder._watched -= 7200
    await store.search(Filter())
    await store.append([a_span(name="three")], "three")
    async with asyncio.timeout(20):
        while (await store.facts()).waiting:
            await asyncio.sleep(0.005)
    await store.close()


async def test_a_payload_that_has_gone_is_never_taken_for_a_later_one(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.start()
    trace = "ab" * 16
    old = a_span(trace_id=trace, start_ns=NOW - 20 * DAY, organisation="org_a", payload=said("of old"))
    # So many beside it that the file is not written anew.
    await store.append([old, *(a_span(start_ns=NOW - DAY) for _ in range(5000))], "one")
    await store.flush()
    assert (await store.retain([Retention()], NOW)).payloads == 1
    await store.close()

    store = opened(tmp_path)
    await store.start()
    await store.append([a_span(organisation="org_b", payload=said("a needle"))], "two")
    await store.flush()
    assert await store.payload(trace, old.span_id, "org_a") is None
    assert len((await store.search(Filter(text="needle"))).spans) == 1
    await store.close()


async def test_a_socket_that_a_cleaner_took_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)  # so deep that its socket is among temporary files
    one, two = opened(folder), opened(folder)
    await one.start()
    await two.start()
    assert (await two.facts()).spans == 0
    place = Path((folder / "lease").read_text())
    place.unlink()
    place.parent.rmdir()
    assert (await two.facts()).spans == 0
    again = Path((folder / "lease").read_text())
    assert again != place
    again.unlink()
    again.parent.rmdir()
    await one.close()
    assert (await two.facts()).spans == 0
    assert two.holds
    await two.close()


async def test_a_question_that_fails_by_whatever_is_answered_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def failing(*_: object) -> None:
        nonlocal asked
        asked += 1
        raise OSError(errno.EMFILE, "Too many open files")

    one, two = opened(tmp_path), opened(tmp_path)
    await one.start()
    await two.start()
    await one.append([a_span()], "one")
    await one.flush()
    with monkeypatch.context() as patched:
        patched.setattr("penstock.storage.telemetry.held.Held.facts", failing)
        with pytest.raises(StorageError, match="failed to answer"):
            await two.facts()
    assert asked == 1
    monkeypatch.setattr("penstock.storage.telemetry.asking.LARGEST", 100)
    with pytest.raises(StorageError, match="ask for less"):
        await two.search(Filter())
    await two.close()
    await one.close()


async def test_batches_wait_for_a_file_whose_tables_are_others(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.start()
    await store.append([a_span()], "one")
    await store.flush()
    await store.close()
    with duckdb.connect(str(tmp_path / "spans.duckdb")) as con:
        con.execute("ALTER TABLE spans DROP COLUMN verdict")
    store = opened(tmp_path)
    await store.start()
    await store.append([a_span()], "two")
    with pytest.raises(StorageError, match="verdict"):
        await store.flush()
    await store.close()
    assert [path.suffix for path in (tmp_path / "inbox").iterdir()] == [".jsonl"]
