"""Judges that are models: what they say is no evidence until people agree with it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.house import House
from tests.quality.house import Known, Provider, answers, dataset, ended, evaluation, give, item, of, quality_house

from penstock.kernel.evidence import Evidence
from penstock.kernel.tasks import Judge, Task

pytestmark = pytest.mark.timeout(90)

RUBRIC = {"kind": "rubric", "model": "up/j", "rubric": "Is it right?"}
ITEMS = 24


def right(text: str) -> bool:
    return int(text.split(maxsplit=1)[0][1:]) % 2 == 0


def scripted(provider: Provider, verdict: Any) -> None:
    """Candidates answer every second item rightly; the judge ``j`` says what ``verdict`` makes of the question."""

    def say(model: str, messages: list[dict[str, Any]]) -> str:
        said = messages[-1]["content"]
        return verdict(said) if model == "j" else f"{said} by {model}"

    provider.say = say


def graded(said: str) -> str:
    """A judge that knows: the request is the first line that begins with the item's id."""
    asked = next(row for row in said.splitlines() if row.startswith("q"))
    return json.dumps({"reason": "so", "grade": 5 if right(asked) else 1})


async def labelled(house: House, id: str, score: Any) -> None:
    for one in await answers(house, id):
        body = {"evaluation": id, "item": one["item"], "candidate": one["candidate"], "score": score(one), "by": "ada"}
        await house.made("/v1/feedback", body)


async def test_a_judge_is_evidence_once_people_agree_with_it(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        scripted(provider, graded)
        tasks = Known()
        give(house, tasks)
        made = await dataset(house, [item(f"q{n}", f"q{n} ?") for n in range(ITEMS)])
        task = Task(organisation=made["organisation"], name="t", owner="ada", default="up/m", candidates=("up/m",), judge=Judge(**RUBRIC))
        tasks.put(task)
        told = await evaluation(house, dataset="set", task="t")
        assert (of(told, "up/m")["mean"], of(told, "up/m")["judging_cost"]) == (0.5, 13 * ITEMS)
        evidence = house.app.ports.get(Evidence)
        assert await evidence.outcomes(made["organisation"], "t") == []
        (judge,) = (await house.ask("GET", "/v1/judges")).json["data"]
        assert (judge["judge"], judge["trusted"], judge["findings"]["cost_each"]) == ("rubric:up/j", False, 13.0)
        assert "nobody has labelled" in judge["findings"]["faults"][0]

        await labelled(house, told["id"], lambda one: float(right(one["item"])))
        (judge,) = (await house.ask("GET", "/v1/judges")).json["data"]
        assert (judge["trusted"], judge["findings"]["labels"], judge["findings"]["agreement"]["kappa"]) == (True, ITEMS, 1.0)
        known = await evidence.outcomes(made["organisation"], "t")
        assert (len(known), known[0].judge, known[0].source, known[0].prompt[:1]) == (ITEMS, "rubric:up/j", "evaluation", "q")
        them, _ = await house.outsider()
        assert (await house.ask("GET", "/v1/judges", key=them)).json["data"] == []
        assert (await house.ask("POST", "/v1/judges", {"evaluation": told["id"]}, key=them)).status == 404


async def test_judges_that_lie_are_found(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        await dataset(house, [item(f"q{n}", f"q{n} ?") for n in range(ITEMS)])
        chance = random.Random(3)

        async def faults(verdict: Any, judge: dict[str, Any], candidates: list[str]) -> str:
            scripted(provider, verdict)
            told = await evaluation(house, dataset="set", candidates=candidates, reference="up/m", judge=judge)
            if judge["kind"] == "rubric":
                await labelled(house, told["id"], lambda one: float(right(one["item"])))
            found = (await house.made("/v1/judges", {"evaluation": told["id"]}))["findings"]
            return "; ".join(found["faults"])

        lucky = lambda _: json.dumps({"grade": chance.choice((1, 5))})  # noqa: E731
        assert "agreement beyond chance" in await faults(lucky, {**RUBRIC, "rubric": "random"}, ["up/m"])
        fixed = lambda _: '{"grade": 5}'  # noqa: E731
        assert f"says the same of all {ITEMS}" in await faults(fixed, {**RUBRIC, "rubric": "constant"}, ["up/m"])
        silent = lambda _: "I would rather not."  # noqa: E731
        assert f"it fails: {ITEMS} of {ITEMS}" in await faults(silent, {**RUBRIC, "rubric": "silent"}, ["up/m"])
        first = lambda _: '{"better": "A"}'  # noqa: E731
        told = await faults(first, {"kind": "pairwise", "model": "up/j"}, ["up/m", "up/s"])
        assert f"stands first: {ITEMS} of {ITEMS}" in told
        listed = (await house.ask("GET", "/v1/judges")).json["data"]
        assert [one["trusted"] for one in listed] == [False] * 4


async def test_people_judge_what_waits_for_them(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        await dataset(house, [item(f"q{n}", f"q{n} ?") for n in range(4)])
        made = await house.made("/v1/evaluations", {"dataset": "set", "candidates": ["up/m"], "judge": {"kind": "human"}})
        told = await ended(house, made["id"])
        assert (told["waiting"], of(told, "up/m")["mean"]) == (4, None)
        await labelled(house, told["id"], lambda one: float(right(one["item"])))
        told = await ended(house, made["id"])
        assert (told["waiting"], of(told, "up/m")["mean"], of(told, "up/m")["judged"]) == (0, 0.5, 4)
        assert (await answers(house, told["id"]))[0]["reason"] == "ada"
        assert (await house.ask("POST", "/v1/judges", {"evaluation": told["id"]})).status == 400
