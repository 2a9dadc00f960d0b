"""The GenAI semantic conventions before 1.37: ``gen_ai.system``, prompts and replies in events or in one attribute.

https://github.com/open-telemetry/semantic-conventions/blob/v1.28.0/docs/gen-ai/ and v1.36.0.
"""

from __future__ import annotations

from penstock.observability.otlp.conventions.convention import Convention

GENAI_OLD = Convention(
    name="genai-old",
    source="OpenTelemetry GenAI semantic conventions 1.27 to 1.36",
    texts={"gen_ai.system": "provider"},
    counts={"gen_ai.usage.prompt_tokens": "input_tokens", "gen_ai.usage.completion_tokens": "output_tokens"},
    contents={"gen_ai.prompt": "input.messages", "gen_ai.completion": "output.messages"},
    event_roles={
        "gen_ai.system.message": "system",
        "gen_ai.user.message": "user",
        "gen_ai.assistant.message": "assistant",
        "gen_ai.tool.message": "tool",
        "gen_ai.choice": "choice",
    },
    event_contents=("gen_ai.content.prompt", "gen_ai.content.completion"),
)
