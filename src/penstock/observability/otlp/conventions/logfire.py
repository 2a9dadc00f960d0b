"""Pydantic AI and Logfire: GenAI conventions, with some names of their own.

https://ai.pydantic.dev/logfire/ and https://logfire.pydantic.dev/docs/
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

LOGFIRE = Convention(
    name="logfire",
    source="Pydantic AI and Logfire",
    texts={"agent_name": "agent", "model_name": "model"},
    kinds_by_presence={"agent_name": "agent"},
    costs=("operation.cost",),
    contents={
        "pydantic_ai.all_messages": "input.messages",
        "all_messages_events": "events",
        "events": "events",
        "final_result": "output",
        "tool_arguments": "input",
        "tool_response": "output",
        "request_data": "input",
        "response_data": "output",
    },
    noise=("logfire.json_schema", "logfire.msg", "logfire.msg_template", "logfire.span_type", "logfire.level_num"),
)
