"""Every destination of docs/exporting.md, as its vendor's documents say it: where exports come, with which headers, in which project."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from tests.observability.out.receiver import receiving, said
from tests.observability.out.test_transport import grpc_receiving
from tests.observability.out.test_words import a_span

from penstock.observability.out.destination import Destination, destinations
from penstock.observability.out.encode import encoder
from penstock.observability.out.transport import Answer, transport
from penstock.observability.settings import ObservabilitySettings
from penstock.settings import load

PAGE = Path(__file__).parents[3] / "docs" / "exporting.md"
SECRETS = {
    name: f"{name.lower()}-value"
    for name in (
        "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "PHOENIX_API_KEY", "ARIZE_SPACE_ID", "ARIZE_API_KEY", "WANDB_API_KEY",
        "LANGSMITH_API_KEY", "GRAFANA_INSTANCE_ID", "GRAFANA_TOKEN", "COLLECTOR_TOKEN",
    )
}  # fmt: skip


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


WANTED: dict[str, tuple[str, str, dict[str, str], dict[str, str]]] = {
    "collector": ("127.0.0.1:4318", "/v1/traces", {}, {}),
    "langfuse": (
        "cloud.langfuse.com",
        "/api/public/otel/v1/traces",
        {"authorization": basic("langfuse_public_key-value", "langfuse_secret_key-value")},
        {},
    ),
    "phoenix": (
        "127.0.0.1:6006",
        "/v1/traces",
        {"authorization": "Bearer phoenix_api_key-value"},
        {"openinference.project.name": "penstock"},
    ),
    "arize": (
        "otlp.arize.com:443",
        "",
        {"space_id": "arize_space_id-value", "api_key": "arize_api_key-value"},
        {"openinference.project.name": "penstock"},
    ),
    "weave": (
        "trace.wandb.ai",
        "/otel/v1/traces",
        {"wandb-api-key": "wandb_api_key-value"},
        {"wandb.entity": "my-team", "wandb.project": "penstock"},
    ),
    "langsmith": (
        "api.smith.langchain.com",
        "/otel/v1/traces",
        {"x-api-key": "langsmith_api_key-value", "langsmith-project": "penstock"},
        {},
    ),
    "mlflow": ("127.0.0.1:5000", "/v1/traces", {"x-mlflow-experiment-id": "123"}, {}),
    "grafana": (
        "otlp-gateway-prod-eu-west-0.grafana.net",
        "/otlp/v1/traces",
        {"authorization": basic("grafana_instance_id-value", "grafana_token-value")},
        {},
    ),
    "here": ("127.0.0.1:4318", "/v1/traces", {}, {}),
    "there": ("collector.example.org:4317", "", {"authorization": "Bearer collector_token-value"}, {}),
}


def configured(folder: Path) -> dict[str, Destination]:
    """The destinations of all examples, by the loader that reads settings."""
    found: dict[str, Destination] = {}
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)):
        file = folder / f"{number}.toml"
        file.write_text(text)
        settings = load({"observability": ObservabilitySettings}, file=file, environ={}).of(ObservabilitySettings)
        found |= {one.name: one for one in destinations(settings, SECRETS)}
    return found


async def sent(destination: Destination, url: str, secure: bool) -> Answer:
    moved = msgspec.structs.replace(destination, url=url, secure=secure)
    link = transport(moved)
    try:
        return await link.send(encoder(moved.terms).encode([a_span()]))
    finally:
        await link.close()


def test_all_are_looked_at(tmp_path: Path) -> None:
    assert configured(tmp_path).keys() == WANTED.keys()


@pytest.mark.parametrize("name", WANTED)
async def test_an_example_arrives_as_its_receiver_wants_it(name: str, tmp_path: Path) -> None:
    destination = configured(tmp_path)[name]
    host, path, headers, resource = WANTED[name]
    if destination.terms.protocol == "grpc":
        assert (destination.url, destination.secure) == (host, True)
        async with grpc_receiving([b""]) as (url, got):
            assert (await sent(destination, url.removeprefix("http://"), False)).outcome == "taken"
        export, told = got[0]
    else:
        parts = urlsplit(destination.url)
        assert (parts.netloc, parts.path) == (host, path)
        assert parts.scheme == ("http" if host.startswith("127.") else "https")
        async with receiving() as receiver:
            assert (await sent(destination, receiver.url + parts.path, False)).outcome == "taken"
        (one,) = receiver.got
        assert (one.path, one.headers["content-type"], one.headers["content-encoding"]) == (path, "application/x-protobuf", "gzip")
        export, told = one.export, one.headers
    assert headers.items() <= told.items()
    assert resource.items() <= said(export.resource_spans[0].resource.attributes).items()
    attributes = said(export.resource_spans[0].scope_spans[0].spans[0].attributes)
    assert ("llm.model_name" in attributes) == (destination.terms.convention == "openinference")
    prompts = "gen_ai.input.messages" if destination.terms.convention == "gen_ai" else "llm.input_messages.0.message.content"
    assert (prompts in attributes) == (destination.terms.payloads == "redacted")
