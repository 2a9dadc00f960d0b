"""Items on their way in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.quality.house import item

from penstock.quality.intake import Intake, digest_of


def taken(content: bytes, *, items: int = 100, line: int = 1000, piece: int = 1 << 16) -> Intake:
    intake = Intake(items, line)
    for start in range(0, len(content), piece):
        intake.feed(content[start : start + piece])
    intake.end()
    return intake


def jsonl(*rows: object) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def test_what_is_wrong_is_told_with_its_line() -> None:
    rows = [
        item("a"),
        b"{",
        {"id": "b"},
        item("a"),
        item("c", "   "),
        b"",
        b'{"id": "\xff", "input": "x"}',
        {"id": "d", "input": [{"role": "king", "content": "x"}]},
        item("e", "x", "D", choices=["one", "two"]),
        {"id": "f", "input": "x" * 2000},
        item("g", "x", "B", choices=["one", "two"]),
    ]
    intake = taken(jsonl(*rows))
    assert [one.id for one in intake.items] == ["a", "g"]
    assert [fault.line for fault in intake.faults] == [2, 3, 4, 5, 7, 8, 9, 10]
    told = {fault.line: fault.message for fault in intake.faults}
    assert told[2] == "not valid JSON in UTF-8"
    assert "input" in told[3]
    assert "stands on line 1 already" in told[4]
    assert "neither a letter from A to B" in told[9]
    assert "quality.max_line_bytes" in told[10]


def test_a_line_that_never_ends_does_not_fill_the_memory() -> None:
    intake = taken(b"x" * 5000 + b"\n" + jsonl(item("a")), piece=100)
    assert [(fault.line, "longer than" in fault.message) for fault in intake.faults] == [(1, True)]
    assert [one.id for one in intake.items] == ["a"]


def test_too_many_are_told_once_and_none_at_all_is_a_fault() -> None:
    intake = taken(jsonl(*(item(str(n)) for n in range(20))), items=5)
    assert [fault.line for fault in intake.faults] == [6]
    assert taken(b"\n\n").faults[0].message == "there are no items"


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=8, unique=True), st.integers(1, 50))
def test_pieces_do_not_matter_nor_how_it_was_written(ids: list[str], piece: int) -> None:
    rows = [{"id": id, "input": f"{id}?", "target": id, "groups": {}} for id in ids if id.strip()]
    if not rows:
        return
    plain, spaced = jsonl(*rows), b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(dict(reversed(row.items()))).encode() for row in rows)
    one, two = taken(plain, piece=piece), taken(spaced)
    assert one.faults == two.faults == []
    assert digest_of(one.items) == digest_of(two.items)
