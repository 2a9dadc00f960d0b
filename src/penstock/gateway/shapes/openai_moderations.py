"""OpenAI moderations: passed through (https://platform.openai.com/docs/api-reference/moderations)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import openai_usage
from penstock.gateway.shapes.body import expect, model_of, top_level
from penstock.gateway.shapes.plain import Plain
from penstock.gateway.shapes.shape import Fields, Head
from penstock.kernel.call import Usage

DEFAULT_MODEL = "omni-moderation-latest"
"""What OpenAI takes when none is named."""


class OpenAIModerations(Plain):
    """The shape ``openai.moderations``; it never streams. Mistral speaks it too, and reports usage."""

    name = "openai.moderations"
    operation = "moderations"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        if fields.get("model", Raw(b"null")) == Raw(b"null"):
            fields["model"] = Raw(msgspec.json.encode(DEFAULT_MODEL))
        model = model_of(fields)
        expect(fields, "input", b'["')
        return fields, Head(model=model, expected=Usage())

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return openai_usage.of_chat_body(body)
