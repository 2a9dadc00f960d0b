from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.compatibility.provider import Model
from tests.gateway.upstream import serving
from tests.observability.otlp.exports import a_span as told_span
from tests.observability.otlp.exports import request
from tests.observability.otlp.keeping import keeping_house
from tests.observability.out.receiver import receiving, said
from tests.observability.out.test_words import a_span

from penstock.observability.out.destination import destinations
from penstock.observability.out.hops import HOPS
from penstock.observability.out.outgoing import Outgoing
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings

SECRET = "sk-ant-api03-" + "a" * 90


@asynccontextmanager
async def leaving(payloads: str = "redacted", **named: dict[str, Any]) -> AsyncGenerator[Outgoing]:
    settings = msgspec.convert({"payloads": payloads, "otel": {"destinations": named}}, ObservabilitySettings)
    out = Outgoing(settings, destinations(settings, {}), Redactor())
    await out.start()
    try:
        yield out
    finally:
        await out.stop()


def metrics(out: Outgoing) -> dict[tuple[str, ...], float]:
    return {
        (metric.name.removeprefix("penstock_otel_"), *labels.values()): value
        for metric in out.metrics()
        for labels, value in metric.samples
    }


async def test_every_destination_gets_what_it_asked_for() -> None:
    async with receiving() as a, receiving() as b, receiving() as c:
        named = {
            "a": {"endpoint": a.url, "payloads": "redacted", "convention": "openinference", "tasks": ["support"]},
            "b": {"endpoint": b.url, "organisations": ["org"]},
            "c": {"endpoint": c.url, "calls": False},
        }
        async with leaving(**named) as out:
            out.ours([a_span(), a_span(task="other"), a_span(organisation="another", task="")])
        assert len(a.spans) == 1
        assert said(a.spans[0].attributes)["llm.input_messages.1.message.content"] == "Weather?"
        assert [said(span.attributes)["penstock.task"] for span in b.spans] == ["support", "other"]
        assert "gen_ai.input.messages" not in said(b.spans[0].attributes)
        assert c.got == []
        assert (metrics(out)["spans_sent", "b"], metrics(out)["up", "b"]) == (2, 1)


async def test_one_that_hangs_slows_no_other() -> None:
    async with receiving() as good, receiving() as bad:
        bad.hold = asyncio.Event()
        named = {name: {"endpoint": one.url, "timeout_seconds": 20.0} for name, one in (("good", good), ("bad", bad))}
        async with leaving(**named) as out:
            for round in range(1, 4):
                out.ours([a_span()] * 8)
                await good.until_spans(round * 8)
            assert len(bad.got) <= 1
            bad.hold.set()
    assert len(good.spans) == len(bad.spans) == 24


async def test_what_came_in_goes_on_and_not_in_circles() -> None:
    async with receiving() as on, receiving() as not_on:
        named = {"on": {"endpoint": on.url, "forward": True, "calls": False}, "not_on": {"endpoint": not_on.url}}
        async with leaving("full", **named) as out:
            assert out.wanted(lambda terms: terms.forward)
            secret = a_span(name=SECRET)
            out.forward([secret, a_span(name="twice", resource=f'{{"{HOPS}":2}}'), a_span(name="circle", resource=f'{{"{HOPS}":4}}')])
        cleaned, twice = on.spans
        assert cleaned.name.startswith("[redacted")
        assert [said(one.resource.attributes)[HOPS] for one in on.got[0].export.resource_spans] == [1, 3]
        assert twice.name == "twice"
        assert (secret.name, secret.resource) == (SECRET, ""), "what is stored is not changed"
        assert not_on.got == []


MORE = """[observability.otel]
endpoint = "{url}"
payloads = "redacted"
forward = true
[gateway.providers.x]
profile = "openai-compatible"
base_url = "{upstream}"
models = ["m"]
[finops.prices."x/m"]
input = 1.0
output = 2.0
"""


async def test_in_a_whole_house(tmp_path: Path) -> None:
    async with receiving() as receiver, serving(Model().serve) as upstream:
        async with keeping_house(tmp_path, MORE.format(url=receiver.url, upstream=upstream.url)) as (house, _):
            body = {"model": "m", "messages": [{"role": "user", "content": "Good day?"}]}
            parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            answer = await house.ask("POST", "/v1/chat/completions", body, traceparent=parent)
            assert answer.status == 200, answer.text
            await receiver.until_spans(1)
            exported = request(told_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "theirs"}, name="from outside"))
            sent = await house.ask("POST", "/v1/traces", exported.SerializeToString(), content_type="application/x-protobuf")
            assert sent.status == 200, sent.text
            await receiver.until_spans(2)
            page = await house.ask("GET", "/metrics")
        ours, theirs = receiver.spans
    assert (ours.trace_id.hex(), ours.parent_span_id.hex()) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert house.admin.encode() not in b"".join(one.body for one in receiver.got)
    attributes = said(ours.attributes)
    assert attributes["gen_ai.usage.cost"] > 0
    assert "Good day?" in attributes["gen_ai.input.messages"]
    assert attributes["gen_ai.output.messages"]
    assert (theirs.name, said(theirs.attributes)["gen_ai.request.model"]) == ("from outside", "theirs")
    assert 'penstock_otel_up{destination="default"} 1.0' in page.text


async def test_one_penstock_sends_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says of a call is what the other keeps of it, under the owner whose key it has."""
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    async with serving(Model().serve) as upstream, keeping_house(folders[1]) as (there, kept):
        key, _ = await there.key(scopes=["call"])
        monkeypatch.setenv("THERE", key)
        more = MORE.format(url=there.url, upstream=upstream.url).replace("forward = true", 'bearer_env = "THERE"')
        async with keeping_house(folders[0], more) as (here, own):
            body = {"model": "m", "messages": [{"role": "user", "content": "Good day?"}], "metadata": {"session_id": "s1"}}
            assert (await here.ask("POST", "/v1/chat/completions", body)).status == 200
        (sent,), (got,) = own.spans, kept.spans
        for name in ("trace_id", "span_id", "start_ns", "end_ns", "kind", "name", "model", "answered", "provider", "session", "service"):
            assert getattr(got, name) == getattr(sent, name), name
        for name in ("input_tokens", "output_tokens", "cost_micros", "currency", "release", "payload"):
            assert getattr(got, name) == getattr(sent, name), name
        assert sent.cost_micros
        assert got.organisation == await there.home() != sent.organisation
