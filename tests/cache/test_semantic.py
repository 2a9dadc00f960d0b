"""The same question in other words, through a whole house with the real embedding model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cache.serving import Provider, ask, caching_house, chat
from tests.house import House

from penstock.gateway.providers.minilm import installed

pytestmark = [pytest.mark.timeout(90), pytest.mark.skipif(not installed(), reason="the embedding model is not installed")]

RULES = 'audit = 0.0\n[[cache.rules]]\ntasks = ["*"]\nsemantic = true\n'
TASK = {"x_penstock_task": "support.intent"}
ASKED = "How do I get a new PIN for my card?"
REWORDED = "How can I get a new PIN for my card?"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[tuple[House, Provider]]:
    async with caching_house(tmp_path, RULES) as (house, provider):
        yield house, provider


async def settled(house: House) -> None:
    (life,) = house.app.offers["cache"].services
    await life._semantic.settle()  # type: ignore[attr-defined]


def judged(start: int, count: int) -> list[dict[str, Any]]:
    numbers = range(start, start + count)
    return [{"a": f"How do I get PIN {n} for my card?", "b": f"How can I get PIN {n} for my card?", "same": True} for n in numbers]


async def calibrated(house: House, key: str | None = None) -> Any:
    for start in (0, 10, 10):  # the last ones twice: they count once
        body = {"task": "support.intent", "source": "judged", "pairs": judged(start, 20), "replace": not start}
        counted = await house.made("/v1/cache/pairs", body, key=key)
    assert counted == {"task": "support.intent", "source": "judged", "pairs": 30}
    asked = {"task": "support.intent", "source": "judged", "bound": 0.15, "confidence": 0.95}
    return await house.made("/v1/cache/calibrations", asked, key=key)


async def test_nothing_is_answered_before_a_calibration_and_everything_in_bounds_after(place: tuple[House, Provider]) -> None:
    house, provider = place
    provider.answer = lambda said: "new_pin"
    first = await ask(house, chat(ASKED), **TASK)
    await settled(house)
    assert (await ask(house, chat(REWORDED), **TASK)).headers["x-penstock-cache"] == "miss"
    await settled(house)
    (pairs,) = (await house.ask("GET", "/v1/cache/pairs")).json["data"]
    assert pairs == {"task": "support.intent", "source": "traffic", "pairs": 1}
    few = await house.made("/v1/cache/calibrations", {"task": "support.intent"})
    assert (few["threshold"], few["holds"]) == (None, False)
    assert "without a fault" in few["why_not"]
    made = await calibrated(house)
    assert (made["holds"], made["evidence"]["false"], made["evidence"]["pairs"]) == (True, 0, 30)
    assert made["evidence"]["upper"] <= 0.15
    hit = await ask(house, chat("How can I get a new PIN for the card?"), **TASK)
    assert hit.headers["x-penstock-cache"] == "semantic"
    assert float(hit.headers["x-penstock-cache-similarity"]) > 0.9
    assert hit.json["choices"][0]["message"]["content"] == "new_pin"
    assert hit.headers["x-penstock-cost-micros"] == "0"
    record = (await house.ask("GET", f"/v1/calls/{hit.headers['x-request-id']}")).json["recalled"]
    assert (record["kind"], record["saved"]) == ("semantic", 200)
    stream = await ask(house, chat("How can I get my new PIN for the card?", stream=True), **TASK)
    assert stream.headers["x-penstock-cache"] in ("semantic", "miss")
    others = [
        chat("How can I not get a new PIN for my card?"),
        chat("How can I get 2 new PINs for my card?"),
        chat("What is the exchange rate?"),
        chat("How could I get a new PIN for my card?", temperature=0.3),
        {
            **chat(""),
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How could I get a new PIN for my card?"}],
        },
        {**chat("How could I get a new PIN for my card?"), "model": "n"},
    ]
    for other in others:
        assert (await ask(house, other, **TASK)).headers["x-penstock-cache"] == "miss", other
    assert (await ask(house, chat("How could I get a new PIN for my card?"), x_penstock_task="other")).headers["x-penstock-cache"] == "miss"
    assert (await ask(house, chat("How could I get a new PIN for my card?"))).headers.get("x-penstock-cache", "off") != "semantic"
    assert hit.headers["x-penstock-cache-call"] in (
        first.headers["x-request-id"],
        *[c["id"] for c in (await house.ask("GET", "/v1/calls")).json["data"]],
    )


async def test_another_organisation_has_its_own_questions_and_calibrations(place: tuple[House, Provider]) -> None:
    house, _ = place
    them, _ = await house.outsider()
    await ask(house, chat(ASKED), **TASK)
    await settled(house)
    await calibrated(house)
    assert (await house.ask("GET", "/v1/cache/calibrations", key=them)).json == {"data": []}
    assert (await house.ask("GET", "/v1/cache/pairs", key=them)).json == {"data": []}
    assert (await ask(house, chat(REWORDED), key=them, **TASK)).headers["x-penstock-cache"] == "miss"
    await calibrated(house, key=them)
    await house.ask("POST", "/v1/cache/clear", {}, key=them)
    assert (await ask(house, chat(REWORDED), key=them, **TASK)).headers["x-penstock-cache"] == "miss"
    assert (await ask(house, chat(REWORDED), **TASK)).headers["x-penstock-cache"] == "semantic"


async def test_a_calibration_by_another_model_does_not_hold(place: tuple[House, Provider]) -> None:
    house, _ = place
    await calibrated(house)
    from penstock.cache.tables import CALIBRATIONS

    await house.app.store.write(lambda c: c.execute(CALIBRATIONS.update().values(embedder="another")))
    (view,) = (await house.ask("GET", "/v1/cache/calibrations")).json["data"]
    assert (view["holds"], view["why_not"]) == (False, "it was made with another embedding model")


async def test_replies_that_call_tools_are_not_compared(place: tuple[House, Provider]) -> None:
    house, provider = place
    provider.finish = "tool_calls"
    await ask(house, chat(ASKED), **TASK)
    await settled(house)
    await ask(house, chat(REWORDED), **TASK)
    await settled(house)
    assert (await house.ask("GET", "/v1/cache/pairs")).json == {"data": []}
    assert (await ask(house, chat(ASKED), **TASK)).headers["x-penstock-cache"] == "hit"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("pairs", {"task": "t", "source": "traffic", "pairs": []}, "source"),
        ("pairs", {"task": "", "source": "s", "pairs": []}, "task"),
        ("pairs", {"task": "t", "source": "s", "pairs": [{"a": "x", "b": ""}]}, "pairs"),
        ("calibrations", {"task": "t", "bound": 0}, "bound"),
        ("calibrations", {"task": "t", "confidence": 1.5}, "confidence"),
        ("clear", {"tasks": ["t"]}, None),
    ],
)
async def test_bad_input_is_refused_by_name(place: tuple[House, Provider], path: str, body: Any, param: str | None) -> None:
    house, _ = place
    answer = await house.ask("POST", f"/v1/cache/{path}", body)
    assert answer.status == 400, answer.text
    assert param is None or param in json.dumps(answer.json["error"])
    key, _ = await house.key(name="reads", scopes=["read", "call"])
    assert (await house.ask("POST", f"/v1/cache/{path}", body, key=key)).status == 403


async def test_audits_ask_all_the_same(tmp_path: Path) -> None:
    async with caching_house(tmp_path, RULES.replace("0.0", "1.0")) as (house, _):
        await ask(house, chat(ASKED), **TASK)
        await settled(house)
        await calibrated(house)
        assert (await ask(house, chat(REWORDED), **TASK)).headers["x-penstock-cache"] == "miss"
        await settled(house)
        assert 'penstock_cache_questions_total{what="audited"} 1.0' in (await house.ask("GET", "/metrics")).text
