"""Answers of live traffic: drawn, cleaned, judged in the background, counted; and never in the way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.house import House
from tests.quality.house import Known, dataset, evaluation, give, item, quality_house, until

from penstock.kernel.call import Call, Cost, Target, Trace
from penstock.kernel.candidates import Traits
from penstock.kernel.events import CallEnded, Events
from penstock.kernel.evidence import Evidence, Judged, Outcome, Sample
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Judge, Task
from penstock.quality.sampling import Sampling, context_of, tools_of
from penstock.quality.settings import QualitySettings

pytestmark = pytest.mark.timeout(90)

LIKE = Judge(kind="regex", pattern="good")


def task(organisation: str, **more: Any) -> Task:
    return Task(
        **{
            "organisation": organisation,
            "name": "live",
            "owner": "ada",
            "default": "up/m",
            "candidates": ("up/s",),
            "judge": LIKE,
            "sample": 1.0,
        }
        | more
    )


async def home(house: House) -> str:
    return (await house.ask("GET", "/v1/keys")).json["data"][0]["organisation"]


async def say(house: House, text: str, *, stream: bool = False, **more: Any) -> str:
    """A call for the task; its id."""
    body = {
        "model": "up/m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}],
        "stream": stream,
        **more,
    }
    answer = await house.ask("POST", "/v1/chat/completions", body, x_penstock_task="live")
    assert answer.status == 200, answer.text
    return answer.headers["x-request-id"]


async def samples(house: House, query: str = "") -> list[dict[str, Any]]:
    answer = await house.ask("GET", f"/v1/samples?task=live{query}")
    assert answer.status == 200, answer.text
    return answer.json["data"]


async def test_calls_are_drawn_judged_and_told(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        provider.say = lambda model, messages: "a good answer" if "nice" in messages[-1]["content"] else f"a bad one, sk-{'x' * 24}"
        tasks, heard = Known(), list[Judged]()
        give(house, tasks)
        house.app.ports.get(Events).subscribe(Judged, heard.append)
        organisation = await home(house)
        tasks.put(task(organisation, sample=0.0))
        await say(house, "not drawn")
        tasks.put(task(organisation))
        nice, bad = await say(house, "nice"), await say(house, "other", metadata={"product": "car"})
        await house.ask("POST", "/v1/chat/completions", {"model": "up/m", "messages": [{"role": "user", "content": "no task"}]})
        await until(lambda: len(heard) == 2)
        found = {one["id"]: one for one in await samples(house)}
        assert set(found) == {nice, bad}
        assert (found[nice]["score"], found[bad]["score"]) == (1.0, 0.0)
        assert found[nice]["prompt"] == "nice"
        assert "Be kind." in found[nice]["context"]
        assert found[bad]["answer"] == "a bad one, [redacted: api-key]"
        assert (found[nice]["candidate"], found[nice]["propensity"], found[nice]["cost"]) == ("up/m", 1.0, 13)
        known = await house.app.ports.get(Evidence).outcomes(organisation, "live")
        assert {(one.item, one.score, one.source, one.reply[:6]) for one in known} == {
            (nice, 1.0, "live", "a good"),
            (bad, 0.0, "live", "a bad "),
        }
        assert {(one.answered_by, one.version) for one in known} == {("up/m", "")}
        assert {one.outcome.item: one.outcome for one in heard} == {one.item: one for one in known}

        # A person's word goes before the judge's.
        told = await house.made("/v1/feedback", {"call": bad, "score": 1, "by": "ada", "comment": "fine by me"})
        assert (told["task"], told["candidate"]) == ("live", "up/m")
        (now,) = [one for one in await samples(house) if one["id"] == bad]
        assert (now["score"], now["judge"], now["reason"]) == (1.0, "human", "ada: fine by me")
        assert (now["model_score"], now["model_judge"]) == (0.0, "regex"), "what the judge said stays beside it"
        assert [one.outcome.judge for one in heard[2:]] == ["human"]
        assert [one["call"] for one in (await house.ask("GET", "/v1/feedback?task=live")).json["data"]] == [bad]
        metrics = (await house.ask("GET", "/metrics")).text
        assert 'penstock_samples_total{what="taken"} 2.0' in metrics
        assert 'penstock_samples_settled_total{state="judged"} 2.0' in metrics


async def test_a_callers_labels_are_no_way_around_the_drawing(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        tasks = Known()
        give(house, tasks)
        organisation = await home(house)
        tasks.put(task(organisation))
        body = {"model": "up/m", "messages": [{"role": "user", "content": "good"}]}
        claims = {"x_penstock_task": "live", "x_penstock_labels": "evaluation=eval_1,judge=exact,item=1"}
        told = await house.ask("POST", "/v1/chat/completions", body, **claims)
        assert [one["id"] for one in await samples(house)] == [told.headers["x-request-id"]]

        # Our own are not drawn, whatever they are labelled.
        made = await dataset(house, [item("good")])
        assert (await evaluation(house, dataset=made["id"], task="live"))["status"] == "done"
        assert provider.seen["m"] + provider.seen["s"] == 3
        assert len(await samples(house)) == 1


async def test_a_line_of_a_batch_is_drawn_whatever_it_claims_and_our_own_calls_are_not() -> None:
    tasks = Known()
    tasks.put(task("org"))
    sampling = line(tasks)
    of_batch, ours = ended("live"), ended("live")
    of_batch.call.step = ours.call.step = ("run_1", 1)
    of_batch.call.labels = ours.call.labels = {"evaluation": "eval_1", "judge": "exact"}
    ours.call.inside = "evaluation"
    sampling.heard(ours)
    assert sampling.waiting == 0
    sampling.heard(of_batch)
    assert sampling.waiting == 1


async def test_what_has_no_target_waits_for_people_and_outcomes(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, _):
        tasks = Known()
        give(house, tasks)
        organisation = await home(house)
        tasks.put(task(organisation, judge=Judge(kind="outcome", outcome="sale")))
        call = await say(house, "Buy it")
        (waiting,) = await samples(house, "&state=waiting")
        assert waiting["id"] == call
        evidence = house.app.ports.get(Evidence)
        await house.made("/v1/feedback", {"call": call, "kind": "outcome", "name": "return", "score": 0})
        await house.made("/v1/feedback", {"call": call, "score": 0})
        assert await evidence.outcomes(organisation, "live") == []
        await house.made("/v1/feedback", {"call": call, "kind": "outcome", "name": "sale", "score": 1})
        assert [(one.score, one.judge) for one in await evidence.outcomes(organisation, "live")] == [(1.0, "outcome")]

        tasks.put(task(organisation, sample=0.0))
        other = await say(house, "Not drawn")
        await house.made("/v1/feedback", {"call": other, "score": 0})
        assert len(await evidence.outcomes(organisation, "live")) == 0  # its judge is another now, and who complains was not drawn
        them, _ = await house.outsider()
        for wrong in ({"call": call}, {"call": other}, {"call": "call_none"}):
            assert (await house.ask("POST", "/v1/feedback", {**wrong, "score": 1}, key=them)).status == 404
        for wrong in ({}, {"call": call, "evaluation": "x"}, {"call": call, "kind": "outcome"}, {"evaluation": "x"}):
            assert (await house.ask("POST", "/v1/feedback", {**wrong, "score": 1})).status == 400
        assert (await house.ask("GET", "/v1/samples", key=them)).json["data"] == []
        assert (await house.ask("GET", "/v1/feedback", key=them)).json["data"] == []


async def test_who_forbids_payloads_is_not_sampled(tmp_path: Path) -> None:
    async with quality_house(tmp_path, '[observability]\npayloads = "none"\n') as (house, _):
        tasks = Known()
        give(house, tasks)
        organisation = await home(house)
        tasks.put(task(organisation))
        await say(house, "secret")
        assert await samples(house) == []
        sample = Sample(
            **{
                "organisation": organisation,
                "task": "live",
                "item": "c",
                "call": "c",
                "candidate": "up/s",
                "source": "shadow",
                "propensity": 1.0,
            },
            **{"shape": "openai.chat", "request": b"{}", "reply": b"{}", "at": 1.0},
        )
        assert house.app.ports.get(Evidence).submit(sample)
        assert await samples(house) == []
        assert 'penstock_samples_total{what="not_kept"} 2.0' in (await house.ask("GET", "/metrics")).text


def ended(task: str | None) -> CallEnded:
    call = Call(
        operation="chat", shape="openai.chat", credential=None, deadline=0, trace=Trace.begin(), body=b'{"x": "' + b"x" * 2000 + b'"}'
    )
    call.task, call.outcome, call.target = task, "ok", Target("up", "m", "up/m")
    call.principal = Principal(key_id="k", name="k", organisation="org")
    call.reply_text, call.cost = [b"y" * 2000], Cost(amount=1)
    return CallEnded(call=call)


def line(tasks: Known, most: int = 1000) -> Sampling:
    async def nobody(_: set[str]) -> None:
        return None

    return Sampling(None, QualitySettings(sample_queue=most), lambda: tasks, lambda: None, lambda: None, nobody)  # type: ignore[arg-type]


async def test_the_version_is_the_one_that_stands_behind_the_model_when_it_has_answered() -> None:
    class Registered:
        version = "version_1"

        def traits(self, target: Target, organisation: str) -> Traits:
            return Traits(
                place="vendor", version=self.version if (target.provider, target.model, organisation) == ("up", "m", "org") else ""
            )

    tasks, registered = Known(), Registered()
    tasks.put(task("org"))
    sampling = line(tasks)
    sampling._candidates = lambda: registered  # type: ignore[assignment,return-value]
    sampling.heard(ended("live"))
    registered.version = "version_2"
    sampling.heard(ended("live"))
    assert [(one.answered_by, version) for one, version in sampling._queue] == [("up/m", "version_1"), ("up/m", "version_2")]


async def test_a_full_queue_drops_and_counts() -> None:
    tasks = Known()
    tasks.put(task("org"))
    sampling = line(tasks, 3)
    for _ in range(5):
        sampling.heard(ended("live"))
    assert (sampling.waiting, sampling.counts["queue_full"]) == (3, 2)


async def test_the_line_does_not_notice() -> None:
    tasks = Known()
    tasks.put(task("org"))
    taken, passed = line(tasks, 100_000), line(tasks)
    events = [ended("live") for _ in range(2000)], [ended("other") for _ in range(2000)]
    costs: list[float] = []
    for sampling, several in zip((taken, passed), events, strict=True):
        best = 1.0
        for start in range(0, 2000, 200):
            began = time.perf_counter()
            for event in several[start : start + 200]:
                sampling.heard(event)
            best = min(best, (time.perf_counter() - began) / 200)
        costs.append(best * 1e6)
    assert taken.waiting == 2000
    assert costs[0] < 100, costs  # microseconds; about 5 and 0.5 on an idle core
    assert costs[1] < 20, costs
    print(costs)


@pytest.mark.parametrize("rest", [b"", b"[]", b"{", b'{"messages": 3}', b'{"messages": [{"parts": [{"text": ""}]}]}'])
def test_a_context_that_cannot_be_read_is_none(rest: bytes) -> None:
    assert context_of(rest) == ""


def test_an_outcome_has_no_judge_but_the_named() -> None:
    assert Outcome(item="a", candidate="b", score=1, judge="human", source="live", prompt="", reply="", at=0).propensity == 1.0


@pytest.mark.parametrize(
    ("tools", "wanted"),
    [
        (b'[{"type": "function", "function": {"name": "find"}}, {"type": "function", "function": {"name": "add"}}]', "add, find"),
        (b'[{"name": "find", "input_schema": {"properties": {"name": {"type": "string"}}}}]', "find"),
        (b'[{"functionDeclarations": [{"name": "b"}, {"name": "a"}]}]', "a, b"),
        (b"[]", ""),
        (b"null", ""),
        (None, ""),
    ],
)
def test_tools_of_any_shape(tools: bytes | None, wanted: str) -> None:
    assert tools_of(msgspec.Raw(tools) if tools is not None else None) == wanted
