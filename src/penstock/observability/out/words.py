"""What a span says of itself, as attributes of a convention: OpenTelemetry's GenAI one, or OpenInference.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/,
https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec

from penstock.observability import turns
from penstock.storage.telemetry.span import Payload, Span

Attributes = dict[str, Any]

_OPERATIONS = {"agent": "invoke_agent", "tool": "execute_tool", "retrieval": "retrieval", "embedding": "embeddings", "call": "chat"}
_OURS = {"completions": "text_completion"}
"""Operations of ours that the convention has another word for: "chat" and "embeddings" are the same."""

_SAID = frozenset({"call", "embedding", "rerank", "agent", "tool", "retrieval"})
"""Kinds whose operation the convention knows; "run" or "attempt" are words of ours."""

_INFERENCE = {
    "call": "LLM",
    "agent": "AGENT",
    "tool": "TOOL",
    "retrieval": "RETRIEVER",
    "embedding": "EMBEDDING",
    "rerank": "RERANKER",
    "guard": "GUARDRAIL",
    "evaluation": "EVALUATOR",
}
_COMMON = (
    ("organisation", "penstock.organisation"),
    ("team", "penstock.team"),
    ("project", "penstock.project"),
    ("key", "penstock.key"),
    ("task", "penstock.task"),
    ("run", "penstock.run"),
    ("verdict", "penstock.verdict"),
    ("person", "user.id"),
    ("session", "session.id"),
    ("error_code", "error.type"),
)
_GEN_AI = (
    ("provider", "gen_ai.provider.name"),
    ("model", "gen_ai.request.model"),
    ("answered", "gen_ai.response.model"),
    ("prompt", "gen_ai.prompt.name"),
    ("session", "gen_ai.conversation.id"),
    ("agent", "gen_ai.agent.name"),
    ("tool", "gen_ai.tool.name"),
)
_GEN_AI_COUNTS = (
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("output_tokens", "gen_ai.usage.output_tokens"),
    ("cached_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ("reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
)
_OPENINFERENCE = (
    ("provider", "llm.provider"),
    ("prompt", "prompt.id"),
    ("agent", "agent.name"),
    ("tool", "tool.name"),
)
_OPENINFERENCE_COUNTS = (
    ("input_tokens", "llm.token_count.prompt"),
    ("output_tokens", "llm.token_count.completion"),
    ("cached_tokens", "llm.token_count.prompt_details.cache_read"),
    ("reasoning_tokens", "llm.token_count.completion_details.reasoning"),
)


def gen_ai(span: Span) -> Attributes:
    """The span in OpenTelemetry's words. Cost is ``gen_ai.usage.cost`` in dollars, which Langfuse and OpenLIT read."""
    found = _named(span, _GEN_AI)
    operation = _OPERATIONS.get(span.kind, "")
    if span.kind in _SAID:
        operation = _OURS.get(span.operation, span.operation) or operation
    if operation:
        found["gen_ai.operation.name"] = operation
    _counts(span, _GEN_AI_COUNTS, found)
    if span.cost_micros is not None:
        found["gen_ai.usage.cost"] = span.cost_micros / 1e6
    if span.first_token_ns is not None:
        found["gen_ai.response.time_to_first_chunk"] = span.first_token_ns / 1e9
    payload = span.payload
    if payload is None:
        return found
    if span.kind == "tool":
        sides = ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
    else:
        # What is no messages has no name in the convention; Langfuse, LangSmith and Weave read OpenInference's.
        sides = (
            "gen_ai.input.messages" if _messages(payload.input) is not None else "input.value",
            "gen_ai.output.messages" if _messages(payload.output) is not None else "output.value",
        )
    for name, text in zip(sides, (payload.input, payload.output), strict=True):
        if text:
            found[name] = text
    return found


def openinference(span: Span) -> Attributes:
    """The span in OpenInference's words: messages are numbered attributes."""
    found = _named(span, _OPENINFERENCE)
    found["openinference.span.kind"] = _INFERENCE.get(span.kind, "CHAIN")
    model = span.answered or span.model
    if model:
        found[{"embedding": "embedding.model_name", "rerank": "reranker.model_name"}.get(span.kind, "llm.model_name")] = model
    if span.model and span.answered and span.model != span.answered:
        found["gen_ai.request.model"] = span.model
    _counts(span, _OPENINFERENCE_COUNTS, found)
    if span.input_tokens is not None and span.output_tokens is not None:
        found["llm.token_count.total"] = span.input_tokens + span.output_tokens
    if span.cost_micros is not None:
        found["llm.cost.total"] = span.cost_micros / 1e6
    if span.first_token_ns is not None:
        found["gen_ai.response.time_to_first_chunk"] = span.first_token_ns / 1e9
    if span.payload is not None:
        found |= _inference_payload(span.payload)
    return found


CONVENTIONS: dict[str, Callable[[Span], Attributes]] = {"gen_ai": gen_ai, "openinference": openinference}


def _named(span: Span, names: tuple[tuple[str, str], ...]) -> Attributes:
    found: Attributes = {"penstock.kind": span.kind}
    for field, name in (*_COMMON, *names):
        value = getattr(span, field)
        if value:
            found[name] = value
    if span.cost_micros is not None:
        found["penstock.cost.micros"] = span.cost_micros
        if span.currency and span.currency != "USD":
            found["penstock.cost.currency"] = span.currency
    return found


def _counts(span: Span, names: tuple[tuple[str, str], ...], found: Attributes) -> None:
    for field, name in names:
        value = getattr(span, field)
        if value is not None:
            found[name] = value


def _messages(text: str) -> list[dict[str, Any]] | None:
    """The messages in a side of a payload; None for one that is plain text or other JSON."""
    if not text.startswith("[{"):
        return None
    try:
        found: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    entries = cast("list[object]", found)
    if not all(isinstance(one, dict) and isinstance(cast("dict[str, Any]", one).get("parts"), list) for one in entries):
        return None
    return cast("list[dict[str, Any]]", entries)


def _inference_payload(payload: Payload) -> Attributes:
    found: Attributes = {}
    for side, text in (("input", payload.input), ("output", payload.output)):
        if not text:
            continue
        found[f"{side}.value"] = text
        found[f"{side}.mime_type"] = "application/json" if text[0] in "[{" else "text/plain"
        for at, message in enumerate(_messages(text) or ()):
            for name, value in _message(message):
                found[f"llm.{side}_messages.{at}.message.{name}"] = value
    return found


def _message(message: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "role", str(message.get("role", ""))
    if message.get("finish_reason"):
        yield "finish_reason", str(message["finish_reason"])
    parts = [cast("dict[str, Any]", one) for one in cast("list[object]", message["parts"]) if isinstance(one, dict)]
    texts: list[str] = []
    calls = 0
    for part in parts:
        kind = part.get("type")
        if kind == "tool_call":
            base = f"tool_calls.{calls}.tool_call"
            calls += 1
            yield f"{base}.id", str(part.get("id", ""))
            yield f"{base}.function.name", str(part.get("name", ""))
            yield f"{base}.function.arguments", turns.text(part.get("arguments"))
        elif kind == "tool_call_response":
            yield "tool_call_id", str(part.get("id", ""))
            texts.append(turns.text(part.get("response")))
        elif kind == "text":
            texts.append(turns.text(part.get("content")))
        else:
            texts.append(f"[{kind}] {turns.text(part.get('content', part.get('uri')))}".rstrip())
    if texts:
        yield "content", "\n".join(texts)
