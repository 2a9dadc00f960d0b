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
from tests.observability.calls import ended
from tests.observability.otlp.exports import a_span as told_span
from tests.observability.otlp.exports import request
from tests.observability.otlp.keeping import keeping_house
from tests.observability.out.receiver import receiving, said
from tests.observability.out.test_words import a_span

from penstock.kernel.call import Trace
from penstock.kernel.events import CallEnded
from penstock.observability.out import outbox as module
from penstock.observability.out.destination import destinations
from penstock.observability.out.encode import HOPS
from penstock.observability.out.outbox import Outbox
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.02)


SECRET = "sk-ant-api03-" + "a" * 90


@asynccontextmanager
async def leaving(payloads: str = "redacted", **named: dict[str, Any]) -> AsyncGenerator[Outbox]:
    settings = msgspec.convert({"payloads": payloads, "otel": {"destinations": named}}, ObservabilitySettings)
    out = Outbox(settings, destinations(settings, {}), Redactor())
    await out.start()
    stopped = False
    try:
        yield out
        stopped = True
        await out.stop()
    finally:
        if not stopped:
            await out.stop()


def metrics(out: Outbox) -> dict[tuple[str, ...], float]:
    found = {}
    for metric in out.metrics():
        for labels, value in metric.samples:
            found[metric.name.removeprefix("penstock_otel_"), *labels.values()] = value
    return found


async def test_a_call_becomes_spans_of_its_own_trace() -> None:
    async with receiving() as receiver:
        async with leaving(x={"endpoint": receiver.url}) as out:
            call = ended(trace=Trace.begin("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ask="private", told="private too")
            out.ended(CallEnded(call=call))
        server, client = receiver.spans
    assert server.trace_id.hex() == client.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert (server.parent_span_id.hex(), server.span_id.hex()) == ("b7ad6b7169203331", call.trace.span_id)
    assert client.parent_span_id == server.span_id
    attributes = said(server.attributes)
    assert attributes["gen_ai.usage.input_tokens"] == 100
    assert (attributes["gen_ai.provider.name"], attributes["gen_ai.response.model"]) == ("p", "p-m")
    assert (attributes["gen_ai.operation.name"], attributes["gen_ai.request.model"]) == ("chat", "m")
    assert said(client.attributes)["http.response.status_code"] == 200
    assert b"private" not in receiver.got[0].body
    assert b"psk_never_kept" not in receiver.got[0].body
    assert metrics(out)["spans_sent", "x"] == 2


async def test_every_destination_gets_what_it_asked_for() -> None:
    async with receiving() as a, receiving() as b, receiving() as c:
        named = {
            "a": {"endpoint": a.url, "payloads": "redacted", "convention": "openinference", "tasks": ["t"]},
            "b": {"endpoint": b.url, "organisations": ["org_a"]},
            "c": {"endpoint": c.url, "calls": False},
        }
        async with leaving(**named) as out:
            out.ended(CallEnded(call=ended(task="t", ask=f"my key is {SECRET}", told="hello")))
            out.ended(CallEnded(call=ended(task="u", who=None, ask="other")))
        assert [span.name for span in a.spans] == ["chat m", "chat p-m"]
        assert said(a.spans[0].attributes)["llm.output_messages.0.message.content"] == "hello"
        assert "redacted" in said(a.spans[0].attributes)["llm.input_messages.0.message.content"]
        assert SECRET.encode() not in a.got[0].body
        assert len(b.spans) == 2
        assert "gen_ai.input.messages" not in said(b.spans[0].attributes)
        assert c.got == []


async def test_one_that_hangs_slows_no_other() -> None:
    async with receiving() as good, receiving() as bad:
        bad.hold = asyncio.Event()
        named = {name: {"endpoint": one.url, "timeout_seconds": 20.0} for name, one in (("good", good), ("bad", bad))}
        async with leaving(**named) as out:
            for round in range(1, 4):
                for _ in range(module.AT_ONCE // 64):
                    out.ended(CallEnded(call=ended()))
                await good.until_spans(round * module.AT_ONCE // 32)
            assert len(bad.got) <= 1
            bad.hold.set()
    assert len(good.spans) == len(bad.spans)


async def test_more_than_the_queue_holds_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CALLS", 2)
    async with receiving() as receiver, leaving(x={"endpoint": receiver.url}) as out:
        for _ in range(3):
            out.ended(CallEnded(call=ended()))
        assert metrics(out)["calls_dropped", "queue_full"] == 1


async def test_a_call_that_cannot_be_written_stops_no_other() -> None:
    async with receiving() as receiver:
        async with leaving(x={"endpoint": receiver.url}) as out:
            out.ended(CallEnded(call=ended(attempts=None)))
            out.ended(CallEnded(call=ended()))
        assert len(receiver.spans) == 2
    assert metrics(out)["calls_dropped", "unwritable"] == 1


async def test_what_came_in_goes_on_and_not_in_circles() -> None:
    async with receiving() as on, receiving() as not_on:
        named = {"on": {"endpoint": on.url, "forward": True, "calls": False}, "not_on": {"endpoint": not_on.url}}
        async with leaving("full", **named) as out:
            assert (out.forwards, out.calls) == (True, True)
            secret = a_span(name=SECRET)
            out.forward([secret, a_span(name="twice", resource=f'{{"{HOPS}":2}}'), a_span(name="circle", resource=f'{{"{HOPS}":4}}')])
        cleaned, twice = on.spans
        assert cleaned.name.startswith("[redacted")
        assert twice.name == "twice"
        assert secret.name == SECRET, "what is stored is not changed"
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
            answer = await house.ask("POST", "/v1/chat/completions", body)
            assert answer.status == 200, answer.text
            await receiver.until_spans(2)
            exported = request(told_span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "theirs"}, name="from outside"))
            sent = await house.ask("POST", "/v1/traces", exported.SerializeToString(), content_type="application/x-protobuf")
            assert sent.status == 200, sent.text
            await receiver.until_spans(3)
            page = await house.ask("GET", "/metrics")
        ours, _, theirs = receiver.spans
    attributes = said(ours.attributes)
    assert attributes["gen_ai.usage.cost"] > 0
    assert "Good day?" in attributes["gen_ai.input.messages"]
    assert attributes["gen_ai.output.messages"]
    assert (theirs.name, said(theirs.attributes)["gen_ai.request.model"]) == ("from outside", "theirs")
    assert 'penstock_otel_up{destination="default"} 1.0' in page.text
