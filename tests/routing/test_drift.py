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
from penstock.routing import store
from penstock.routing.drift import SAVE_SECONDS, Drift, began
from penstock.routing.numbers import LEASE_SECONDS, Fixed, Leased
from penstock.routing.policy import WATCH

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
    again = Drift(place.house.app.store, policies, settings, place.house.app.events, Fixed(0, 1, settings.alarm))
    again._changed({(p.policy.organisation, p.policy.task): p for p in policies._live.values()})
    await again._coming  # type: ignore[misc]
    found = again.watcher(policy["id"])
    assert found is not None
    assert (found.calls, found.evidence) == (watcher.calls, pytest.approx(watcher.evidence))
    other = Drift(place.house.app.store, policies, settings, place.house.app.events, Fixed(1, 2, settings.alarm))
    other._changed({(p.policy.organisation, p.policy.task): p for p in policies._live.values()})
    await other._coming  # type: ignore[misc]
    beside = other.watcher(policy["id"])
    assert beside is not None
    assert (beside.calls, beside.limit) == (0, pytest.approx(2 * found.limit))


async def test_what_is_won_is_saved_seldom_and_what_is_used_up_is_said(place: Rig, caplog: pytest.LogCaptureFixture) -> None:
    place.task("seldom", floor=Floor(level=0.6))
    policy = await place.certify("seldom")
    (life,) = place.house.app.offers["routing"].services
    policies: Any = life._policies  # type: ignore[attr-defined]
    now = 1000.0
    one = Drift(place.house.app.store, policies, life._settings, place.house.app.events, Fixed(7, 1, 0.05), lambda: now)  # type: ignore[attr-defined]
    one._changed({(p.policy.organisation, p.policy.task): p for p in policies._live.values() if p.policy.id == policy["id"]})
    await one._coming  # type: ignore[misc]
    watcher = one.watcher(policy["id"])
    assert watcher is not None

    async def kept() -> Any:
        rows = await place.house.app.store.read(lambda c: store.watches(c, policy["id"]))
        return next((row for row in rows if row.watcher == "7"), None)

    await one.flush(SAVE_SECONDS)
    assert await kept() is None  # nothing was won
    points = watcher._fit.points
    watcher.call(points[0])
    await one.flush(SAVE_SECONDS)
    first = await kept()
    assert (first.calls, first.unspent) == (1, watcher.left)
    for _ in range(int(SAVE_SECONDS) - 1):
        now += 1
        watcher.call(points[1])
        await one.flush(SAVE_SECONDS)
    assert (await kept()).calls == 1
    now += 1
    await one.flush(SAVE_SECONDS)
    assert (await kept()).calls == SAVE_SECONDS
    for point in points:
        if not watcher._witness.exhausted:
            watcher._witness.observe(point)
    watcher.dirty = True
    await one.flush()
    watcher.dirty = True
    await one.flush()
    assert [record.message for record in caplog.records].count(
        "a watch has used up its evidence and sees changes of prompts less well from here on; certify the task again"
    ) == 1
    (left,) = [metric for metric in one.metrics() if metric.name == "penstock_routing_watch_left_ratio"]
    assert left.samples == (({"task": "seldom", "policy": policy["id"]}, 0.0),)
    page = await place.house.ask("GET", "/console/tasks/seldom/policies")
    assert "The watch sees less from here on" in page.text
    now += 1  # long before the next saving
    while not watcher.suspended:
        watcher._shortfall.observe(0.0)
        watcher._watch.check()
    watcher.dirty = True
    await one.flush(SAVE_SECONDS)
    assert (await place.house.ask("GET", f"/v1/tasks/seldom/policies/{policy['id']}")).json["changed_by"] == WATCH


async def test_who_was_thought_dead_watches_under_another_number(place: Rig) -> None:
    place.task("leased", floor=Floor(level=0.6))
    policy = await place.certify("leased")
    (life,) = place.house.app.offers["routing"].services
    policies: Any = life._policies  # type: ignore[attr-defined]
    settings: Any = life._settings  # type: ignore[attr-defined]
    records, events, now = place.house.app.store, place.house.app.events, 1000.0
    live = {(p.policy.organisation, p.policy.task): p for p in policies._live.values() if p.policy.id == policy["id"]}

    async def watching(one: Drift) -> Any:
        await one._coming  # type: ignore[misc]
        return one.watcher(policy["id"])

    one = Drift(records, policies, settings, events, Leased(records, 0.05, lambda: now), lambda: now)
    one._changed(live)
    first = await watching(one)
    first.call(first._fit.points[0])
    await one.flush()
    now += LEASE_SECONDS + 1
    two = Drift(records, policies, settings, events, Leased(records, 0.05, lambda: now), lambda: now)
    two._changed(live)
    assert (await watching(two)).calls == 1  # it goes on where the other was
    await one._beat()
    other = await watching(one)
    assert (other.calls, other.limit > first.limit) == (0, True)
    await two.stop()
    three = Drift(records, policies, settings, events, Leased(records, 0.05, lambda: now), lambda: now)
    three._changed(live)
    assert (await watching(three)).limit == first.limit  # a number that was let go is free at once


async def test_who_takes_another_number_for_a_new_policy_watches_the_old_ones_anew(place: Rig) -> None:
    policies_of: list[Any] = []
    for name in ("older", "newer"):
        place.task(name, floor=Floor(level=0.6))
        policies_of.append(await place.certify(name))
    older, newer = policies_of
    (life,) = place.house.app.offers["routing"].services
    policies: Any = life._policies  # type: ignore[attr-defined]
    settings: Any = life._settings  # type: ignore[attr-defined]
    records, events, now = place.house.app.store, place.house.app.events, 1000.0
    live = {(p.policy.organisation, p.policy.task): p for p in policies._live.values() if p.policy.id in (older["id"], newer["id"])}
    first = {key: one for key, one in live.items() if one.policy.id == older["id"]}
    one, two = (Drift(records, policies, settings, events, Leased(records, 0.03, lambda: now), lambda: now) for _ in range(2))
    one._changed(first)
    await one._coming  # type: ignore[misc]
    watcher = one.watcher(older["id"])
    assert watcher is not None
    watcher.call(watcher._fit.points[0])
    await one.flush()
    now += LEASE_SECONDS + 1
    two._changed(first)
    await two._coming  # type: ignore[misc]
    two.watcher(older["id"]).call(watcher._fit.points[1])  # type: ignore[union-attr]
    await two.flush()
    one._changed(live)  # a policy is new, before the next beat
    await one._coming  # type: ignore[misc]
    assert one._number.number != two._number.number
    assert (one.watcher(older["id"]), one.watcher(newer["id"]).calls) == (None, 0)  # type: ignore[union-attr]
    await one._beat()
    await one._coming  # type: ignore[misc]
    again = one.watcher(older["id"])
    assert again is not None
    assert (again.calls, again.limit > watcher.limit) == (0, True)
    await one.stop()
    await two.stop()


async def test_a_call_says_when_it_began() -> None:
    assert began("call_" + f"{1_700_000_000_123:012x}" + "0" * 20) == 1_700_000_000.123
    assert began("gsm8k-1") == began("call_zz") == 0.0


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.01)
