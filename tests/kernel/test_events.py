from __future__ import annotations

import logging

import pytest

from penstock.kernel.events import BudgetSpent, Event, Events, KeyRevoked


def test_subscribers_hear_in_their_order_and_only_what_they_asked_for() -> None:
    events, heard = Events(), list[tuple[str, Event]]()
    for name in ("first", "second"):
        events.subscribe(KeyRevoked, lambda event, name=name: heard.append((name, event)))
    events.subscribe(Event, lambda event: heard.append(("root", event)))
    revoked = KeyRevoked("key_1")
    events.publish(revoked)
    events.publish(BudgetSpent("b", "B", 1, 2, 100))
    assert heard == [("first", revoked), ("second", revoked)]


def test_one_that_fails_keeps_nobody_from_hearing_and_fails_no_publisher(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), list[str]()

    def broken(event: KeyRevoked) -> None:
        raise ValueError("my fault")

    events.subscribe(KeyRevoked, broken)
    events.subscribe(KeyRevoked, lambda event: heard.append(event.key_id))
    with caplog.at_level(logging.ERROR, "penstock.events"):
        events.publish(KeyRevoked("key_1"))
    assert heard == ["key_1"]
    assert "my fault" in caplog.text


def test_a_fact_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        KeyRevoked("key_1").key_id = "key_2"  # type: ignore[misc]
