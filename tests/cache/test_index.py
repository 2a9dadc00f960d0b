from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.cache.test_neighbours import unit

from penstock.cache.index import OVERHEAD, Entry, Index
from penstock.kernel.call import Usage


def entry(number: int, *, size: int = 10, expires: float = 1000.0, **more: Any) -> Entry:
    given: dict[str, Any] = {
        "key": str(number).encode(), "organisation": "org_1", "task": "t", "model": "m", "provider": "p",
        "provider_model": "pm",
        "shape": "openai.chat", "stream": False, "shown_usage": False, "media": "application/json",
        "call": f"call_{number}", "created": 1.0,
        "expires": expires, "usage": Usage(input=1, output=2), "reply": b"x" * size,
    }  # fmt: skip
    return Entry(**{**given, **more})


def index(gone: list[bytes] | None = None, **more: int) -> Index:
    given = {"max_bytes": 10**6, "max_entries": 100, "neighbours": 50, **more}
    return Index(**given, dropped=(gone if gone is not None else []).append)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 400)), max_size=60))
def test_bounds_hold_whatever_comes(steps: list[tuple[int, int]]) -> None:
    held = index(max_bytes=4 * OVERHEAD, max_entries=3)
    for number, size in steps:
        held.put(entry(number, size=size))
        assert len(held) <= 3
        assert held.bytes == sum(one.size for one in held.entries()) <= 4 * OVERHEAD


def test_what_is_used_least_leaves_and_is_told() -> None:
    gone: list[bytes] = []
    held = index(gone, max_entries=2)
    held.put(entry(1))
    held.put(entry(2))
    assert held.get(b"1", 0) is not None
    held.put(entry(3))
    assert (gone, held.evicted, b"2" in held, b"1" in held) == ([b"2"], 1, False, True)
    held.put(entry(4), coldest=True)
    assert gone == [b"2", b"4"]
    held.put(entry(5, size=2_000_000))
    assert b"5" not in held


def test_what_is_past_its_time_is_not_found() -> None:
    gone: list[bytes] = []
    held = index(gone)
    held.put(entry(1, expires=10))
    held.put(entry(2, expires=10))
    assert held.get(b"1", 9.9) is not None
    assert held.get(b"1", 10) is None
    held.sweep(11)
    assert (len(held), held.bytes, gone) == (0, 0, [b"1", b"2"])


def test_only_questions_of_one_partition_are_compared_and_the_latest_of_them() -> None:
    held = index(neighbours=2)
    for number in range(3):
        held.put(entry(number, partition=b"one", vector=unit(number), expires=10 + number))
    held.put(entry(9, partition=b"other", vector=unit(0)))
    found = held.nearest(b"one", unit(0), 0)
    assert found is not None
    assert found[0].key in (b"1", b"2")
    assert held.nearest(b"none", unit(0), 0) is None
    found = held.nearest(b"one", unit(1), 11.5)
    assert found is not None
    assert found[0].key == b"2"
    assert held.nearest(b"one", unit(1), 13) is None
