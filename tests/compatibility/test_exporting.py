"""Real receivers of OTLP, each a process of its own: Phoenix and MLflow. What they say over their own APIs is what was sent.

They want environments of their own (``make test-compatibility``), which the variables PENSTOCK_PHOENIX and PENSTOCK_MLFLOW lead to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.compatibility.provider import CITY, WEATHER, Model
from tests.gateway.upstream import serving
from tests.observability.otlp.exports import a_span, request
from tests.observability.otlp.keeping import keeping_house

from penstock.observability.out.check import check
from penstock.observability.out.destination import destinations
from penstock.observability.settings import ObservabilitySettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

SETTINGS = """[gateway.providers.chat]
profile = "openai-compatible"
base_url = "{chat}"
models = ["m"]
[finops.prices."chat/m"]
input = 1.0
output = 2.0
"""
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
ASKED = "What is it like in Delft?"


def program(variable: str, name: str) -> str:
    """The program that the variable leads to, or that is installed; without either the test is skipped."""
    told = os.environ.get(variable)
    found = shutil.which(told or name)
    if found is None and told:
        pytest.fail(f"{variable} leads to {told}, which is no program")
    if found is None:
        pytest.skip(f"{name} is not installed; make test-compatibility installs it")
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(folder: Path, url: str, *words: str, **environ: str) -> Iterator[str]:
    """A server that answers at ``url``."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env={**os.environ, **environ}, cwd=folder
        )
    until = time.monotonic() + 200
    try:
        while True:
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urlopen(url, timeout=5).close()
                break
            except OSError:  # nobody listens yet, or nobody answers in time
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def ask(url: str, body: object = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    with urlopen(Request(url, data, {"content-type": "application/json"}), timeout=30) as reply:
        return json.loads(reply.read())


async def until(question: Any, enough: Any) -> Any:
    """Ask until it is enough: receivers store what they acknowledged some time later."""
    end = time.monotonic() + 60
    while True:
        found = None
        with contextlib.suppress(HTTPError):  # a project is there with its first span
            found = await asyncio.to_thread(question)
        if found is not None and enough(found):
            return found
        assert time.monotonic() < end, found
        await asyncio.sleep(0.2)


async def used(folder: Path, more: str) -> None:
    """A Penstock in which a model is asked, uses a tool and answers, and to which another program sends a span; sends all of it on."""
    async with serving(Model().serve) as upstream, keeping_house(folder, SETTINGS.format(chat=upstream.url) + more) as (house, _):
        messages: list[dict[str, Any]] = [{"role": "user", "content": ASKED}]
        answer = await house.ask("POST", "/v1/chat/completions", {"model": "m", "messages": messages, "tools": [TOOL]})
        assert answer.status == 200, answer.text
        told = answer.json["choices"][0]["message"]
        messages += [told, {"role": "tool", "tool_call_id": told["tool_calls"][0]["id"], "content": "rain"}]
        answer = await house.ask("POST", "/v1/chat/completions", {"model": "m", "messages": messages, "tools": [TOOL]})
        assert answer.json["choices"][0]["message"]["content"] == WEATHER
        exported = request(a_span({"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"}, name="from outside"))
        # Receivers know a span again, and the project that its trace is in.
        span = exported.resource_spans[0].scope_spans[0].spans[0]
        span.trace_id, span.span_id = os.urandom(16), os.urandom(8)
        sent = await house.ask("POST", "/v1/traces", exported.SerializeToString(), content_type="application/x-protobuf")
        assert sent.status == 200, sent.text


async def doctor(otel: dict[str, Any]) -> list[tuple[str, str]]:
    import msgspec

    settings = msgspec.convert({"otel": {"destinations": {"x": otel}}}, ObservabilitySettings)
    return [(finding.status, finding.what) for finding in await check(destinations(settings, {}))()]


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    command = program("PENSTOCK_PHOENIX", "phoenix")
    folder, port, grpc = tmp_path_factory.mktemp("phoenix"), free_port(), free_port()
    environ = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    url = f"http://127.0.0.1:{port}"
    with running(folder, f"{url}/healthz", command, "serve", **environ):
        yield url, grpc


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_phoenix(phoenix: tuple[str, int], tmp_path: Path, protocol: str) -> None:
    url, grpc = phoenix
    project = protocol.partition("/")[0]
    endpoint = url if protocol != "grpc" else f"http://127.0.0.1:{grpc}"
    terms = f"""[observability.otel.destinations.x]
endpoint = "{endpoint}"
protocol = "{protocol}"
convention = "openinference"
payloads = "redacted"
forward = true
resource = {{ "openinference.project.name" = "{project}" }}
"""
    assert [status for status, _ in await doctor({"endpoint": endpoint, "protocol": protocol})] == ["ok"]
    await used(tmp_path, terms)
    spans = (await until(lambda: ask(f"{url}/v1/projects/{project}/spans?limit=100"), lambda found: len(found["data"]) >= 3))["data"]
    calls = sorted((span for span in spans if span["span_kind"] == "LLM"), key=lambda span: span["start_time"])
    asked, answered = calls
    for call in calls:
        told = call["attributes"]
        assert (call["status_code"], told["llm.model_name"], told["llm.provider"]) == ("UNSET", "m", "chat")
        tokens = told["llm.token_count.prompt"], told["llm.token_count.completion"]
        assert all(tokens)
        assert told["llm.cost.total"] == pytest.approx((tokens[0] + 2 * tokens[1]) / 1e6)
        assert told["llm.input_messages.0.message.content"] == ASKED
    assert asked["attributes"]["llm.output_messages.0.message.tool_calls.0.tool_call.function.name"] == "weather"
    assert json.loads(asked["attributes"]["llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments"]) == CITY
    assert answered["attributes"]["llm.output_messages.0.message.content"] == WEATHER
    (outside,) = [span for span in spans if span["name"] == "from outside"]
    assert (outside["span_kind"], outside["attributes"]["agent.name"]) == ("AGENT", "planner")


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = program("PENSTOCK_MLFLOW", "mlflow")
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    store = ("--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "artifacts"))
    url = f"http://127.0.0.1:{port}"
    words = ("server", *store, "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with running(folder, f"{url}/health", command, *words, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true"):
        yield url


async def test_mlflow(mlflow: str, tmp_path: Path) -> None:
    experiment = ask(f"{mlflow}/api/2.0/mlflow/experiments/create", {"name": "penstock"})["experiment_id"]
    terms = f"""[observability.otel.destinations.x]
endpoint = "{mlflow}"
headers = {{ x-mlflow-experiment-id = "{experiment}" }}
payloads = "redacted"
"""
    # It takes no export without spans, and the doctor tells what it says to that.
    ((status, what),) = await doctor({"endpoint": mlflow, "headers": {"x-mlflow-experiment-id": experiment}})
    assert (status, "no spans found" in what) == ("warn", True)
    await used(tmp_path, terms)
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    found = await until(
        lambda: ask(f"{mlflow}/api/3.0/mlflow/traces/search", {"locations": [place]}), lambda found: len(found.get("traces", ())) >= 2
    )
    first, last = sorted(found["traces"], key=lambda trace: trace["request_time"])
    for trace in (first, last):
        assert (trace["state"], trace["tags"]["service.name"]) == ("OK", "penstock")
        assert json.loads(trace["trace_metadata"]["mlflow.trace.tokenUsage"])["total_tokens"] > 0
        assert ASKED in trace["request_preview"]
    assert "weather" in first["response_preview"]
    assert WEATHER in last["response_preview"]
