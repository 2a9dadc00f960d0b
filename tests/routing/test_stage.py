"""Calls for a task, through a whole house: which model answers, why, and what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
import pytest_asyncio
from tests.routing.rig import LARGE, SMALL, Rig, costs, outcomes, recorded, rig, vectors

from penstock.gateway.local_embedder import LocalEmbedder
from penstock.kernel.tasks import Floor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        yield made


async def test_without_evidence_the_default_serves_and_says_so(place: Rig) -> None:
    place.task()
    answer = await place.call("hello")
    assert answer.status == 200, answer.text
    assert place.served[-1] == "large"
    why = await place.why(answer)
    assert (why["mode"], why["chosen"], why["policy"]) == ("default", LARGE, None)
    assert "nothing is certified" in why["why"]
    by_name = {one["candidate"]: one for one in why["candidates"]}
    assert by_name[LARGE]["would_have_cost"] == why["cost"] == costs()[LARGE]
    assert by_name[SMALL]["would_have_cost"] == costs()[SMALL]


async def test_the_recorded_vectors_are_those_of_the_model(place: Rig) -> None:
    rows = recorded()[:3]
    found = await LocalEmbedder(place.models).embed([row.prompt for row in rows])
    for row, vector in zip(rows, found, strict=True):
        kept = np.frombuffer(vectors()[row.prompt], dtype=np.float32)
        assert float(kept @ np.frombuffer(vector, dtype=np.float32)) > 0.999


async def test_a_certified_candidate_serves(place: Rig) -> None:
    place.task("easy", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("easy")
    assert policy["state"] == "active", policy
    assert SMALL in policy["singles"]
    answer = await place.call(recorded()[0].prompt, "easy")
    why = await place.why(answer)
    assert (place.served[-1], why["mode"], why["chosen"], why["policy"]) == ("small", "proof", SMALL, policy["id"])
    assert why["cost"] == costs()[SMALL]


async def test_a_router_picks_by_prompt(place: Rig) -> None:
    place.task("routed", floor=Floor(level=0.9))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("routed")
    assert (policy["state"], policy["kind"]) == ("active", "router")
    served: set[str] = set()
    for row in recorded()[:25]:
        why = await place.why(await place.call(row.prompt, "routed"))
        assert why["mode"] == "router"
        assert all(0 < one["estimate"] < 1 for one in why["candidates"])
        served.add(why["served"])
    assert served == {SMALL, LARGE}
    picture = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    answer = await place.house.ask(
        "POST", "/v1/chat/completions", {"model": "task:routed", "messages": [{"role": "user", "content": picture}]}
    )
    why = await place.why(answer)
    assert (why["mode"], why["chosen"]) == ("proof", LARGE)
    assert "does not end with text" in why["why"]
    named = await place.house.ask(
        "POST", "/v1/chat/completions", {"model": SMALL, "messages": [{"role": "user", "content": "hi"}]}, x_penstock_task="routed"
    )
    assert named.status == 200
    assert place.served[-1] == "small"
    assert "the caller asked for" in (await place.why(named))["why"]


async def test_the_cheap_model_is_used_through_the_sdk(place: Rig) -> None:
    import openai

    place.task("sdk", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("sdk")
    async with openai.AsyncOpenAI(api_key=place.house.admin, base_url=f"{place.house.url}/v1") as client:
        raw = await client.chat.completions.with_raw_response.create(
            model="task:sdk", messages=[{"role": "user", "content": recorded()[3].prompt}]
        )
        assert raw.parse().choices[0].message.content == recorded()[3].small
        why = (await place.house.ask("GET", f"/v1/calls/{raw.headers['x-request-id']}/why")).json
        assert (why["served"], why["cost"], why["policy"]) == (SMALL, costs()[SMALL], policy["id"])
        assert {one["candidate"]: one["would_have_cost"] for one in why["candidates"]} == costs()


async def test_a_claim_that_is_suspended_is_routed_by_no_more(place: Rig) -> None:
    place.task("claimed", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("claimed")
    assert (await place.why(await place.call("hi", "claimed")))["chosen"] == SMALL
    path = f"/v1/tasks/claimed/policies/{policy['number']}/suspension"
    assert (await place.house.ask("POST", path, {"reason": "customers complain"})).json["state"] == "suspended"
    assert (await place.house.ask("POST", path, {"reason": "again"})).json["error"]["code"] == "not_active"
    why = await place.why(await place.call("hi", "claimed"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "customers complain" in why["why"]


async def test_another_floor_or_a_candidate_that_left_makes_a_proof_stale(place: Rig) -> None:
    place.task("stale", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded())
    await place.certify("stale")
    assert (await place.why(await place.call("hi", "stale")))["chosen"] == SMALL
    place.task("stale", floor=Floor(level=0.7))
    why = await place.why(await place.call("hi", "stale"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "another floor" in why["why"]
    place.task("stale", floor=Floor(level=0.6), candidates=(LARGE,))
    why = await place.why(await place.call("hi", "stale"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "cheap/small, which the task has left" in why["why"]


async def test_damaged_arrays_route_nothing(place: Rig) -> None:
    place.task("damaged", floor=Floor(level=0.9))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("damaged")
    assert policy["kind"] == "router"
    (life,) = place.house.app.offers["routing"].services
    with place.house.app.store.begin() as connection:
        from sqlalchemy import text

        connection.execute(text("UPDATE routing_policies SET arrays = :a WHERE id = :i"), {"a": b"PK\x03\x04rubbish", "i": policy["id"]})
        connection.execute(text("UPDATE routing_changes SET version = version + 1"))
    policies = life._policies  # type: ignore[attr-defined]
    policies._live.clear()  # as in a process that has just started
    await policies.fresh.now()
    why = await place.why(await place.call(recorded()[0].prompt, "damaged"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "not those that were certified" in why["why"]
    assert 'penstock_routing_policies{state="damaged"} 1' in (await place.house.ask("GET", "/metrics")).text


async def test_a_floor_that_cannot_be_met_is_refused_with_what_it_would_take(place: Rig) -> None:
    place.task("hopeless", floor=Floor(level=0.99, kind="absolute"))
    place.declared.known = outcomes(recorded())
    policy = await place.certify("hopeless")
    assert (policy["state"], policy.get("kind")) == ("refused", None)
    assert "even the safest policy looks" in policy["why"]
    why = await place.why(await place.call("hi", "hopeless"))
    assert (why["mode"], why["chosen"]) == ("default", LARGE)
    assert "cannot certify" in why["why"]
    again = await place.certify("hopeless")
    assert (again["series"], again["attempt"]) == (1, 2)
    assert again["alpha"] == pytest.approx(policy["alpha"] / 4)


async def test_a_task_without_a_floor_or_without_prices_says_so(place: Rig) -> None:
    place.task("floorless", floor=None)
    refused = await place.house.ask("POST", "/v1/tasks/floorless/policies", {})
    assert (refused.status, refused.json["error"]["code"]) == (409, "no_floor")
    assert "no floor" in (await place.why(await place.call("hi", "floorless")))["why"]
    assert (await place.house.ask("POST", "/v1/tasks/nowhere/policies", {})).status == 404
    place.task("priceless", floor=Floor(level=0.6))
    place.declared.known = outcomes(recorded(), cost=None, input_tokens=0)
    failed = await place.certify("priceless")
    assert failed["state"] == "failed"
    assert "finops.prices" in failed["why"]


async def test_contradictory_constraints_name_each_candidate(place: Rig) -> None:
    place.task("nowhere", places=("region",), regions=("eu",))
    refused = await place.call("hi", "nowhere")
    assert (refused.status, refused.json["error"]["code"]) == (403, "no_candidate_allowed")
    for name in (SMALL, LARGE):
        assert name in refused.json["error"]["message"]
    assert "may go to" in refused.json["error"]["message"]


async def test_a_judge_that_flips_its_labels_breaks_no_slice(place: Rig) -> None:
    from penstock.kernel.tasks import SliceFloor

    rows = recorded()
    half = len(rows) // 2
    broken = [msgspec.structs.replace(row, small_right=False) for row in rows[half:]]
    known = [
        *outcomes(rows[:half], groups={"language": "en"}),
        *outcomes(broken, at=1001.0, groups={"language": "de"}),
        *outcomes(rows[:0]),
    ]
    place.task("sliced", floor=Floor(level=0.35), slices=(SliceFloor(by="language", level=0.4),))
    place.declared.known = known
    policy = await place.certify("sliced")
    assert policy["state"] == "active"
    assert SMALL not in policy["singles"]
    assert {(one["group"], one["holds"]) for one in policy["slices"]} == {("de", True), ("en", True)}
