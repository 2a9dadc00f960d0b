"""Answers from memory: when, what they look like, what is kept and what is not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cache.serving import RULE, ask, caching_house, chat

pytestmark = pytest.mark.timeout(60)


def streamed(text: str) -> str:
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def test_an_equal_request_is_answered_from_memory_and_costs_nothing(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        first = await ask(house, chat("hello"))
        again = await ask(house, {"messages": [{"content": "hello", "role": "user"}], "user": "someone", "model": "m"})
        assert (first.headers["x-penstock-cache"], again.headers["x-penstock-cache"]) == ("miss", "hit")
        assert again.text == first.text
        assert len(provider.asked) == 1
        assert again.headers["x-penstock-cache-call"] == first.headers["x-request-id"]
        assert int(again.headers["x-penstock-cache-age"]) >= 0
        assert (first.headers["x-penstock-cost-micros"], again.headers["x-penstock-cost-micros"]) == ("200", "0")
        record = (await house.ask("GET", f"/v1/calls/{again.headers['x-request-id']}")).json
        assert (record["provider"], record["provider_model"], record["input_tokens"], record["cost_micros"]) == ("cache", "m", 0, 0)
        recalled = record["recalled"]
        assert (recalled["kind"], recalled["call"], recalled["provider"], recalled["saved"]) == (
            "exact", first.headers["x-request-id"], "up", 200,
        )  # fmt: skip
        ledger = (await house.ask("GET", "/v1/ledger")).json
        assert [row["id"] for row in ledger["data"]] == [first.headers["x-request-id"]]
        found = (await house.ask("GET", "/v1/cache")).json["total"]
        assert (found["lookups"], found["exact"], found["saved"], found["saved_input"], found["saved_output"]) == (2, 1, 200, 100, 50)
        page = await house.ask("GET", f"/v1/calls/{again.headers['x-request-id']}")
        assert page.status == 200
        metrics = (await house.ask("GET", "/metrics")).text
        assert 'penstock_cache_hits_total{kind="exact"} 1.0' in metrics


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("usage", [False, True])
async def test_streams_and_whole_replies_serve_each_other(tmp_path: Path, first: bool, usage: bool) -> None:
    async with caching_house(tmp_path) as (house, provider):
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if usage else {}
        await ask(house, chat("one two", stream=first))
        whole = await ask(house, chat("one two"))
        assert whole.headers["content-type"] == "application/json"
        assert whole.json["choices"][0]["message"]["content"] == ("yousaidonetwo" if first else "you said one two")
        assert whole.json["usage"]["completion_tokens"] == 50
        stream = await ask(house, chat("one two", stream=True, **options))
        assert stream.headers["content-type"] == "text/event-stream"
        assert streamed(stream.text) == ("yousaidonetwo" if first else "you said one two")
        assert ('"completion_tokens":50' in stream.text.replace(" ", "")) is usage
        assert stream.text.rstrip().split("\n\n")[-2:][0] == "data: [DONE]"
        assert {whole.headers["x-penstock-cache"], stream.headers["x-penstock-cache"]} == {"hit"}
        assert len(provider.asked) == 1


async def test_what_changes_the_answer_is_another_request(tmp_path: Path) -> None:
    others = [
        chat("hello", temperature=0.5), chat("hello", max_tokens=5), chat("hello "), {**chat("hello"), "model": "n"},
        chat("hello", tools=[{"type": "function", "function": {"name": "f"}}]), chat("hello", seed=1), chat("hello", logprobs=True),
        {**chat("hello"), "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]},
    ]  # fmt: skip
    async with caching_house(tmp_path) as (house, provider):
        await ask(house, chat("hello"))
        for other in others:
            assert (await ask(house, other)).headers["x-penstock-cache"] == "miss", other
        assert (await ask(house, chat("hello"), x_penstock_task="another")).headers["x-penstock-cache"] == "miss"
        assert len(provider.asked) == len(others) + 2


async def test_callers_turn_it_off_on_and_over(tmp_path: Path) -> None:
    async with caching_house(tmp_path, rules="") as (house, provider):
        assert "x-penstock-cache" not in (await ask(house, chat("a"))).headers
        assert (await ask(house, chat("a"), x_penstock_cache="on")).headers["x-penstock-cache"] == "miss"
        assert "x-penstock-cache" not in (await ask(house, chat("a"))).headers
        assert (await ask(house, chat("a"), x_penstock_cache="on")).headers["x-penstock-cache"] == "hit"
        assert (await ask(house, chat("a"), x_penstock_cache="off")).headers["x-penstock-cache"] == "off"
        assert len(provider.asked) == 4
        provider.answer = lambda said: "another"
        assert (await ask(house, chat("a"), x_penstock_cache="refresh")).headers["x-penstock-cache"] == "miss"
        assert "another" in (await ask(house, chat("a"), x_penstock_cache="on")).text
        wrong = await house.ask("POST", "/v1/chat/completions", chat("a"), x_penstock_cache="perhaps")
        assert (wrong.status, wrong.json["error"]["param"]) == (400, "x-penstock-cache")


async def test_rules_say_for_whom(tmp_path: Path) -> None:
    rules = '[[cache.rules]]\nmodels = ["n"]\nexact = false\n[[cache.rules]]\ntasks = ["faq.*"]\n'
    async with caching_house(tmp_path, rules) as (house, _):
        for _ in range(2):
            on = await ask(house, chat("a"), x_penstock_task="faq.hours")
            other = await ask(house, chat("a"), x_penstock_task="essay")
            kept_away = await ask(house, {**chat("a"), "model": "n"}, x_penstock_task="faq.hours", x_penstock_cache="on")
        assert on.headers["x-penstock-cache"] == "hit"
        assert "x-penstock-cache" not in other.headers
        assert kept_away.headers["x-penstock-cache"] == "off"


async def test_what_is_not_worth_keeping_is_not_kept(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        provider.finish = "content_filter"
        await ask(house, chat("filtered"))
        provider.finish = "stop"
        assert (await ask(house, chat("filtered"))).headers["x-penstock-cache"] == "miss"
        provider.cut = True
        await house.ask("POST", "/v1/chat/completions", chat("cut", stream=True))
        provider.cut = False
        assert (await ask(house, chat("cut", stream=True))).headers["x-penstock-cache"] == "miss"
        assert (await ask(house, chat("a", store=True))).headers["x-penstock-cache"] == "off"
        assert "penstock_cache_unkept_total 1.0" in (await house.ask("GET", "/metrics")).text


async def test_a_key_that_may_not_use_a_model_is_refused_whatever_is_kept(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, _):
        await ask(house, chat("a"))
        key, _ = await house.key(name="narrow", scopes=["call"], models=["n"])
        answer = await house.ask("POST", "/v1/chat/completions", chat("a"), key=key)
        assert (answer.status, answer.json["error"]["code"]) == (403, "permission_denied")


async def test_replies_outlive_the_process_and_end_in_time(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, _):
        await ask(house, chat("kept", stream=True))
        admin = house.admin
    async with caching_house(tmp_path, admin=admin) as (house, provider):
        await loaded(house)
        assert (await ask(house, chat("kept"))).headers["x-penstock-cache"] == "hit"
        assert provider.asked == []
    async with caching_house(tmp_path, "[[cache.rules]]\nttl_seconds = 0.000001\n", admin=admin) as (house, provider):
        await ask(house, chat("brief"))
        assert (await ask(house, chat("brief"))).headers["x-penstock-cache"] == "miss"


async def loaded(house: Any) -> None:
    (life,) = house.app.offers["cache"].services
    await life._shelf.loaded.wait()


async def test_one_of_many_equal_requests_asks_and_the_others_wait(tmp_path: Path) -> None:
    async with caching_house(tmp_path, RULE + "single_flight = true\n") as (house, provider):
        provider.hold = asyncio.Event()
        asking = [asyncio.create_task(ask(house, chat("slow"))) for _ in range(5)]
        await provider.begun.wait()
        await in_flight(house, 5)
        provider.hold.set()
        told = sorted([(await one).headers["x-penstock-cache"] for one in asking])
        assert told == ["hit"] * 4 + ["miss"]
        assert len(provider.asked) == 1


async def in_flight(house: Any, count: int) -> None:
    while True:
        text = (await house.ask("GET", "/metrics")).text
        if f"penstock_calls_in_flight {count}.0" in text:
            return


async def test_when_the_one_that_asked_leaves_another_asks(tmp_path: Path) -> None:
    async with caching_house(tmp_path, RULE + "single_flight = true\n") as (house, provider):
        provider.hold = asyncio.Event()
        first = asyncio.create_task(ask(house, chat("slow")))
        await provider.begun.wait()
        second = asyncio.create_task(ask(house, chat("slow")))
        await in_flight(house, 2)
        first.cancel()
        await in_flight(house, 1)
        provider.hold.set()
        assert (await second).headers["x-penstock-cache"] == "miss"


async def test_a_model_that_no_longer_serves_the_name_is_not_heard_again(tmp_path: Path) -> None:
    leads = '[gateway.models.chat]\ntargets = ["up/{}"]\n'
    async with caching_house(tmp_path, more=leads.format("m")) as (house, _):
        await ask(house, {**chat("a"), "model": "chat"})
        admin = house.admin
    async with caching_house(tmp_path, more=leads.format("n"), admin=admin) as (house, _):
        await loaded(house)
        assert (await ask(house, {**chat("a"), "model": "chat"})).headers["x-penstock-cache"] == "miss"


async def test_organisations_are_apart(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        them, _ = await house.outsider()
        await ask(house, chat("ours"))
        assert (await ask(house, chat("ours"), key=them)).headers["x-penstock-cache"] == "miss"
        assert len(provider.asked) == 2
        mine = (await house.ask("GET", "/v1/cache", key=them)).json
        assert (mine["total"]["lookups"], sum(one["entries"] for one in mine["held"])) == (1, 1)
        assert (await house.ask("POST", "/v1/cache/clear", {}, key=them)).json == {"entries": 1}
        assert (await ask(house, chat("ours"))).headers["x-penstock-cache"] == "hit"


@pytest.mark.parametrize(("apart", "told"), [("organisation", "hit"), ("key", "miss")])
async def test_who_shares_is_a_setting(tmp_path: Path, apart: str, told: str) -> None:
    async with caching_house(tmp_path, f'apart = "{apart}"\n{RULE}') as (house, _):
        key, _ = await house.key(name="another", scopes=["call"])
        await ask(house, chat("a"))
        assert (await ask(house, chat("a"), key=key)).headers["x-penstock-cache"] == told


async def test_embeddings_are_kept_too(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        for told in ("miss", "hit"):
            answer = await house.ask("POST", "/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "float"})
            assert (answer.status, answer.headers["x-penstock-cache"]) == (200, told)
            assert answer.json["data"][0]["embedding"] == [0.5, 1.0]
        assert len(provider.asked) == 1


async def test_other_shapes_are_answered_in_their_own(tmp_path: Path) -> None:
    async with caching_house(tmp_path) as (house, provider):
        body = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "bonjour"}]}
        whole = await house.ask("POST", "/v1/messages", body)
        stream = await house.ask("POST", "/v1/messages", {**body, "stream": True})
        assert whole.json["content"][0]["text"] == "you said bonjour"
        assert "event: message_stop" in stream.text
        assert (whole.headers["x-penstock-cache"], stream.headers["x-penstock-cache"]) == ("miss", "hit")
        asked = {"model": "m", "input": "salut"}
        for told in ("miss", "hit"):
            answer = await house.ask("POST", "/v1/responses", asked)
            assert (answer.status, answer.headers["x-penstock-cache"]) == (200, told)
        stateful = await house.ask("POST", "/v1/responses", {**asked, "previous_response_id": "resp_1"})
        assert stateful.headers.get("x-penstock-cache", "off") == "off"
        assert len(provider.asked) == 2
