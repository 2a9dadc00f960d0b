"""OpenInference: what Arize's and Phoenix's instrumentations say (LangChain, LlamaIndex, OpenAI Agents and many others).

https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention, Numbered

OPENINFERENCE = Convention(
    name="openinference",
    source="OpenInference semantic conventions",
    texts={
        "llm.provider": "provider",
        "llm.system": "provider",
        "llm.model_name": "model",
        "embedding.model_name": "model",
        "reranker.model_name": "model",
        "session.id": "session",
        "user.id": "person",
        "agent.name": "agent",
        "tool.name": "tool",
        "prompt.id": "prompt",
    },
    counts={
        "llm.token_count.prompt": "input_tokens",
        "llm.token_count.completion": "output_tokens",
        "llm.token_count.prompt_details.cache_read": "cached_tokens",
        "llm.token_count.completion_details.reasoning": "reasoning_tokens",
    },
    kinds={
        "openinference.span.kind": {
            # LlamaIndex calls what prepares a request an LLM, too.
            "llm": "call?",
            "chain": "chain",
            "agent": "agent",
            "tool": "tool",
            "retriever": "retrieval",
            "embedding": "embedding",
            "reranker": "rerank",
            "guardrail": "guard",
            "evaluator": "evaluation",
            "prompt": "step",
        }
    },
    costs=("llm.cost.total",),
    contents={"input.value": "input", "output.value": "output"},
    numbered=(
        Numbered("llm.input_messages.", "input.messages", "message"),
        Numbered("llm.output_messages.", "output.messages", "message"),
        Numbered("retrieval.documents.", "documents", "document"),
        Numbered("reranker.output_documents.", "documents", "document"),
        Numbered("embedding.embeddings.", "embeddings", "embedding"),
    ),
    noise=("input.mime_type", "output.mime_type"),
)
