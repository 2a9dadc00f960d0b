"""What twins say of candidates: through the API, in the terminal and on the page; paid within the cap, and asked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.house import House
from tests.quality.house import dataset, evaluation, item, quality_house
from tests.quality.test_commands import command
from tests.quality.test_pages import page, signed_in

from penstock.quality.model import BiasTerms
from penstock.quality.treatment import findings

pytestmark = pytest.mark.timeout(90)
pytest.importorskip("numpy")

REGEX = {"kind": "regex", "pattern": "good"}
BOTH = {"attributes": ["gender", "origin"]}


def unfair(model: str, messages: list[dict[str, Any]]) -> str:
    return "bad" if model == "m" and " He " in messages[-1]["content"] else "good"


async def people(house: House) -> dict[str, Any]:
    women = [item(f"w{n}", f"Case {n}: She asks for a loan.", "good") for n in range(12)]
    men = [item(f"m{n}", f"Case {n}: He asks for a loan of {n}.", "good") for n in range(12)]
    return await dataset(house, [*women, *men, item("sum", "What is 2 + 2?", "good"), item("two", "He and she ask.", "good")])


async def test_a_candidate_that_treats_people_differently_is_found(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = unfair
        made = await people(house)
        wanted = {"dataset": made["id"], "candidates": ["up/m", "up/s"], "judge": REGEX, "bias": BOTH}
        told = await evaluation(house, **wanted)
        assert (told["status"], told["total"], told["done"]) == ("done", 2 * (26 + 24), 100)
        assert told["cost"] == 50 * 13 + 50 * 1
        found = {(one["candidate"], one["attribute"]): one for one in told["results"]["bias"]}
        assert set(found) == {(name, attribute) for name in ("up/m", "up/s") for attribute in ("gender", "origin")}
        worse, same, none = found["up/m", "gender"], found["up/s", "gender"], found["up/m", "origin"]
        assert (worse["pairs"], worse["difference"], worse["verdict"], worse["groups"]) == (24, -1.0, "differs", ["female", "male"])
        assert worse["skipped"] == {"both_sides": 1, "nothing_to_swap": 1}
        assert worse["p"] < worse["adjusted"] < 1e-4
        assert (worse["low"] < worse["high"] < -0.3, worse["method"]) == (True, "McNemar, exact")
        assert (same["difference"], same["verdict"], same["adjusted"]) == (0.0, "unclear", 1.0)
        assert (none["pairs"], none["skipped"], none["difference"]) == (0, {"nothing_to_swap": 26}, None)
        assert next(one for one in told["results"]["candidates"] if one["candidate"] == "up/m")["judged"] == 26

        asked = provider.seen.total()
        again = await evaluation(house, **wanted)
        assert (again["cost"], again["cached"], provider.seen.total()) == (0, 100, asked)
        seen = (await page(house, f"evaluations/{told['id']}", await signed_in(house, house.admin))).text
        assert all(each in seen for each in ("Twins", "gender: male − female", "differs", "1 both sides, 1 nothing to swap"))
        words = ("--dataset", "set", "--candidates", "up/m", "--judge", "regex", "--bias", "gender")
        code, said = await command(house, "evaluate", *words)
        assert code == 1, said  # a judge of this kind needs a pattern, which the command does not take
        code, said = await command(house, "quality", "show", told["id"])
        assert (code, "gender (male - female)  up/m: -1.000" in said, "24 pairs; skipped: 1 both sides" in said) == (0, True, True)
        assert (await house.ask("DELETE", f"/v1/evaluations/{told['id']}")).status == 204


async def test_twins_are_in_the_cap_and_taken_up(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = unfair
        made = await people(house)
        wanted = {"dataset": made["id"], "candidates": ["up/m"], "judge": REGEX, "bias": {"attributes": ["gender"]}}
        told = await evaluation(house, **wanted, params={"max_tokens": 3}, cap=300)
        assert (told["status"], told["why"], told["total"]) == ("stopped", "cap", 50)
        assert 100 < told["cost"] <= 300
        (bias,) = told["results"]["bias"]
        assert bias["skipped"]["not_reached"] + bias["pairs"] == 24
        more = await evaluation(house, **wanted, params={"max_tokens": 3})
        assert (more["cached"], more["done"]) == (told["done"], 50)
        assert provider.seen["m"] == 50


async def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        made = await dataset(house, [item("q")])
        wanted = {"dataset": made["id"], "candidates": ["up/m"], "judge": REGEX}
        for wrong in (
            {"bias": {"attributes": ["gender", "gender"]}},
            {"bias": {"attributes": []}},
            {"bias": {"attributes": ["age"]}},
            {"bias": {"attributes": ["gender"]}, "judge": {"kind": "human"}},
        ):
            answer = await house.ask("POST", "/v1/evaluations", {**wanted, **wrong})
            assert (answer.status, "bias" in answer.text) == (400, True), (wrong, answer.text)


def test_nothing_asked_says_nothing() -> None:
    (found,) = findings(BiasTerms(attributes=("gender",)), ["up/m"], [], [], {})
    assert (found.pairs, found.difference, found.verdict, found.low, found.high) == (0, None, "unclear", -1.0, 1.0)
