"""Traces of real libraries: each calls a model through a Penstock, uses a tool where it can, and sends its trace there.

They want an environment of their own (``make test-compatibility``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.compatibility.provider import CITY, WEATHER, Model
from tests.gateway.upstream import serving
from tests.observability.otlp.keeping import keeping_house

from penstock.observability.otlp.grpc import GrpcIn
from penstock.storage.telemetry.span import Span

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    # What these libraries warn of in themselves and in each other is theirs.
    pytest.mark.filterwarnings("ignore"),
]

SETTINGS = """[gateway.providers.chat]
profile = "openai-compatible"
base_url = "{chat}"
models = ["m"]
[finops.prices."openai/m"]
input = 1.0
output = 2.0
[observability.spans]
own = false
[observability.otlp]
"""
"""Spans of our own are left out: what other programs tell is looked at, down to the count."""
HERE = Path(__file__).parent / "node"
ASKED = "What is it like in Delft?"


class Rig:
    """A Penstock that takes spans and leads to a model, on an event loop of its own."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.grpc = 0
        self.spans: list[Span] = []

    def provider(self, name: str) -> Any:
        """OpenTelemetry's tracer provider, which sends here when it is flushed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": name}))
        exporter = OTLPSpanExporter(f"{self.url}/v1/traces", headers={"authorization": f"Bearer {self.key}"})
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return provider


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig, ready, over = Rig(), threading.Event(), threading.Event()
    faults: list[BaseException] = []
    # OpenTelemetry's gRPC exporter is not among what the other tests need: without it, HTTP is tried alone.
    port = "grpc_port = 0\n" if find_spec("grpc") and find_spec("opentelemetry.exporter.otlp.proto.grpc") else ""

    async def run() -> None:
        async with serving(Model().serve) as upstream:
            settings = SETTINGS.format(chat=upstream.url) + port
            async with keeping_house(tmp_path_factory.mktemp("rig"), settings) as (house, store):
                rig.url, rig.spans = house.url, store.spans
                rig.key = (await house.key(scopes=["call"]))[0]
                rig.grpc = next((one.port for one in house.app.offers["observability"].services if isinstance(one, GrpcIn)), 0)
                ready.set()
                await asyncio.to_thread(over.wait)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as fault:  # told to the test session below
            faults.append(fault)
            ready.set()

    worker = threading.Thread(target=thread)
    worker.start()
    ready.wait()
    if not faults:
        yield rig
    over.set()
    worker.join()
    if faults:
        raise faults[0]


@pytest.fixture
def rig(shared: Rig) -> Rig:
    """The rig with an empty store."""
    shared.spans.clear()
    return shared


def weather(city: str) -> str:
    """The weather of a city."""
    assert city == CITY["city"]
    return "rain"


def of(rig: Rig, kind: str) -> list[Span]:
    return sorted((span for span in rig.spans if span.kind == kind), key=lambda span: span.start_ns)


def said(text: str) -> Any:
    return msgspec.json.decode(text)


def check(rig: Rig, service: str, *, agent: bool = True) -> None:
    """A call that asks for the tool, the tool, a call that answers: each where it belongs, with what it cost."""
    asked, answered = of(rig, "call")
    (tool,) = of(rig, "tool")
    for call in (asked, answered):
        assert (call.service, call.model, call.status) == (service, "m", "ok")
        assert call.input_tokens
        assert call.output_tokens
        assert call.cost_micros == call.input_tokens + 2 * call.output_tokens
        assert call.payload is not None
        messages = said(call.payload.input)
        assert any(part.get("content") == ASKED for message in messages if message["role"] == "user" for part in message["parts"])
    assert asked.payload is not None
    assert answered.payload is not None
    (reply,) = said(asked.payload.output)
    (wanted,) = [part for part in reply["parts"] if part["type"] == "tool_call"]
    assert (wanted["name"], wanted["arguments"]) == ("weather", CITY)
    assert any(part["type"] == "tool_call_response" for message in said(answered.payload.input) for part in message["parts"])
    # A reply is messages where the sender says so, else its text.
    final = answered.payload.output
    assert WEATHER in (final, said(final)[-1]["parts"][-1]["content"] if final.startswith("[") else "")
    assert tool.tool == "weather"
    assert tool.payload is not None
    assert CITY["city"] in tool.payload.input
    assert "rain" in tool.payload.output
    assert len({span.trace_id for span in rig.spans}) == 1
    roots = [span for span in rig.spans if not span.parent_id]
    assert len(roots) == 1
    ids = {span.span_id for span in rig.spans}
    assert all(span.parent_id in ids for span in rig.spans if span.parent_id)
    if agent:
        assert of(rig, "agent")


def test_opentelemetrys_own_exporters(rig: Rig) -> None:
    provider = rig.provider("plain")
    tracer = provider.get_tracer("a.library", "1.0")
    if rig.grpc:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        exporter = OTLPSpanExporter(f"http://127.0.0.1:{rig.grpc}", insecure=True, headers={"x-api-key": rig.key})
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracer.start_as_current_span("outer") as outer:
        outer.set_attribute("gen_ai.operation.name", "invoke_agent")
        with contextlib.suppress(ValueError), tracer.start_as_current_span("inner") as inner:
            inner.add_event("something", {"n": 1})
            raise ValueError("bad")
    provider.shutdown()
    assert len(rig.spans) == (4 if rig.grpc else 2)
    for outer_span, inner_span in zip(of(rig, "agent"), of(rig, "span"), strict=True):
        assert (inner_span.parent_id, inner_span.trace_id) == (outer_span.span_id, outer_span.trace_id)
        assert (inner_span.status, inner_span.error_code, inner_span.service) == ("failed", "ValueError", "plain")
        assert "bad" in inner_span.message
        assert [event["name"] for event in said(inner_span.events)] == ["something", "exception"]


@pytest.fixture
def instrumented() -> Iterator[Callable[[Any, Any], None]]:
    """Instruments until the test is over."""
    done: list[Any] = []

    def instrument(instrumentor: Any, provider: Any) -> None:
        instrumentor.instrument(tracer_provider=provider)
        done.append(instrumentor)

    yield instrument
    for instrumentor in done:
        instrumentor.uninstrument()


def test_langchain_with_openinference(rig: Rig, instrumented: Callable[[Any, Any], None]) -> None:
    pytest.importorskip("openinference.instrumentation.langchain", reason="make test-compatibility installs it")
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI
    from openinference.instrumentation.langchain import LangChainInstrumentor

    provider = rig.provider("langchain")
    instrumented(LangChainInstrumentor(), provider)
    llm = ChatOpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, model="m", max_retries=0)
    agent: Any = create_agent(llm, [weather])
    reply = agent.invoke({"messages": [("user", ASKED)]}, config={"metadata": {"session_id": "s1"}})
    assert reply["messages"][-1].content == WEATHER
    provider.shutdown()
    check(rig, "langchain", agent=False)
    assert {span.session for span in rig.spans} == {"s1"}


def test_llama_index_with_openinference(rig: Rig, instrumented: Callable[[Any, Any], None]) -> None:
    pytest.importorskip("openinference.instrumentation.llama_index", reason="make test-compatibility installs it")
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.llms.openai_like import OpenAILike
    from openinference.instrumentation.llama_index import LlamaIndexInstrumentor

    provider = rig.provider("llama")
    instrumented(LlamaIndexInstrumentor(), provider)

    async def ask() -> str:
        llm = OpenAILike(
            model="m", api_base=f"{rig.url}/v1", api_key=rig.key, is_chat_model=True, is_function_calling_model=True, max_retries=0
        )
        return str(await FunctionAgent(tools=[weather], llm=llm, streaming=False).run(ASKED))

    assert asyncio.run(ask()) == WEATHER
    provider.shutdown()
    check(rig, "llama", agent=False)


def test_openai_agents_with_openinference(rig: Rig, instrumented: Callable[[Any, Any], None]) -> None:
    pytest.importorskip("openinference.instrumentation.openai_agents", reason="make test-compatibility installs it")
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_trace_processors
    from openai import AsyncOpenAI
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    provider = rig.provider("agents")
    set_trace_processors([])
    instrumented(OpenAIAgentsInstrumentor(), provider)

    async def ask() -> Any:
        client = AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=rig.key, max_retries=0)
        model = OpenAIChatCompletionsModel(model="m", openai_client=client)
        return (await Runner.run(Agent(name="planner", model=model, tools=[function_tool(weather)]), ASKED)).final_output

    assert asyncio.run(ask()) == WEATHER
    provider.shutdown()
    check(rig, "agents")


def test_pydantic_ai(rig: Rig) -> None:
    pytest.importorskip("pydantic_ai", reason="make test-compatibility installs it")
    from pydantic_ai import Agent
    from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = rig.provider("pydantic")
    model = OpenAIChatModel("m", provider=OpenAIProvider(base_url=f"{rig.url}/v1", api_key=rig.key))
    seen = InstrumentedModel(model, InstrumentationSettings(tracer_provider=provider))
    agent = Agent(seen, name="planner", tools=[weather])
    assert asyncio.run(agent.run(ASKED)).output == WEATHER
    provider.shutdown()
    check(rig, "pydantic")
    assert {span.agent for span in of(rig, "agent")} == {"planner"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the Vercel AI SDK installed in it."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("node and npm are missing; tests must be complete here")
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(HERE / "telemetry.json", folder / "package.json")
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert installed.returncode == 0, installed.stderr
    return folder


def test_vercel_ai_sdk(rig: Rig, packages: Path) -> None:
    environment = {**os.environ, "PENSTOCK_URL": rig.url, "PENSTOCK_KEY": rig.key}
    command = ["node", str(HERE / "telemetry.mjs"), str(packages)]
    ran = subprocess.run(command, cwd=packages, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert ran.stdout.strip() == WEATHER
    check(rig, "vercel", agent=False)
    assert {span.session for span in of(rig, "call")} == {"s1"}
