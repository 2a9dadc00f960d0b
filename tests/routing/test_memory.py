"""Policies in memory: what another process certified or suspended is seen, and one that cannot be read concerns its own task alone."""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection
from tests.routing.simulated import CHEAP, DEAR, directions, policy, task

from penstock.routing import store
from penstock.routing.arrays import Fit, pack
from penstock.routing.memory import Live, Policies
from penstock.routing.policy import Policy, claim_of
from penstock.storage.records import Records

NOTHING = Fit(estimators={}, known=directions(3), scores=np.zeros(2), points=directions(2))


async def keep(records: Records, *policies: Policy, arrays: bytes | None = None) -> None:
    def work(connection: Connection) -> None:
        for one in policies:
            store.add(connection, one)
            if arrays is not None:
                store.put(connection, one, arrays)
        store.bump(connection)

    await records.write(work)


async def test_policies_are_seen_when_something_changed_and_told_on(records: Records) -> None:
    policies, told = Policies(records, 1.0), list[Any]()
    policies.changed.append(lambda live: told.append(dict(live)))
    await policies.fresh.now()
    assert policies.of(task()) is None
    await keep(records, policy())
    await policies.fresh.now()
    live = policies.of(task())
    assert live is not None
    assert (live.policy, live.fit, live.damaged) == (policy(), None, None)
    await policies.fresh.now()
    assert len(told) == 2  # empty, and with the policy; a look that finds nothing new tells nobody
    assert policies.of(task(name="other")) is None
    assert policies.of(task(organisation="other")) is None


async def test_a_fit_is_read_once_and_kept_through_a_change_of_state(records: Records) -> None:
    packed, digest = pack(NOTHING)
    await keep(records, policy(digest=digest), arrays=packed)
    policies = Policies(records, 1.0)
    await policies.fresh.now()
    before = policies.of(task())
    assert before is not None
    assert before.fit is not None
    suspended = policy(digest=digest, state="suspended", changed_why="drift")

    def work(connection: Connection) -> None:
        store.put(connection, suspended)
        store.bump(connection)

    await records.write(work)
    await policies.fresh.now()
    after = policies.of(task())
    assert after is not None
    assert (after.policy.state, after.fit) == ("suspended", before.fit)


@pytest.mark.parametrize("arrays", [None, b"", b"PK\x03\x04 but no more", zlib.compress(b"x")])
async def test_arrays_that_cannot_be_read_concern_their_task_alone(records: Records, arrays: bytes | None) -> None:
    await keep(records, policy(digest=sha256(arrays or b"").hexdigest()), arrays=arrays)
    await keep(records, policy(id="policy_2", task="other"))
    policies = Policies(records, 1.0)
    await policies.fresh.now()
    broken, sound = policies.of(task()), policies.of(task(name="other"))
    assert broken is not None
    assert sound is not None
    assert broken.damaged is not None
    assert "cannot be used" in (broken.unusable(task(), "") or "")
    assert sound.damaged is None
    states = next(iter(policies.metrics())).samples
    assert [count for labels, count in states if labels["state"] in ("damaged", "active")] == [1, 1]


async def test_of_a_task_the_one_that_serves_counts_or_else_the_last(records: Records) -> None:
    await keep(
        records, *(policy(id=f"policy_{n}", number=n, state=state) for n, state in [(1, "superseded"), (2, "active"), (3, "refused")])
    )
    await keep(
        records, *(policy(id=f"b_{n}", task="b", number=n, state=state) for n, state in [(1, "refused"), (2, "failed"), (3, "fitting")])
    )
    policies = Policies(records, 1.0)
    await policies.fresh.now()
    found = [policies.of(task()), policies.of(task(name="b"))]
    assert [one.policy.number for one in found if one is not None] == [2, 2]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, None),
        ({"state": "suspended", "changed_why": "drift"}, "suspended: drift"),
        ({"state": "refused", "kind": None, "why": "too few labels"}, "too few labels"),
        ({"claim": "another"}, "another floor, judge or slices"),
        ({"candidates": (CHEAP, "gone/model", DEAR)}, "with gone/model, which the task has left"),
    ],
)
def test_a_policy_is_used_for_the_task_that_it_was_certified_for(more: dict[str, Any], said: str | None) -> None:
    live = Live(policy(**{"claim": claim_of(task()), **more}), None)
    found = live.unusable(task(), claim_of(task()))
    assert (found is None) if said is None else said in (found or "")
