"""Versions go through their states in order, with four eyes, and the trail tells all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import text
from tests.registry.people import Rig, rig

from penstock.kernel.approvals import Measured, VersionEvaluations
from penstock.kernel.ports import Authenticator
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as made:
        yield made


EVALUATION = {"metric": "exact", "value": 0.9, "low": 0.85, "high": 0.94, "examples": 200}


async def test_a_vendors_version_is_evaluated_and_approved_by_another(house: Rig) -> None:
    id = await house.version("v/one", licence="proprietary", context=128_000, modalities=["text"], prices={"input": 2.5})
    early = await house.step(id, "approvals", {"reason": "now"}, key=house.second)
    assert (early.status, early.json["error"]["code"]) == (409, "wrong_state")
    assert (await house.step(id, "scan")).json["error"]["code"] == "wrong_state"
    assert (await house.step(id, "evaluations", EVALUATION)).json["state"] == "evaluated"
    own = await house.step(id, "approvals", {"reason": "mine"})
    assert (own.status, own.json["error"]["code"]) == (403, "same_person")
    done = await house.step(id, "approvals", {"reason": "good", "coverage": "task", "name": "triage"}, key=house.second)
    assert done.json["state"] == "approved"
    assert [(a["coverage"], a["name"], a["reason"]) for a in done.json["approvals"]] == [("task", "triage", "good")]
    more = await house.step(id, "approvals", {"reason": "more", "coverage": "data_class", "name": "public"}, key=house.second)
    assert [a["name"] for a in more.json["approvals"]] == ["triage", "public"]
    gone = await house.step(id, "revocation", {"reason": "worse"})
    assert gone.json["state"] == "revoked"
    assert (await house.step(id, "approvals", {"reason": "again"}, key=house.second)).json["error"]["code"] == "version_revoked"
    told = (await house.house.ask("GET", f"/v1/registry/audit?version={id}")).json
    assert [(line["action"], line["before"], line["after"]) for line in told["data"]] == [
        ("made", "", "draft"),
        ("evaluated", "draft", "evaluated"),
        ("approved for triage", "evaluated", "approved"),
        ("approved for public", "approved", "approved"),
        ("revoked", "approved", "revoked"),
    ]
    assert told["data"][-1]["why"] == "worse"
    assert told["broken_at"] is None


async def test_one_person_with_two_keys_is_one_person(house: Rig) -> None:
    person = (await house.house.made("/v1/people", {"name": "Ada"}))["id"]
    first, _ = await house.house.key(name="ada 1", person=person, scopes=["admin"])
    other, _ = await house.house.key(name="ada 2", person=person, scopes=["admin"])
    id = await house.version("v/two")
    assert (await house.step(id, "evaluations", EVALUATION)).status == 200
    changed = await house.house.ask("PUT", f"/v1/registry/versions/{id}", {"origin": "vendor", "targets": ["v/two"]}, key=first)
    assert changed.json["state"] == "draft", "what was evaluated was something else"
    assert (await house.step(id, "evaluations", EVALUATION)).status == 200
    own = await house.step(id, "approvals", {"reason": "mine"}, key=other)
    assert own.json["error"]["code"] == "same_person"
    assert (await house.step(id, "approvals", {"reason": "fine"}, key=house.second)).json["state"] == "approved"


async def test_a_change_of_an_approved_version_takes_its_approval_away(house: Rig) -> None:
    id = await house.approved("v/three")
    changed = await house.house.ask("PUT", f"/v1/registry/versions/{id}", {"origin": "vendor", "targets": ["v/three", "v/four"]})
    assert (changed.json["state"], changed.json["approvals"]) == ("draft", [])


async def test_a_name_has_one_live_version(house: Rig) -> None:
    first = await house.version("v/five")
    model = await house.house.made("/v1/registry/models", {"name": "five again"})
    body = {"origin": "vendor", "targets": ["v/five"]}
    taken = await house.house.ask("POST", f"/v1/registry/models/{model['id']}/versions", body)
    assert (taken.status, taken.json["error"]["code"]) == (409, "target_taken")
    assert (await house.step(first, "revocation", {"reason": "old"})).status == 200
    assert (await house.house.ask("POST", f"/v1/registry/models/{model['id']}/versions", body)).status == 201
    twice = await house.house.ask("POST", "/v1/registry/models", {"name": "five again"})
    assert (twice.status, twice.json["error"]["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"origin": "vendor"}, "targets"),
        ({"origin": "vendor", "targets": ["x/y"], "path": "m"}, "path"),
        ({"origin": "file", "path": "../x"}, "path"),
        ({"origin": "file", "path": "/etc"}, "path"),
        ({"origin": "file", "path": ""}, "path"),
        ({"origin": "file", "path": "missing"}, "path"),
    ],
)
async def test_facts_that_cannot_be_are_refused(house: Rig, body: dict[str, object], param: str) -> None:
    model = await house.house.made("/v1/registry/models", {"name": f"bad {body}"})
    answer = await house.house.ask("POST", f"/v1/registry/models/{model['id']}/versions", body)
    assert (answer.status, answer.json["error"]["param"]) == (400, param)


async def test_approvals_say_what_and_why(house: Rig) -> None:
    id = await house.version("v/six")
    await house.step(id, "evaluations", EVALUATION)
    for body in ({"reason": " "}, {"reason": "x", "coverage": "task"}, {"reason": "x", "name": "triage"}):
        assert (await house.step(id, "approvals", body, key=house.second)).status == 400
    assert (await house.step(id, "revocation", {"reason": ""})).status == 400


async def test_readers_read_and_outsiders_see_nothing(house: Rig) -> None:
    id = await house.version("v/seven")
    reader, _ = await house.house.key(name="reader", scopes=["read"])
    assert (await house.house.ask("GET", f"/v1/registry/versions/{id}", key=reader)).status == 200
    assert (await house.step(id, "revocation", {"reason": "x"}, key=reader)).status == 403
    them, _ = await house.house.outsider()
    assert (await house.house.ask("GET", f"/v1/registry/versions/{id}", key=them)).status == 404
    assert (await house.step(id, "revocation", {"reason": "x"}, key=them)).status == 404
    assert (await house.house.ask("GET", "/v1/registry/models", key=them)).json["data"] == []
    assert (await house.house.ask("GET", "/v1/registry/audit", key=them)).json["data"] == []


async def test_a_trail_that_was_changed_says_where(house: Rig) -> None:
    records = house.house.app.ports.get(Records)
    await house.version("v/eight")
    lines = (await house.house.ask("GET", "/v1/registry/audit?limit=1000")).json
    victim, why = lines["data"][0]["id"], lines["data"][0]["why"]
    await records.write(lambda c: c.execute(text("UPDATE registry_audit SET why = 'other' WHERE id = :id"), {"id": victim}))
    assert (await house.house.ask("GET", "/v1/registry/audit?limit=1")).json["broken_at"] == victim
    await records.write(lambda c: c.execute(text("UPDATE registry_audit SET why = :w WHERE id = :id"), {"id": victim, "w": why}))
    assert (await house.house.ask("GET", "/v1/registry/audit?limit=1")).json["broken_at"] is None


async def test_evaluations_made_here_are_kept_beside_the_version_they_are_about(house: Rig) -> None:
    ports = house.house.app.ports
    evaluations, principal = ports.get(VersionEvaluations), ports.get(Authenticator).authenticate(house.house.admin)
    found = Measured(metric="exact", value=0.8, low=0.75, high=0.85, examples=300, dataset="mails", task="triage", evaluation="eval_1")
    assert await evaluations.record(principal, "v/nobody-has-it", found) is None
    id = await house.version("v/measured", speed={"ttft_ms": 300.0})
    assert await evaluations.record(principal, "v/measured", msgspec.structs.replace(found, speed={"tokens_per_second": 71.5})) == id
    version = (await house.house.ask("GET", f"/v1/registry/versions/{id}")).json
    assert (version["state"], version["facts"]["speed"]) == ("evaluated", {"ttft_ms": 300.0, "tokens_per_second": 71.5})
    assert "tokens per second 71.5" in (await house.house.ask("GET", f"/console/models/{id}")).text
    await evaluations.record(principal, "v/measured", msgspec.structs.replace(found, value=0.82))
    await evaluations.record(principal, "v/measured", msgspec.structs.replace(found, evaluation="eval_2"))
    version = (await house.house.ask("GET", f"/v1/registry/versions/{id}")).json
    assert [(one["evaluation"], one["value"]) for one in version["evidence"]] == [("eval_1", 0.82), ("eval_2", 0.8)]
    assert version["approvals"] == []
    trail = (await house.house.ask("GET", f"/v1/registry/audit?version={id}")).json
    assert [line["why"] for line in trail["data"]][1] == "exact 0.8 on 300, evaluation eval_1"
    assert trail["broken_at"] is None
    done = await house.step(id, "approvals", {"reason": "good"}, key=house.second)
    assert done.json["state"] == "approved", "who measures does not make"
    await evaluations.record(principal, "v/measured", msgspec.structs.replace(found, evaluation="eval_3"))
    assert (await house.house.ask("GET", f"/v1/registry/versions/{id}")).json["state"] == "approved"
    await house.step(id, "revocation", {"reason": "worse"})
    assert await evaluations.record(principal, "v/measured", found) is None


async def test_an_evaluation_of_another_organisation_is_not_noted_here(house: Rig) -> None:
    ports = house.house.app.ports
    id = await house.version("v/theirs")
    them = msgspec.structs.replace(ports.get(Authenticator).authenticate(house.house.admin), organisation="org_others")
    assert await ports.get(VersionEvaluations).record(them, "v/theirs", Measured(metric="exact", value=1.0)) is None
    assert (await house.house.ask("GET", f"/v1/registry/versions/{id}")).json["evidence"] == []
