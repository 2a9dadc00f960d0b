"""Why a model did a call, from its record alone: chosen, named by the caller, recalled, refused."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kernel.call import Recall, Usage
from penstock.kernel.choice import Choice, Considered
from penstock.observability.service import CallRow
from penstock.observability.why import explain


def row(**more: Any) -> CallRow:
    kinds: dict[str, Any] = {"str": "", "int": 0, "float": 0.0, "bool": False, "list": [], "dict": {}}
    given: dict[str, Any] = {}
    for field in msgspec.structs.fields(CallRow):
        if field.required:
            given[field.name] = next(
                (value for kind, value in kinds.items() if str(field.type).removeprefix("<class '").startswith(kind)), None
            )
    known: dict[str, Any] = {
        "id": "call_1",
        "model": "task:sums",
        "provider": "cheap",
        "provider_model": "small",
        "outcome": "ok",
        "cost_micros": 5,
    }
    return CallRow(**dict[str, Any](given, **{"input_tokens": 10, "output_tokens": 2, **known, **more}))


def choice(**more: Any) -> Choice:
    candidates = (
        Considered(candidate="fast", provider="cheap", model="small", quality=0.9, bound=0.8, cost=6),
        Considered(candidate="dear/large", provider="dear", model="large", ruled_out="budget", why="too dear", cost=600),
        Considered(candidate="gone/model", ruled_out="unknown", why="no such model"),
    )
    known: dict[str, Any] = {"task": "sums", "mode": "proof", "chosen": "fast", "why": "certified", "candidates": candidates}
    return Choice(**{**known, **more})


class Prices:
    def __init__(self) -> None:
        self.asked: list[Usage] = []

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        self.asked.append(usage)
        return None if model == "small" else usage.total * 100


def test_every_candidate_is_told_with_what_it_would_have_cost() -> None:
    prices = Prices()
    found = explain(row(choice=choice(estimates={"fast": 0.75})), prices)  # type: ignore[arg-type]
    assert (found.why, found.mode, found.chosen, found.served, found.cost) == ("certified", "proof", "fast", "cheap/small", 5)
    assert [(one.candidate, one.served, one.ruled_out, one.estimate, one.would_have_cost) for one in found.candidates] == [
        ("fast", True, None, 0.75, None),
        ("dear/large", False, "budget", None, 1200),
        ("gone/model", False, "unknown", None, None),
    ]
    assert prices.asked[0] == Usage(input=10, output=2)


def test_a_cascade_s_price_elsewhere_is_that_of_the_answer_which_was_given() -> None:
    prices = Prices()
    found = explain(row(choice=choice(mode="cascade", escalated=True, gain=0.4, answered=(7, 1, 2))), prices)  # type: ignore[arg-type]
    assert (found.escalated, found.gain) == (True, 0.4)
    assert prices.asked[0] == Usage(input=7, output=1, cached=2)


def test_what_nobody_knows_is_null() -> None:
    found = explain(row(choice=choice(), input_tokens=None), Prices())  # type: ignore[arg-type]
    assert [one.would_have_cost for one in found.candidates] == [None] * 3
    assert [one.would_have_cost for one in explain(row(choice=choice()), None).candidates] == [None] * 3


def test_where_nobody_chose_it_says_who_did() -> None:
    named = explain(row(choice=None, model="cheap/small", task=None), None)
    assert (named.mode, named.candidates) == (None, [])
    assert "the caller asked for cheap/small" in named.why
    refused = explain(row(choice=None, provider=None, outcome="refused", error_code="invalid_api_key", error_message="no key"), None)
    assert (refused.why, refused.served) == ("refused before a model was chosen: no key", None)
    recall = Recall(kind="exact", call="call_0", provider="cheap", model="small", age=1, usage=Usage())
    assert "the cache, where call_0 left it" in explain(row(choice=None, recalled=recall), None).why
