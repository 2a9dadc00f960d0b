"""What Google's shapes share: the path names the model and whether it streams, so the body upstream does not; and how failures look."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.gateway.shapes import google_error
from penstock.gateway.shapes.shape import Fields
from penstock.kernel.errors import PenstockError

_ADDRESS = ("model", "stream")


class GoogleShape:
    """The half of a `Shape` that is the same for all of them."""

    def upstream_body(self, fields: Fields, *, model: str, stream: bool, want_usage: bool) -> bytes:
        """See `Shape.upstream_body`; these APIs send usage unasked."""
        return msgspec.json.encode(without_address(fields))

    def error(self, error: PenstockError) -> tuple[int, bytes]:
        """See `Shape.error`."""
        return google_error.render(error)


def without_address(fields: Fields) -> dict[str, Any]:
    """A copy of the top level for a provider of the same shape; its path names the model."""
    return {name: raw for name, raw in fields.items() if name not in _ADDRESS}
