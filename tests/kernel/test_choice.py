"""Choices as the record keeps them: small where little is to be said, and whole when they come back."""

from __future__ import annotations

import msgspec

from penstock.kernel.choice import Choice, Considered


def test_what_is_not_said_takes_no_room_on_the_record() -> None:
    said = msgspec.json.encode(Choice(task="t", mode="default", chosen="a/b", why="w", candidates=(Considered(candidate="a/b"),)))
    assert said == b'{"task":"t","mode":"default","chosen":"a/b","why":"w","candidates":[{"candidate":"a/b"}]}'


def test_a_choice_comes_back_whole() -> None:
    ruled = Considered(candidate="c/d", ruled_out="budget", why="dear", quality=0.5, bound=0.4, cost=7)
    made = Choice(
        task="t", mode="cascade", chosen="a/b", why="w", candidates=(ruled,), policy="policy_1", next="c/d", threshold=0.1, gain=-0.2,
        escalated=False, explored="c/d", audited=True, answered=(3, 1, 0), estimates={"a/b": 0.9},
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(made), type=Choice) == made


def test_choices_share_nothing() -> None:
    one, other = (Choice(task="t", mode="default", chosen="a", why="") for _ in range(2))
    one.estimates["a"] = 1.0
    assert other.estimates == {}
