"""Evaluations over HTTP: asked once, compared, capped, cancelled, refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.house import House
from tests.quality.house import Known, answers, dataset, ended, evaluation, give, item, of, quality_house, until
from tests.registry.people import weights

from penstock.kernel.evidence import Evidence
from penstock.kernel.tasks import Floor, Judge, SliceFloor, Task

pytestmark = pytest.mark.timeout(90)

EXACT = {"kind": "exact"}


async def test_candidates_are_asked_once_and_compared(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = lambda model, messages: messages[-1]["content"] if model == "m" or messages[-1]["content"] < "q30" else "no"
        made = await dataset(house, [item(f"q{n}") for n in range(10, 50)])
        wanted = {"dataset": made["id"], "candidates": ["up/m", "up/s"], "judge": EXACT, "floor": {"level": 0.9, "kind": "absolute"}}
        told = await evaluation(house, **wanted, by=["language", "length", "class"])
        assert (told["status"], told["done"], told["total"], told["failed"]) == ("done", 80, 80, 0)
        strong, small = of(told, "up/m"), of(told, "up/s")
        assert (strong["mean"], small["mean"]) == (1.0, 0.5)
        assert strong["floor"]["verdict"] == "meets"
        assert small["floor"]["verdict"] == "below"
        assert small["interval"]["method"] == "wilson"
        assert 0.35 < small["interval"]["low"] < 0.5 < small["interval"]["high"] < 0.65
        (compared,) = told["results"]["comparisons"]
        assert (compared["first"], compared["second"], compared["difference"]["difference"]) == ("up/m", "up/s", 0.5)
        assert (compared["difference"]["method"], compared["difference"]["better"]) == ("mcnemar", 20)
        assert compared["difference"]["p"] < 1e-5
        assert told["cost"] == strong["cost"] + small["cost"] == 40 * 13 + 40 * 1
        kinds = {one["by"] for one in told["results"]["slices"]}
        assert kinds == {"language", "length", "class"}
        assert all(one["few"] for one in told["results"]["slices"] if one["by"] == "class")
        assert provider.seen == {"m": 40, "s": 40}
        assert [each["candidate"] for each in await answers(house, told["id"], "&state=judged")][:2] == ["up/m", "up/s"]

        again = await evaluation(house, **wanted)
        assert (again["cost"], again["cached"], of(again, "up/m")["mean"]) == (0, 80, 1.0)
        assert provider.seen == {"m": 40, "s": 40}
        fresh = await evaluation(house, **wanted, fresh=True, limit=5)
        assert (fresh["cached"], fresh["done"]) == (0, 10)

        calls = (await house.ask("GET", "/v1/calls?limit=1000")).json["data"]
        assert {call["labels"]["evaluation"] for call in calls} == {told["id"], fresh["id"]}


async def test_what_another_model_said_under_a_name_is_no_answer_of_the_new_one(tmp_path: Path) -> None:
    def alias(model: str) -> str:
        return f'[gateway.models.quick]\ntargets = ["up/{model}"]\n'

    async def outcomes(house: House, tasks: Known) -> set[tuple[str, str]]:
        give(house, tasks)
        found = await house.app.ports.get(Evidence).outcomes(organisation, "sums")
        return {(one.candidate, one.answered_by) for one in found}

    tasks = Known()
    async with quality_house(tmp_path, alias("m")) as (house, provider):
        admin = house.admin
        organisation = (await dataset(house, [item(f"{n}") for n in range(5)]))["organisation"]
        tasks.put(
            Task(organisation=organisation, name="sums", owner="ada", default="quick", candidates=("quick",), judge=Judge(kind="exact"))
        )
        give(house, tasks)
        await evaluation(house, dataset="set", task="sums")
        assert provider.seen == {"m": 5}
        again = await evaluation(house, dataset="set", task="sums")
        assert (again["cached"], provider.seen) == (5, {"m": 5})
        assert await outcomes(house, tasks) == {("quick", "up/m")}
    async with quality_house(tmp_path, alias("s")) as (house, provider):
        house.admin = admin
        give(house, tasks)
        other = await evaluation(house, dataset="set", task="sums")
        assert (other["cached"], provider.seen) == (0, {"s": 5})
        assert await outcomes(house, tasks) == {("quick", "up/m"), ("quick", "up/s")}


async def test_a_task_says_what_is_not_said(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = lambda model, messages: messages[-1]["content"] if model == "m" or "a" in messages[-1]["content"] else "no"
        tasks = Known()
        give(house, tasks)
        made = await dataset(house, [item(f"{kind}{n}", groups={"team": kind}) for n in range(60) for kind in ("a", "b")])
        tasks.put(
            Task(
                organisation=made["organisation"],
                name="sums",
                owner="ada",
                default="up/m",
                candidates=("up/s",),
                judge=Judge(kind="exact"),
                floor=Floor(level=0.9, kind="relative"),
                slices=(SliceFloor(by="team", level=0.8),),
            )
        )
        told = await evaluation(house, dataset="set", task="sums")
        assert told["terms"]["candidates"] == ["up/s", "up/m"]
        assert told["terms"]["reference"] == "up/m"
        assert of(told, "up/m")["floor"] is None
        assert of(told, "up/s")["floor"]["verdict"] == "below"
        found = {(one["group"], one["candidate"]): one["floor"]["verdict"] for one in told["results"]["slices"]}
        assert found == {("a", "up/s"): "meets", ("b", "up/s"): "below", ("a", "up/m"): "meets", ("b", "up/m"): "meets"}
        calls = (await house.ask("GET", "/v1/calls?limit=10")).json["data"]
        assert {call["task"] for call in calls} == {"sums"}


async def test_what_is_on_its_way_is_tried_and_only_for_administrators(tmp_path: Path) -> None:
    weights(tmp_path / "weights" / "s")
    rules = f'[registry]\ndefault = "approved"\nweights = "{tmp_path / "weights"}"\n[[cache.rules]]\nmodels = ["up/*"]\n'
    async with quality_house(tmp_path, rules) as (house, provider):
        provider.say = lambda model, messages: messages[-1]["content"] if model != "j" else '{"score": 5, "reason": "fine"}'
        ids: dict[str, str] = {}
        for name in ("m", "s", "j"):
            model = await house.made("/v1/registry/models", {"name": name})
            facts = {"targets": [f"up/{name}"], **({"origin": "file", "path": "s"} if name == "s" else {"origin": "vendor"})}
            ids[name] = (await house.made(f"/v1/registry/models/{model['id']}/versions", facts))["id"]
        made = await dataset(house, [item("one"), item("two")])
        wanted = {
            "dataset": made["id"],
            "candidates": ["up/m", "up/s", "up/u"],
            "judge": {"kind": "rubric", "model": "up/j", "rubric": "Good?"},
        }
        caller, _ = await house.key(name="caller", scopes=["call", "read"])
        refused = await evaluation(house, key=caller, **wanted)
        assert (refused["failed"], refused["done"], dict(provider.seen)) == (6, 6, {})

        told = await evaluation(house, **wanted)
        assert (told["status"], told["failed"], provider.seen["m"], provider.seen["j"]) == ("done", 4, 2, 2)
        assert {one["error"] for one in await answers(house, told["id"], "&state=failed")} == {"model_not_approved", "model_not_registered"}
        assert provider.seen["s"] == provider.seen["u"] == 0
        version = (await house.ask("GET", f"/v1/registry/versions/{ids['m']}")).json
        assert version["state"] in ("draft", "evaluated")
        body = {"model": "up/m", "messages": [{"role": "user", "content": "one"}]}
        plain = await house.ask("POST", "/v1/chat/completions", body)
        assert (plain.status, plain.json["error"]["code"]) == (403, "model_not_approved")
        calls = (await house.ask("GET", "/v1/calls?limit=100")).json["data"]
        assert not [call for call in calls if call["labels"].get("evaluation") and call["recalled"]]


async def test_the_cap_is_not_gone_past(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        made = await dataset(house, [item(f"q{n}") for n in range(100)])
        wanted = {"dataset": made["id"], "candidates": ["up/m"], "judge": EXACT, "params": {"max_tokens": 3}}
        told = await evaluation(house, **wanted, cap=500)
        assert (told["status"], told["why"]) == ("stopped", "cap")
        assert 300 < told["cost"] <= 500
        assert told["done"] == told["cost"] // 13 == provider.seen["m"]
        assert told["results"]["notes"] == [f"{told['done']} of 100 items have answers; they were drawn, so they stand for all"]
        more = await evaluation(house, **wanted)
        assert (more["status"], more["cached"], more["done"]) == ("done", told["done"], 100)


async def test_failures_are_counted_apart_and_against_the_floor(tmp_path: Path) -> None:
    async with quality_house(tmp_path, "[quality]\ntries = 1\n") as (house, provider):
        provider.say = lambda model, messages: (
            ("400 Bad Request", b'{"error": {"message": "no"}}') if "bad" in str(messages) else messages[-1]["content"]
        )
        made = await dataset(house, [*(item(f"q{n}") for n in range(30)), *(item(f"bad{n}") for n in range(10))])
        told = await evaluation(house, dataset=made["id"], candidates=["up/m"], judge=EXACT, floor={"level": 0.85, "kind": "absolute"})
        one = of(told, "up/m")
        assert (one["judged"], one["failed"], one["mean"]) == (30, 10, 1.0)
        assert one["errors"] == {"upstream_refused": 10}
        assert one["floor"]["verdict"] == "open"
        (failed, *_) = await answers(house, told["id"], "&state=failed")
        assert (failed["error"], failed["score"], failed["text"]) == ("upstream_refused", None, "")


async def test_one_that_is_cancelled_keeps_what_is_done(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        made = await dataset(house, [item(f"q{n}") for n in range(50)])
        provider.held.clear()
        wanted = {"dataset": made["id"], "candidates": ["up/m"], "judge": EXACT}
        id = (await house.made("/v1/evaluations", wanted))["id"]
        await until(lambda: provider.in_flight)
        assert (await house.ask("POST", f"/v1/evaluations/{id}/cancel")).status == 200
        provider.held.set()
        told = await ended(house, id)
        assert (told["status"], told["why"]) == ("stopped", "cancelled")
        assert told["done"] == provider.seen["m"] < 50
        assert (await house.ask("POST", f"/v1/evaluations/{id}/cancel")).json["error"]["code"] == "conflict"
        assert (await house.ask("DELETE", f"/v1/evaluations/{id}")).status == 204
        assert (await house.ask("GET", f"/v1/evaluations/{id}")).status == 404


async def test_the_registry_hears_what_was_found(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = lambda model, messages: messages[-1]["content"] if messages[-1]["content"] > "q2" else "no"
        model = await house.made("/v1/registry/models", {"name": "m"})
        version = await house.made(f"/v1/registry/models/{model['id']}/versions", {"origin": "vendor", "targets": ["up/m"]})
        await dataset(house, [item(f"q{n}") for n in range(10, 30)])
        told = await evaluation(house, dataset="set", candidates=["up/m", "up/s"], judge=EXACT)
        found = (await house.ask("GET", f"/v1/registry/versions/{version['id']}")).json
        (evidence,) = found["evidence"]
        assert (evidence["metric"], evidence["value"], evidence["evaluation"]) == ("exact", 0.5, told["id"])
        assert found["state"] == "evaluated"


async def test_what_cannot_be_done_is_refused_at_once(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        await dataset(house, [item("q1")])
        good = {"dataset": "set", "candidates": ["up/m"], "judge": EXACT}

        async def code(**more: object) -> tuple[int, str, str]:
            answer = await house.ask("POST", "/v1/evaluations", {**good, **more})
            return answer.status, answer.json["error"]["code"], answer.json["error"]["param"]

        assert await code(dataset="nothing") == (404, "not_found", "dataset")
        assert await code(judge={"kind": "regex"}) == (400, "invalid_request", "judge.pattern")
        assert await code(judge={"kind": "regex", "pattern": "("}) == (400, "invalid_request", "judge.pattern")
        assert await code(judge={"kind": "rubric"}) == (400, "invalid_request", "judge.model")
        assert await code(judge={"kind": "json_schema", "schema": {"type": 3}}) == (400, "invalid_request", "judge.schema")
        assert await code(candidates=["up/m", "up/m"]) == (400, "invalid_request", "candidates")
        assert await code(reference="up/s") == (400, "invalid_request", "reference")
        assert await code(floor={"level": 0.9}) == (400, "invalid_request", "floor.reference")
        assert await code(by=["colour"]) == (400, "invalid_request", "by")
        assert await code(params={"model": "x"}) == (400, "invalid_request", "params")
        assert await code(task="none") == (404, "not_found", "task")
        assert (await code(floor={"level": 1.5, "kind": "absolute"}))[:2] == (400, "malformed_request")
        key, _ = await house.key(name="small", scopes=["call"], models=["up/s"])
        answer = await house.ask("POST", "/v1/evaluations", good, key=key)
        assert answer.json["error"]["param"] == "candidates"


async def test_others_do_not_see_it(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        made = await dataset(house, [item("q1")])
        told = await evaluation(house, dataset=made["id"], candidates=["up/m"], judge=EXACT)
        them, _ = await house.outsider()
        for path in (f"/v1/datasets/{made['id']}", f"/v1/datasets/{made['id']}/items", f"/v1/evaluations/{told['id']}"):
            assert (await house.ask("GET", path, key=them)).status == 404
        assert (await house.ask("GET", "/v1/evaluations", key=them)).json["data"] == []
        assert (await house.ask("GET", "/v1/datasets", key=them)).json["data"] == []
        wanted = {"dataset": made["id"], "candidates": ["up/m"], "judge": EXACT}
        assert (await house.ask("POST", "/v1/evaluations", wanted, key=them)).status == 404


def test_the_judge_of_a_task_goes_through_json() -> None:
    schema = {"type": "object", "required": ["a"]}
    judge = Judge(kind="json_schema", schema=schema)
    assert msgspec.json.decode(msgspec.json.encode(judge), type=Judge).schema == schema
