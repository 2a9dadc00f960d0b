"""Langfuse: what its SDKs from version 3 on send over OTLP.

https://langfuse.com/integrations/native/opentelemetry#property-mapping
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

LANGFUSE = Convention(
    name="langfuse",
    source="Langfuse's attributes (SDK 3 and later)",
    texts={
        "langfuse.observation.model.name": "model",
        "langfuse.session.id": "session",
        "langfuse.user.id": "person",
        "langfuse.observation.prompt.name": "prompt",
        "langfuse.prompt.name": "prompt",
        "langfuse.observation.prompt.version": "prompt_version",
        "langfuse.prompt.version": "prompt_version",
        "langfuse.environment": "environment",
        "langfuse.release": "release",
        "langfuse.observation.status_message": "message",
    },
    kinds={
        "langfuse.observation.type": {
            "generation": "call",
            "embedding": "embedding",
            "agent": "agent",
            "tool": "tool",
            "chain": "chain",
            "retriever": "retrieval",
            "evaluator": "evaluation",
            "guardrail": "guard",
            "event": "step",
        }
    },
    first_token_at=("langfuse.observation.completion_start_time",),
    contents={"langfuse.observation.input": "input", "langfuse.observation.output": "output"},
    details={
        "langfuse.observation.usage_details": {
            "input": "input_tokens",
            "prompt_tokens": "input_tokens",
            "input_tokens": "input_tokens",
            "output": "output_tokens",
            "completion_tokens": "output_tokens",
            "output_tokens": "output_tokens",
            "cache_read_input_tokens": "cached_tokens",
            "input_cached_tokens": "cached_tokens",
            "output_reasoning_tokens": "reasoning_tokens",
        },
        "langfuse.observation.cost_details": {"total": "cost"},
    },
)
