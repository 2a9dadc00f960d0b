"""What takes long is asked for again, and made once."""

from __future__ import annotations

import asyncio

import pytest

from penstock.observability.health import patience
from penstock.observability.health.patience import Patience


class Work:
    """Answers when it is let; counts how often it was begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        await self.go.wait()
        return 42


async def test_what_is_quick_is_there_at_once() -> None:
    work = Work()
    work.go.set()
    assert await Patience[int](30).soon("a", work) == 42
    assert await Patience[int](30).whole("a", work) == 42


async def test_what_takes_long_is_begun_once_and_handed_over_once() -> None:
    work, made = Work(), Patience[int](0)
    assert await made.soon("a", work) is None
    assert await made.soon("a", work) is None
    work.go.set()
    assert await made.whole("a", work) == 42
    assert work.begun == 1
    assert await made.whole("a", work) == 42
    assert work.begun == 2


async def test_a_failure_reaches_who_asks_again() -> None:
    go = asyncio.Event()

    async def fail() -> int:
        await go.wait()
        raise ValueError("no")

    made = Patience[int](0)
    assert await made.soon("a", fail) is None
    go.set()
    with pytest.raises(ValueError, match="no"):
        await made.whole("a", fail)


async def test_what_nobody_comes_for_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "MOST", 1)
    first, second, made = Work(), Work(), Patience[int](0)
    assert await made.soon("a", first) is None
    assert await made.soon("b", second) is None
    first.go.set()
    assert await made.whole("a", first) == 42
    assert first.begun <= 2
    second.go.set()
    assert await made.whole("b", second) == 42
    assert second.begun == 1
