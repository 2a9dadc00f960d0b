"""How programs are made to send their spans here: what a reader copies, by what they use."""

from __future__ import annotations

import msgspec

KEY = "psk_..."


class Setup(msgspec.Struct, frozen=True):
    """One way. ``code`` is complete but for the key; ``needs`` is what has to be installed."""

    name: str
    label: str
    needs: str
    code: str


def setups(url: str) -> list[Setup]:
    """All ways, for a house at ``url`` (scheme, host and port, without a slash at the end)."""
    provider = _PROVIDER.replace("URL", url)
    return [
        Setup("environment", "Any program that OpenTelemetry instruments", "", _ENVIRONMENT.replace("URL", url)),
        Setup("penstock", "Plain Python functions", "pip install 'penstock[otel]'", _PENSTOCK.replace("URL", url)),
        *(
            Setup(name, label, f"pip install {_EXPORTER} {needs}", f"{imports}{provider}{use}")
            for name, label, needs, imports, use in _INSTRUMENTED
        ),
        Setup("vercel", "Vercel AI SDK (TypeScript)", f"npm install ai {_NODE}", _VERCEL.replace("URL", url)),
        Setup("collector", "OpenTelemetry Collector", "", _COLLECTOR.replace("URL", url)),
    ]


_EXPORTER = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"

_NODE = "@opentelemetry/sdk-node @opentelemetry/exporter-trace-otlp-proto"

_ENVIRONMENT = f"""\
export OTEL_EXPORTER_OTLP_ENDPOINT=URL
export OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{KEY}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf
export OTEL_SERVICE_NAME=my-program
"""

_PENSTOCK = f"""\
from penstock.trace import setup, trace

provider = setup("URL", key="{KEY}", service="my-program")


@trace(kind="tool")
def weather(city: str) -> str:
    return "rain"


weather("Delft")
provider.shutdown()
"""

_PROVIDER = f"""\
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({{"service.name": "my-program"}}))
exporter = OTLPSpanExporter("URL/v1/traces", headers={{"authorization": "Bearer {KEY}"}})
provider.add_span_processor(BatchSpanProcessor(exporter))
"""

_INSTRUMENTED = (
    (
        "langchain",
        "LangChain and LangGraph",
        "openinference-instrumentation-langchain",
        "from openinference.instrumentation.langchain import LangChainInstrumentor\n",
        "LangChainInstrumentor().instrument(tracer_provider=provider)\n",
    ),
    (
        "llamaindex",
        "LlamaIndex",
        "openinference-instrumentation-llama-index",
        "from openinference.instrumentation.llama_index import LlamaIndexInstrumentor\n",
        "LlamaIndexInstrumentor().instrument(tracer_provider=provider)\n",
    ),
    (
        "agents",
        "OpenAI Agents SDK",
        "openinference-instrumentation-openai-agents",
        "from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor\n",
        "OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)\n",
    ),
    (
        "pydantic-ai",
        "Pydantic AI",
        "pydantic-ai-slim",
        "from pydantic_ai import Agent, InstrumentationSettings\n",
        "Agent.instrument_all(InstrumentationSettings(tracer_provider=provider))\n",
    ),
    (
        "openai",
        "OpenAI and Anthropic clients",
        "openinference-instrumentation-openai openinference-instrumentation-anthropic",
        "from openinference.instrumentation.anthropic import AnthropicInstrumentor\n"
        "from openinference.instrumentation.openai import OpenAIInstrumentor\n",
        "OpenAIInstrumentor().instrument(tracer_provider=provider)\nAnthropicInstrumentor().instrument(tracer_provider=provider)\n",
    ),
)

_VERCEL = f"""\
import {{ NodeSDK }} from "@opentelemetry/sdk-node";
import {{ OTLPTraceExporter }} from "@opentelemetry/exporter-trace-otlp-proto";

const sdk = new NodeSDK({{
  serviceName: "my-program",
  traceExporter: new OTLPTraceExporter({{
    url: "URL/v1/traces",
    headers: {{ authorization: "Bearer {KEY}" }},
  }}),
}});
sdk.start();
// then, in each call: generateText({{ ..., experimental_telemetry: {{ isEnabled: true }} }})
"""

_COLLECTOR = f"""\
exporters:
  otlphttp/penstock:
    endpoint: URL
    headers:
      authorization: Bearer {KEY}
service:
  pipelines:
    traces:
      exporters: [otlphttp/penstock]
"""
