"""OpenLLMetry: what Traceloop's instrumentations say, which number their prompts.

https://github.com/traceloop/openllmetry/blob/main/packages/opentelemetry-semantic-conventions-ai
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention, Numbered

OPENLLMETRY = Convention(
    name="openllmetry",
    source="OpenLLMetry semantic conventions (traceloop.*)",
    texts={
        "traceloop.association.properties.session_id": "session",
        "traceloop.association.properties.thread_id": "session",
        "traceloop.association.properties.conversation_id": "session",
        "traceloop.association.properties.user_id": "person",
        "traceloop.prompt.key": "prompt",
        "traceloop.prompt.version": "prompt_version",
        "llm.request.type": "operation",
        "llm.request.model": "model",
        "llm.response.model": "answered",
    },
    counts={
        "llm.usage.prompt_tokens": "input_tokens",
        "llm.usage.completion_tokens": "output_tokens",
        "gen_ai.usage.cache_read_input_tokens": "cached_tokens",
        "gen_ai.usage.reasoning_tokens": "reasoning_tokens",
        "llm.usage.reasoning_tokens": "reasoning_tokens",
    },
    kinds={
        "traceloop.span.kind": {"workflow": "chain", "task": "step", "agent": "agent", "tool": "tool"},
        "llm.request.type": {"chat": "call", "completion": "call", "embedding": "embedding", "rerank": "rerank"},
    },
    contents={"traceloop.entity.input": "input", "traceloop.entity.output": "output"},
    numbered=(Numbered("gen_ai.prompt.", "input.messages"), Numbered("gen_ai.completion.", "output.messages")),
)
