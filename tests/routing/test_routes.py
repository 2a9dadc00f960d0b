"""Cost against quality, what-ifs and policies over the API, in the console and on the command line, against a whole house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.edge.contract import Contract
from tests.routing.rig import LARGE, SMALL, Rig, outcomes, recorded, rig
from typer.testing import CliRunner

from penstock.kernel.tasks import Floor, Recertify
from penstock.routing.commands import app

OWN = (
    *("/v1/tasks/{name}/frontier", "/v1/tasks/{name}/what-if", "/v1/tasks/{name}/policies"),
    *("/v1/tasks/{name}/policies/{id}", "/v1/tasks/{name}/policies/{id}/suspension"),
)
"""Routing's routes, which are held against the document here."""
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        rows = recorded()
        live: list[Any] = []
        for number, row in enumerate(rows[300:]):
            live += outcomes([row], source="live", item=f"call_{number}", propensity=0.5)[1:]
            if number % 2 == 0:
                live += outcomes([row], source="shadow", item=f"call_{number}", propensity=0.25)[:1]
        made.declared.known = outcomes(rows[:300]) + live
        made.task(mode="cascade", floor=Floor(level=0.8))
        policy = await made.certify()
        assert policy["state"] == "active", policy["why"]
        assert policy["models"] == {name: [name, ""] for name in (SMALL, LARGE)}  # what it was measured on
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stranger(place: Rig) -> str:
    """The key of another organisation's admin: a house has one other organisation."""
    return (await place.house.outsider())[0]


def command(place: Rig, *words: str) -> Any:
    runner = CliRunner(env={"PENSTOCK_KEY": place.house.admin, "PENSTOCK_URL": place.house.url})
    return asyncio.to_thread(runner.invoke, app, list(words))


async def test_the_frontier_has_every_candidate_the_dials_and_what_serves(place: Rig) -> None:
    found = (await place.house.ask("GET", "/v1/tasks/sums/frontier")).json
    points = found["points"]
    assert {point["name"] for point in points if point["kind"] == "candidate"} >= {SMALL, LARGE}
    assert {point["kind"] for point in points} == {"candidate", "router", "cascade"}
    assert all(point["low"] <= point["quality"] <= point["high"] for point in points)
    (serving,) = [point for point in points if point["serving"]]
    assert serving["certified"]
    strong = next(point for point in points if point["name"] == LARGE)
    assert found["line"] == pytest.approx(0.8 * strong["quality"])
    page = await place.house.ask("GET", "/console/tasks/sums/frontier")
    assert page.status == 200
    assert page.text.count('<circle class="frontier-') == len(points)
    for name in (SMALL, LARGE):
        assert name in page.text
    told = await command(place, "frontier", "sums")
    assert told.exit_code == 0
    assert "serving" in told.output


async def test_a_what_if_replays_recorded_traffic(place: Rig) -> None:
    found = (await place.house.ask("POST", "/v1/tasks/sums/what-if", {"floor": {"level": 0.7}})).json
    assert found["supported"]
    assert found["then"]["enough"], found["then"]
    assert found["then"]["cost"] < found["now"]["cost"]
    assert found["then"]["low"] <= found["then"]["quality"] <= found["then"]["high"]
    stored = (await place.house.ask("POST", "/v1/tasks/sums/what-if", {"policy": "1"})).json
    assert stored["policy"]["number"] == 1
    hopeless = (await place.house.ask("POST", "/v1/tasks/sums/what-if", {"floor": {"level": 0.99, "kind": "absolute"}})).json
    assert (hopeless["supported"], hopeless["then"]) == (False, None)
    assert (await place.house.ask("POST", "/v1/tasks/sums/what-if", {"policy": "77"})).status == 404
    told = await command(place, "what-if", "sums", "--level", "0.7")
    assert told.exit_code == 0, told.output
    assert "would have got" in told.output
    assert (await command(place, "what-if", "sums", "--level", "0.99", "--kind", "absolute")).exit_code == 1


async def test_policies_are_listed_shown_and_suspended(place: Rig) -> None:
    place.task("other", floor=Floor(level=0.6))
    told = await command(place, "certify", "other")
    assert told.exit_code == 0, told.output
    (policy,) = (await place.house.ask("GET", "/v1/tasks/other/policies")).json["data"]
    assert policy["state"] == "active"
    page = await place.house.ask("GET", "/console/tasks/other/policies")
    assert "Policy 1 serves" in page.text
    answer = await place.call("hi", "other")
    told = await command(place, "why", answer.headers["x-request-id"])
    assert f"{SMALL} (served)" in told.output
    told = await command(place, "suspend", "other", "1", "--reason", "a test")
    assert "suspended: a test" in told.output
    page = await place.house.ask("GET", "/console/tasks/other/policies")
    assert "a test" in page.text
    assert "Certified again by itself" not in page.text
    place.task("other", floor=Floor(level=0.6), recertify=Recertify(labels=1500, hours=6.0))
    page = await place.house.ask("GET", "/console/tasks/other/policies")
    assert "After 1,500 fresh labels, at most every 6 hours" in page.text
    assert "suspended" in (await command(place, "policies", "other")).output


async def test_nobody_else_sees_or_certifies_them(place: Rig, stranger: str) -> None:
    for method, path in (("GET", "policies"), ("POST", "policies"), ("GET", "frontier"), ("POST", "what-if")):
        answer = await place.house.ask(method, f"/v1/tasks/sums/{path}", {} if method == "POST" else None, key=stranger)
        assert answer.status == 403, (path, answer.text)
    reader, _ = await place.house.key(name="reader", scopes=["read"])
    assert (await place.house.ask("POST", "/v1/tasks/sums/policies", {}, key=reader)).status == 403


async def test_the_document_is_true(place: Rig, stranger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    contract = await Contract.of(place.house)
    (life,) = place.house.app.offers["routing"].services
    certifying, asked = life._certifying, asyncio.Event()  # type: ignore[attr-defined]
    outcome = certifying._outcome

    async def held(policy: Any, task: Any) -> Any:
        await asked.wait()  # so that the clash is certain, however fast a fit is
        return await outcome(policy, task)

    monkeypatch.setattr(certifying, "_outcome", held)

    async def ask(method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
        answer = await place.house.ask(method, path, body, key=key)
        contract.check(method, path, body, answer)
        assert answer.status == status, answer.text
        return answer.json

    place.task("held", floor=Floor(level=0.6))
    place.task("floorless", floor=None)
    base = "/v1/tasks/held"
    assert (await ask("GET", f"{base}/frontier"))["policy"] is None
    assert (await ask("POST", f"{base}/what-if", {"floor": {"level": 0.7}, "mode": "route", "candidates": [SMALL, LARGE]}))[
        "task"
    ] == "held"
    assert (await ask("GET", f"{base}/policies"))["data"] == []
    begun = await ask("POST", f"{base}/policies", {}, status=202)
    assert (begun["state"], begun["number"]) == ("fitting", 1)
    clash = await ask("POST", f"{base}/policies", {}, status=409)
    assert clash["error"]["code"] == "being_fitted"
    asked.set()
    await certifying.wait(place.declared.tasks["held"])
    assert (await ask("GET", f"{base}/policies/1"))["state"] == "active"
    assert [one["number"] for one in (await ask("GET", f"{base}/policies"))["data"]] == [1]
    assert (await ask("GET", f"{base}/frontier"))["policy"]
    assert (await ask("POST", f"{base}/policies/1/suspension", {"reason": "a test"}))["state"] == "suspended"
    late = await ask("POST", f"{base}/policies/1/suspension", {"reason": "again"}, status=409)
    assert late["error"]["code"] == "not_active"

    reader, _ = await place.house.key(name="only reads", scopes=["read"])
    for method, path, body in (
        *(("GET", "frontier", None), ("POST", "what-if", {}), ("GET", "policies", None), ("POST", "policies", {})),
        *(("GET", "policies/1", None), ("POST", "policies/1/suspension", {"reason": "a test"})),
    ):
        await ask(method, f"/v1/tasks/nobody/{path}", body, status=404)
        await ask(method, f"{base}/{path}", body, status=403, key=stranger)
        await ask(method, f"{base}/{path}", body, status=401, key="psk_" + "x" * 49)
    await ask("GET", f"{base}/policies/77", status=404)
    for path, body in (("what-if", {"mode": "guess"}), ("policies", {"now": True}), ("policies/1/suspension", {"reason": ""})):
        await ask("POST", f"{base}/{path}", body, status=400)
    for path, body in (("policies", {}), ("policies/1/suspension", {"reason": "a test"})):
        await ask("POST", f"{base}/{path}", body, status=403, key=reader)
    for method, path, body in (("GET", "frontier", None), ("POST", "what-if", {}), ("POST", "policies", {})):
        assert (await ask(method, f"/v1/tasks/floorless/{path}", body, status=409))["error"]["code"] == "no_floor"
    mine = {operation["operationId"] for _, path, operation in contract.operations() if path in OWN}
    assert mine
    assert mine - contract.succeeded == set()
