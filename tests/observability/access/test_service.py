"""The trail of who opened what: lines, their chain, coalescing, who may look, and that nothing is shown where nothing can be written."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import text
from tests.observability.calls import OPERATOR, OTHER, READER

from penstock.kernel.errors import Forbidden, SchemaMismatch
from penstock.kernel.principal import Scope
from penstock.observability.access.service import PayloadAccess, told
from penstock.storage.records import Records


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_lines_say_who_what_when_and_from_where_and_follow_each_other(records: Records) -> None:
    clock = Clock()
    access = PayloadAccess(records, Scope.READ, clock)
    await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    clock.now += 1
    await access.note(OPERATOR, "opened", "span", "trace/span", "org_a", "console")
    await access.note(OTHER, "opened", "call", "call_2", None, "api")
    mine = await access.lines("org_a", None, None, 10)
    assert [(line.by, line.kind, line.subject, line.via, line.at) for line in mine] == [
        ("key_root", "span", "trace/span", "console", 1_800_000_001.0),
        ("key_a", "call", "call_1", "api", 1_800_000_000.0),
    ]
    assert mine[0].reader_organisation == "org_home"
    assert [line.subject for line in await access.lines("org_b", None, None, 10)] == ["call_2"]
    assert [line.by for line in await access.lines("org_a", "call_1", None, 10)] == ["key_a"]
    assert [line.by for line in await access.lines("org_a", None, mine[0].id, 10)] == ["key_a"]
    assert await access.broken("org_a") is None


async def test_the_same_reader_and_thing_within_a_minute_are_one_line(records: Records) -> None:
    clock = Clock()
    access = PayloadAccess(records, Scope.READ, clock)
    for _ in range(3):
        clock.now += 20
        await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    await access.note(OTHER, "opened", "call", "call_1", "org_a", "api")
    clock.now += 41
    await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    for _ in range(2):
        await access.note(READER, "exported", "spans", "task=t", "org_a", "api")
    lines = await access.lines("org_a", None, None, 10)
    assert [(line.by, line.action) for line in reversed(lines)] == [
        ("key_a", "opened"), ("key_b", "opened"), ("key_a", "opened"), ("key_a", "exported"), ("key_a", "exported"),
    ]  # fmt: skip


async def test_a_clock_that_was_put_back_hides_nobody(records: Records) -> None:
    clock = Clock()
    access = PayloadAccess(records, Scope.READ, clock)
    await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    clock.now -= 3600
    await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    assert len(await access.lines("org_a", None, None, 10)) == 2


async def test_who_may_not_leaves_no_line_and_sees_nothing(records: Records) -> None:
    access = PayloadAccess(records, Scope.ADMIN)
    assert not access.may(READER)
    with pytest.raises(Forbidden, match="payload_scope"):
        await access.note(READER, "opened", "call", "call_1", "org_a", "api")
    assert await access.lines("org_a", None, None, 10) == []
    await access.note(msgspec.structs.replace(READER, scopes=frozenset({Scope.ADMIN})), "opened", "call", "call_1", "org_a", "api")


async def test_where_no_line_can_be_written_nothing_is_shown(records: Records) -> None:
    with records.begin_migration() as connection:
        connection.execute(text("ALTER TABLE payload_access RENAME TO away"))
    access = PayloadAccess(records, Scope.READ)
    for _ in range(2):  # nor is it taken for written the second time
        with pytest.raises(SchemaMismatch):
            await access.note(READER, "opened", "call", "call_1", "org_a", "api")


def test_a_person_is_named_without_being_told() -> None:
    assert told("ann@example.org") == told("ann@example.org") != told("ben@example.org")
    assert "ann" not in told("ann@example.org")
