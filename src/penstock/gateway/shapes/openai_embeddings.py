"""OpenAI embeddings: passed through (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from penstock.gateway.shapes import openai_error, openai_usage
from penstock.gateway.shapes.body import expect, model_of, rewritten, top_level
from penstock.gateway.shapes.shape import Fields, Head
from penstock.kernel.call import Usage
from penstock.kernel.errors import PenstockError


class OpenAIEmbeddings:
    """The shape ``openai.embeddings``; it never streams."""

    name = "openai.embeddings"
    operation = "embeddings"

    def read(self, body: bytes) -> tuple[Fields, Head]:
        """See `Shape.read`."""
        fields = top_level(body)
        model = model_of(fields)
        expect(fields, "input", b'["')
        return fields, Head(model=model)

    def upstream_body(
        self,
        fields: Fields,
        *,
        model: str,
        stream: bool,
        want_usage: bool,
        drop: frozenset[str] = frozenset(),
        set: Mapping[str, Raw] | None = None,
    ) -> bytes:
        """See `Shape.upstream_body`."""
        return msgspec.json.encode(rewritten(fields, model=model, stream=False, drop=drop, set=set))

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return openai_error.render(error)

    def usage(self, body: bytes) -> Usage | None:
        """See `Shape.usage`."""
        return openai_usage.of_chat_body(body)
