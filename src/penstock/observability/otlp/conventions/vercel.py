"""The Vercel AI SDK's telemetry.

https://ai-sdk.dev/docs/ai-sdk-core/telemetry#collected-data. An ``ai.generateText`` span holds an ``ai.generateText.doGenerate`` for each
request to a model, and tells the sum of their tokens again: only the inner ones are calls.
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

VERCEL = Convention(
    name="vercel",
    source="Vercel AI SDK telemetry",
    texts={
        "ai.model.provider": "provider",
        "ai.model.id": "model",
        "ai.response.model": "answered",
        "ai.toolCall.name": "tool",
        "ai.telemetry.functionId": "agent",
        "ai.telemetry.metadata.sessionId": "session",
        "ai.telemetry.metadata.threadId": "session",
        "ai.telemetry.metadata.userId": "person",
    },
    counts={
        "ai.usage.inputTokens": "input_tokens",
        "ai.usage.promptTokens": "input_tokens",
        "ai.usage.outputTokens": "output_tokens",
        "ai.usage.completionTokens": "output_tokens",
        "ai.usage.cachedInputTokens": "cached_tokens",
        "ai.usage.reasoningTokens": "reasoning_tokens",
        "ai.usage.tokens": "input_tokens",
    },
    kinds={
        "ai.operationId": {
            "ai.generatetext": "chain",
            "ai.generatetext.dogenerate": "call",
            "ai.streamtext": "chain",
            "ai.streamtext.dostream": "call",
            "ai.generateobject": "chain",
            "ai.generateobject.dogenerate": "call",
            "ai.streamobject": "chain",
            "ai.streamobject.dostream": "call",
            "ai.embed": "chain",
            "ai.embed.doembed": "embedding",
            "ai.embedmany": "chain",
            "ai.embedmany.doembed": "embedding",
            "ai.rerank": "chain",
            "ai.rerank.dorerank": "rerank",
            "ai.toolcall": "tool",
        }
    },
    first_token={"ai.response.msToFirstChunk": 1e6, "ai.stream.msToFirstChunk": 1e6},
    contents={
        "ai.prompt": "input",
        "ai.prompt.messages": "input.messages",
        "ai.response.text": "output",
        "ai.response.object": "output",
        "ai.response.toolCalls": "tools",
        "ai.toolCall.args": "input",
        "ai.toolCall.result": "output",
        "ai.value": "input",
        "ai.values": "input",
    },
    noise=("ai.embedding", "ai.embeddings", "ai.prompt.tools"),
)
