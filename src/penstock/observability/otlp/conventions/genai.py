"""OpenTelemetry's GenAI semantic conventions as they are now: messages in attributes.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and gen-ai-agent-spans/.
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

GENAI = Convention(
    name="genai",
    source="OpenTelemetry GenAI semantic conventions 1.37 and later",
    texts={
        "gen_ai.operation.name": "operation",
        "gen_ai.provider.name": "provider",
        "gen_ai.request.model": "model",
        "gen_ai.response.model": "answered",
        "gen_ai.conversation.id": "session",
        "gen_ai.agent.name": "agent",
        "gen_ai.tool.name": "tool",
        "gen_ai.prompt.name": "prompt",
        "error.type": "error_code",
        "session.id": "session",
        "user.id": "person",
        "enduser.id": "person",
    },
    counts={
        "gen_ai.usage.input_tokens": "input_tokens",
        "gen_ai.usage.output_tokens": "output_tokens",
        "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
        "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
    },
    kinds={
        "gen_ai.operation.name": {
            "chat": "call",
            "text_completion": "call",
            "generate_content": "call",
            "embeddings": "embedding",
            "create_agent": "step",
            "invoke_agent": "agent",
            "invoke_workflow": "chain",
            "execute_tool": "tool",
            "retrieval": "retrieval",
        },
    },
    # The conventions have no word for money; this one is OpenLIT's, which Langfuse reads and we send.
    costs=("gen_ai.usage.cost",),
    first_token={"gen_ai.response.time_to_first_chunk": 1e9, "gen_ai.server.time_to_first_token": 1e9},
    contents={
        "gen_ai.input.messages": "input.messages",
        "gen_ai.output.messages": "output.messages",
        "gen_ai.system_instructions": "system",
        "gen_ai.tool.call.arguments": "input",
        "gen_ai.tool.call.result": "output",
        "gen_ai.retrieval.query.text": "input",
        "gen_ai.retrieval.documents": "documents",
    },
    event_contents=("gen_ai.client.inference.operation.details",),
)
