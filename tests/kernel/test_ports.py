from __future__ import annotations

from typing import Protocol

import pytest

from penstock.kernel.ports import Ports


class Clock(Protocol):
    def now(self) -> float: ...


class Fixed:
    def now(self) -> float:
        return 7.0


def test_who_asks_gets_the_one_that_was_provided() -> None:
    ports = Ports()
    clock = Fixed()
    ports.provide(Clock, clock)
    assert ports.get(Clock) is ports.find(Clock) is clock


def test_what_nobody_provides_is_named() -> None:
    ports = Ports()
    assert ports.find(Clock) is None
    with pytest.raises(RuntimeError, match="nothing provides Clock"):
        ports.get(Clock)


def test_two_providers_are_a_mistake() -> None:
    ports = Ports()
    ports.provide(Clock, Fixed())
    with pytest.raises(RuntimeError, match="two capabilities provide Clock"):
        ports.provide(Clock, Fixed())
