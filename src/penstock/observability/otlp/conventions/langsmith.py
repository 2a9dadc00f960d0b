"""LangSmith: what its SDK and the programs that follow its guide send over OTLP.

https://docs.langchain.com/langsmith/trace-with-opentelemetry#supported-opentelemetry-attribute-and-event-mapping
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

LANGSMITH = Convention(
    name="langsmith",
    source="LangSmith's attributes",
    texts={
        "langsmith.trace.session_id": "session",
        "langsmith.metadata.thread_id": "session",
        "langsmith.metadata.session_id": "session",
        "langsmith.metadata.conversation_id": "session",
        "langsmith.metadata.user_id": "person",
        "langsmith.metadata.ls_provider": "provider",
        "langsmith.metadata.ls_model_name": "model",
        "langsmith.metadata.lc_agent_name": "agent",
    },
    kinds={
        "langsmith.span.kind": {
            "llm": "call",
            "chain": "chain",
            "tool": "tool",
            "retriever": "retrieval",
            "embedding": "embedding",
            "prompt": "step",
            "parser": "step",
        }
    },
)
