"""Claims that the traffic contradicts are suspended, in every process, also after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from tests.routing.rig import LARGE, SMALL, Rig, outcomes, recorded, rig

from penstock.kernel.evidence import ClaimSuspended, Judged, Outcome
from penstock.kernel.ids import new_id
from penstock.kernel.tasks import Floor
from penstock.routing.drift import Drift, began

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house"), "watch = 1.0\n") as made:
        made.declared.known = outcomes(recorded())
        yield made


def drift(place: Rig) -> Drift:
    (life,) = place.house.app.offers["routing"].services
    return life._drift  # type: ignore[attr-defined]


async def watched(place: Rig, policy: Any) -> Any:
    """The policy's watcher, once there is one."""
    await drift(place)._coming  # type: ignore[misc]
    found = drift(place).watcher(policy["id"])
    assert found is not None
    return found


def judgement(score: float, *, candidate: str = SMALL, item: str = "", **more: Any) -> Outcome:
    known: dict[str, Any] = {
        "item": item or new_id("call"), "candidate": candidate, "score": score, "judge": "human", "source": "live", "prompt": "?",
        "reply": "!", "at": 2000.0, "propensity": 1.0,
    }  # fmt: skip
    return Outcome(**{**known, **more})


async def test_labels_that_flip_suspend_an_absolute_claim(place: Rig) -> None:
    task = place.task("labelled", floor=Floor(level=0.5, kind="absolute"))
    policy = await place.certify("labelled")
    assert policy["chosen"] == SMALL
    watcher = await watched(place, policy)
    told: list[ClaimSuspended] = []
    place.house.app.events.subscribe(ClaimSuspended, told.append)
    publish = place.house.app.events.publish
    for score in (1.0, 0.0) * 20:  # as good as was claimed, near enough
        publish(Judged(organisation=task.organisation, task=task.name, outcome=judgement(score)))
    assert watcher.labels == 40
    assert not watcher.suspended
    old = judgement(0.0, item="call_000000000001" + "0" * 20)
    publish(Judged(organisation=task.organisation, task=task.name, outcome=old))
    assert watcher.labels == 40  # a call from before the policy says nothing about it
    for _ in range(60):
        publish(Judged(organisation=task.organisation, task=task.name, outcome=judgement(0.0)))
    assert watcher.suspended
    await drift(place).flush()
    assert [one.policy for one in told] == [policy["id"]]
    why = await place.why(await place.call("hi", "labelled"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "judged answers miss the floor" in why["why"]
    now = (await place.house.ask("GET", f"/v1/tasks/labelled/policies/{policy['id']}")).json
    assert now["state"] == "suspended"
    assert "penstock_routing_suspensions_total 1" in (await place.house.ask("GET", "/metrics")).text


async def test_other_traffic_suspends_and_the_same_does_not(place: Rig) -> None:
    place.task("moved", floor=Floor(level=0.6))
    policy = await place.certify("moved")
    watcher = await watched(place, policy)
    for row in recorded()[:30]:
        await place.call(row.prompt, "moved")
    await asyncio.wait_for(_until(lambda: watcher.calls >= 30), 20)
    assert not watcher.suspended
    rng = np.random.default_rng(1)
    far = rng.normal(size=watcher._known.shape[1])
    for _ in range(200):
        point = far + rng.normal(size=far.size) * 0.3
        if watcher.call(point / np.linalg.norm(point)):
            break
    assert watcher.suspended
    assert watcher.calls < 130
    assert "prompts" in watcher.why()


async def test_what_a_watch_has_won_survives_a_restart(place: Rig) -> None:
    place.task("kept", floor=Floor(level=0.6))
    policy = await place.certify("kept")
    watcher = await watched(place, policy)
    for _ in range(5):
        watcher.call(np.eye(watcher._known.shape[1])[0])
    await drift(place).flush()
    (life,) = place.house.app.offers["routing"].services
    settings: Any = life._settings  # type: ignore[attr-defined]
    policies: Any = life._policies  # type: ignore[attr-defined]
    again = Drift(place.house.app.store, policies, settings, place.house.app.events, 0, 1)
    again._changed({(p.policy.organisation, p.policy.task): p for p in policies._live.values()})
    await again._coming  # type: ignore[misc]
    found = again.watcher(policy["id"])
    assert found is not None
    assert (found.calls, found.evidence) == (watcher.calls, pytest.approx(watcher.evidence))
    other = Drift(place.house.app.store, policies, settings, place.house.app.events, 1, 2)
    other._changed({(p.policy.organisation, p.policy.task): p for p in policies._live.values()})
    await other._coming  # type: ignore[misc]
    beside = other.watcher(policy["id"])
    assert beside is not None
    assert (beside.calls, beside.limit) == (0, pytest.approx(2 * found.limit))


async def test_a_call_says_when_it_began() -> None:
    assert began("call_" + f"{1_700_000_000_123:012x}" + "0" * 20) == 1_700_000_000.123
    assert began("gsm8k-1") == began("call_zz") == 0.0


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)
