"""The SQL of the records, on both engines."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from tests.observability.calls import NOW, OTHER, READER, ended

from penstock.kernel.call import Call
from penstock.kernel.errors import UnknownModel
from penstock.observability import store
from penstock.observability.payloads import Entry, Side, encode_pack, new_pack_id
from penstock.observability.redaction import Redactor
from penstock.observability.rows import row_of
from penstock.observability.summaries import Summaries
from penstock.observability.tables import call_payloads, call_summaries, calls, id_at
from penstock.storage.records import Records

REDACTOR = Redactor()


def counted(*table: Any) -> Any:
    return lambda c: [c.execute(select(func.count()).select_from(t)).scalar() for t in table]


def adds(ended_calls: list[Call], packs: list[tuple[int, int, bytes]] | None = None, payload: int | None = None) -> Any:
    summaries = Summaries()
    for call in ended_calls:
        summaries.add(call)
    rows = [row_of(call, payload, REDACTOR) for call in ended_calls]
    return lambda c: store.add(c, rows, packs or [], summaries.changed())


async def test_a_row_comes_back_as_it_was(records: Records) -> None:
    call = ended(task="t", labels={"a": "ü"}, notes=["n"])
    call.reached = [("record", call.started)]
    refused = ended(at=NOW + 1, who=None, error=UnknownModel("nobody serves that"))
    await records.write(adds([call, refused]))
    found = await records.read(lambda c: store.one(c, call.id, ()))
    assert found is not None
    assert (found["model"], found["stream"], found["cost_micros"], found["priced"]) == ("m", False, 1500, True)
    assert (found["labels"], found["notes"], found["person"]) == ('{"a":"ü"}', '["n"]', None)
    other = await records.read(lambda c: store.one(c, refused.id, ()))
    assert other is not None
    # What stands for null in a row is null in the table, and nothing else is.
    assert [other[n] for n in ("organisation", "key_id", "provider", "input_tokens", "cost_micros", "payload")] == [None] * 6
    assert (other["outcome"], other["error_code"], other["status"]) == ("refused", "model_not_found", 404)


async def test_writing_a_batch_again_changes_nothing(records: Records) -> None:
    batch = adds([ended(), ended(at=NOW + 1)], [(new_pack_id(NOW), 1, encode_pack([]))])
    await records.write(batch)
    before = await records.read(lambda c: (store.page(c, (), None, 10), store.summaries(c, 0, 2**40, None)))
    await records.write(batch)
    assert await records.read(lambda c: (store.page(c, (), None, 10), store.summaries(c, 0, 2**40, None))) == before
    assert await records.read(counted(calls, call_payloads, call_summaries)) == [2, 1, 1]


async def test_a_summary_is_replaced_by_its_later_totals(records: Records) -> None:
    summaries = Summaries()
    for number in range(1, 4):
        summaries.add(ended())
        changed = summaries.changed()
        await records.write(lambda c, changed=changed: store.add(c, [], [], changed))
        summaries.written(NOW)
        (row,) = await records.read(lambda c: store.summaries(c, 0, 2**40, None))
        assert (row["calls"], row["cost_micros"], row["input_tokens"]) == (number, 1500 * number, 100 * number)


async def test_pages_go_back_in_time_and_leave_nothing_out(records: Records) -> None:
    made = [ended(at=NOW + n / 10) for n in range(25)]
    await records.write(adds(made))
    seen: list[str] = []
    before: str | None = None
    while page := await records.read(lambda c, before=before: store.page(c, (), before, 10)):
        seen += [row["id"] for row in page]
        before = seen[-1]
    assert seen == [call.id for call in reversed(made)]
    since = await records.read(lambda c: store.page(c, [calls.c.id >= id_at((NOW + 2) * 1000)], None, 100))
    assert len(since) == 5


async def test_one_call_is_there_only_for_whom_it_is_visible(records: Records) -> None:
    mine = ended()
    await records.write(adds([mine]))
    assert await records.read(lambda c: store.one(c, mine.id, [calls.c.organisation == READER.organisation]))
    assert await records.read(lambda c: store.one(c, mine.id, [calls.c.organisation == OTHER.organisation])) is None
    assert await records.read(lambda c: store.one(c, "call_none", ())) is None


async def test_a_payload_is_found_in_its_pack(records: Records) -> None:
    pack = new_pack_id(NOW)
    entries = [Entry(f"call_{n}", Side(f"ask {n}".encode(), 5), Side(b"told", 4)) for n in range(3)]
    await records.write(lambda c: store.add(c, [], [(pack, 3, encode_pack(entries))], []))
    found = await records.read(lambda c: store.payload(c, pack, "call_1"))
    assert found == entries[1]
    assert await records.read(lambda c: store.payload(c, pack, "call_9")) is None
    assert await records.read(lambda c: store.payload(c, pack + 1, "call_1")) is None


async def test_summaries_are_of_a_period_and_of_an_organisation(records: Records) -> None:
    await records.write(adds([ended(), ended(at=NOW + 120), ended(who=OTHER), ended(who=None, error=UnknownModel("no"))]))
    minute = int(NOW) // 60 * 60

    def asked(since: int, until: int, organisation: str | None) -> Any:
        return lambda c: sum(row["calls"] for row in store.summaries(c, since, until, organisation))

    assert await records.read(asked(minute, minute + 180, None)) == 4
    assert await records.read(asked(minute, minute + 180, "org_a")) == 2
    assert await records.read(asked(minute, minute + 60, "org_a")) == 1
    assert await records.read(asked(minute + 60, minute + 120, None)) == 0


@pytest.mark.parametrize(("what", "table"), [("calls", calls), ("payloads", call_payloads), ("summaries", call_summaries)])
async def test_what_is_too_old_is_forgotten_piece_by_piece(
    records: Records, what: str, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PIECE", 2)
    old, new = [NOW - 86_400 * n for n in range(1, 6)], [NOW, NOW + 60]
    packs = [(new_pack_id(at), 0, encode_pack([])) for at in (*old, *new)]
    await records.write(adds([ended(at=at) for at in (*old, *new)], packs))

    def forget(connection: Connection) -> bool:
        return store.forget(connection, what, NOW - 60)

    assert [await records.write(forget) for _ in range(3)] == [True, True, False]
    assert await records.read(counted(table)) == [2]
    assert sum(await records.read(counted(calls, call_payloads, call_summaries))) == 2 + 7 + 7
