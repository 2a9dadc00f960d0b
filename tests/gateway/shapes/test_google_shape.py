from __future__ import annotations

import json

from msgspec import Raw

from penstock.gateway.shapes.google_shape import GoogleShape, without_address
from penstock.kernel.errors import UnknownModel


def test_the_body_upstream_names_neither_model_nor_stream_and_keeps_the_clients_bytes() -> None:
    fields = {"model": Raw(b'"m"'), "stream": Raw(b"true"), "contents": Raw(b'[ {"parts": []} ]')}
    assert GoogleShape().upstream_body(fields, model="theirs", stream=True, want_usage=True) == b'{"contents":[ {"parts": []} ]}'
    assert list(without_address(fields)) == ["contents"]
    assert "model" in fields


def test_a_failure_is_a_status_of_googles() -> None:
    status, body = GoogleShape().error(UnknownModel("no"))
    assert (status, json.loads(body)["error"]["status"]) == (404, "NOT_FOUND")
