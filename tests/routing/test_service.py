"""Who suspends what: a person's word goes before the watch's."""

from __future__ import annotations

import pytest
from tests.routing.simulated import policy

from penstock.routing import store
from penstock.routing.memory import Policies
from penstock.routing.policy import VERSION, WATCH
from penstock.routing.service import suspend
from penstock.storage.records import Records


@pytest.mark.parametrize(
    ("first", "then", "taken"),
    [
        (WATCH, "key_1", True),
        (VERSION, "key_1", True),
        (WATCH, VERSION, True),
        (VERSION, WATCH, False),
        ("key_1", "key_2", False),
        ("key_1", WATCH, False),
        ("key_1", VERSION, False),
    ],
)
async def test_a_person_s_word_stays(records: Records, first: str, then: str, *, taken: bool) -> None:
    policies = Policies(records, 1.0)
    await records.write(lambda c: store.add(c, policy()))
    assert await suspend(records, policies, "policy_1", "first", 10.0, first)
    assert await suspend(records, policies, "policy_1", "then", 20.0, then) is taken
    found = await records.read(lambda c: store.one(c, "policy_1"))
    assert found is not None
    expected = ("then", 20.0, then) if taken else ("first", 10.0, first)
    assert (found.state, found.changed_why, found.changed_at, found.changed_by) == ("suspended", *expected)
