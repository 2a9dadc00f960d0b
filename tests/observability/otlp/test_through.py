"""What went through the gateway counts once: by every way of telling, in either order, and never for what went elsewhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.observability.calls import ended
from tests.observability.otlp.exports import NOW, TRACE, a_span, request

from penstock.kernel.call import Trace, Usage
from penstock.kernel.events import CallEnded
from penstock.kernel.principal import Principal
from penstock.observability.otlp.answer import PROTOBUF
from penstock.observability.otlp.intake import Intake
from penstock.observability.otlp.mend import COUNTED_WITHIN
from penstock.observability.otlp.through import GATEWAY, PARENTS_MOST, Through
from penstock.observability.own.calls import SOURCE, CallSpans
from penstock.observability.redaction import Redactor
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.telemetry.embedded import EmbeddedTelemetry
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span

WHO = Principal(key_id="k", name="k", organisation="org_a")
HERE = "penstock.example:8080"
CHAT = {
    "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
}  # fmt: skip


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedTelemetry]:
    opened = EmbeddedTelemetry(tmp_path / "telemetry", memory_mb=256)
    await opened.start()
    yield opened
    await opened.close()


class Kept:
    """A store that only holds."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    async def append(self, spans: list[Span], batch: str) -> None:
        self.spans += spans


def intake(store: Any, through: Through | None) -> Intake:
    return Intake(ObservabilitySettings(), Redactor(), lambda: store, lambda: None, lambda: NOW, through=through)


async def came(
    *spans: dict[str, Any], through: Through | None = None, host: str = HERE, resource: dict[str, Any] | None = None
) -> list[Span]:
    store = Kept()
    taking = intake(store, through or Through())
    await taking.take(WHO, request(*spans, resource=resource).SerializeToString(), "", PROTOBUF, host)
    return store.spans


def counted(span: Span) -> bool:
    return span.kind == "call" and span.input_tokens == 100


@pytest.mark.parametrize(
    "said",
    [
        {"server.address": "penstock.example", "server.port": 8080},
        {"server.address": "Penstock.Example:8080"},
        {"gen_ai.openai.api_base": "http://penstock.example:8080/v1"},
        {"penstock.gateway": True},
        {"gen_ai.request.model": "task:support.intent"},
    ],
)
async def test_a_call_that_says_where_it_went_is_counted_there(said: dict[str, Any]) -> None:
    (span,) = await came(a_span(CHAT | said))
    assert (span.kind, span.input_tokens, span.output_tokens, span.currency) == ("step", None, None, "")
    left = json.loads(span.attributes)
    assert (left[COUNTED_WITHIN], left["sum.input_tokens"], left["sum.output_tokens"]) == (GATEWAY, 100, 20)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"server.address": "api.openai.com", "server.port": 443},
        {"server.address": "penstock.example", "server.port": 9090},
        {"gen_ai.openai.api_base": "https://api.openai.com/v1"},
        {"gen_ai.openai.api_base": "http://["},
        {"penstock.gateway": False},
    ],
)
async def test_a_call_that_went_elsewhere_or_does_not_say_is_counted_as_it_is(said: dict[str, Any]) -> None:
    (span,) = await came(a_span(CHAT | said))
    assert counted(span)


@pytest.mark.parametrize(
    "said",
    [
        {"gen_ai.openai.api_base": "https://penstock.example/v1"},
        {"gen_ai.openai.api_base": "http://penstock.example/v1"},
        {"server.address": "penstock.example", "server.port": 443},
        {"server.address": "penstock.example"},
    ],
)
async def test_behind_a_proxy_that_ends_tls_the_port_goes_without_saying(said: dict[str, Any]) -> None:
    (span,) = await came(a_span(CHAT | said), host="penstock.example")
    assert not counted(span)
    (span,) = await came(a_span(CHAT | {"server.address": "penstock.example", "server.port": 9090}), host="penstock.example")
    assert counted(span)


async def test_a_program_may_say_it_once_for_all_its_calls() -> None:
    (span,) = await came(a_span(CHAT), resource={"penstock.gateway": "true"})
    assert not counted(span)


async def test_a_request_that_was_sent_here_takes_the_call_above_it_along_and_no_other() -> None:
    spans = await came(
        a_span({"gen_ai.operation.name": "invoke_agent"}, id=1),
        a_span(CHAT, id=2, parent=1),
        a_span({}, id=3, parent=2),
        a_span({"url.full": f"http://{HERE}/v1/chat/completions"}, id=4, parent=3, kind=3),
        a_span({"url.full": f"http://{HERE}/v1/chat/completions"}, id=5, parent=3, kind=3),  # tried again
        a_span(CHAT, id=6, parent=1),
        a_span({"url.full": "https://api.openai.com/v1/chat/completions"}, id=7, parent=6, kind=3),
        a_span({"url.full": f"http://{HERE}/v1/models"}, id=8, parent=1, kind=3),
    )
    kinds = {int(span.span_id, 16): span.kind for span in spans}
    assert kinds == {1: "agent", 2: "step", 3: "span", 4: "span", 5: "span", 6: "call", 7: "span", 8: "span"}


async def test_a_call_of_ours_names_its_parent() -> None:
    through = Through()
    call = ended(trace=Trace(TRACE, "d" * 16, f"{2:016x}", "01", None))
    through.ended(CallEnded(call=call))
    outer, inner, other = await came(a_span(CHAT, id=1), a_span({}, id=2, parent=1, kind=3), a_span(CHAT, id=3), through=through, host="")
    assert (outer.kind, json.loads(outer.attributes)[COUNTED_WITHIN]) == ("step", "d" * 16)
    assert (inner.kind, counted(other)) == ("span", True)


async def test_nobody_elses_call_takes_the_tokens_off_a_span() -> None:
    through = Through()
    theirs = ended(trace=Trace(TRACE, "d" * 16, f"{1:016x}", "01", None))
    theirs.principal = Principal(key_id="b", name="b", organisation="org_b")
    through.ended(CallEnded(call=theirs))
    (span,) = await came(a_span(CHAT, id=1), through=through, host="")
    assert counted(span)


def test_what_is_remembered_is_bounded() -> None:
    through = Through()
    call = ended()
    for number in range(PARENTS_MOST + 5):
        call.trace = Trace(TRACE, "d" * 16, f"{number + 1:016x}", "01", None)
        through.ended(CallEnded(call=call))
    assert len(through._parents) == PARENTS_MOST  # type: ignore[reportPrivateUsage]


async def test_calls_of_runs_and_of_nobodys_trace_are_not_remembered() -> None:
    through = Through()
    through.ended(CallEnded(call=ended()))
    through.ended(CallEnded(call=ended(trace=Trace(TRACE, "d" * 16, "e" * 16, "01", None), step=("run", 1))))
    assert not through._parents  # type: ignore[reportPrivateUsage]


async def test_where_own_calls_are_no_spans_all_is_counted_as_it_comes() -> None:
    store = Kept()
    await intake(store, None).take(WHO, request(a_span(CHAT | {"penstock.gateway": True})).SerializeToString(), "", PROTOBUF, HERE)
    assert counted(store.spans[0])


@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_sums_count_once_in_either_order(store: EmbeddedTelemetry, first: str) -> None:
    through = Through()
    taking = intake(store, through)
    call = ended(at=NOW / 1e9 - 1, trace=Trace(TRACE, "d" * 16, f"{2:016x}", "01", None), usage=Usage(input=100, output=20))
    through.ended(CallEnded(call=call))
    spans = [a_span(CHAT, id=1), a_span({"url.full": f"http://{HERE}/v1/chat/completions"}, id=2, parent=1, kind=3)]

    async def ours() -> None:
        await store.append(CallSpans(Redactor()).of(call, None), "own")

    async def theirs() -> None:
        await taking.take(WHO, request(*spans).SerializeToString(), "", PROTOBUF, HERE)

    for one in (ours, theirs) if first == "ours" else (theirs, ours):
        await one()
    await store.flush()
    (whole,) = await store.groups(Filter(organisation="org_a"), ())
    assert (whole.measures.input_tokens, whole.measures.output_tokens, whole.measures.cost_micros) == (100, 20, 1500)
    kept = await store.trace(TRACE, "org_a")
    assert [(one.span.source == SOURCE, one.span.kind) for one in kept].count((True, "call")) == 1


async def test_nobody_else_bears_the_names_of_our_own_spans() -> None:
    store = Kept()
    await intake(store, Through()).take(WHO, request(a_span(CHAT), scope="penstock.gateway").SerializeToString(), "", PROTOBUF)
    assert store.spans[0].source.startswith("other penstock.gateway")
