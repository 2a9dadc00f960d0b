"""Which spans an export means."""

from __future__ import annotations

import pytest

from penstock.kernel.errors import MalformedRequest
from penstock.observability.health.export import ExportQuery, meant
from penstock.storage.telemetry.questions import Filter


def test_an_address_says_which_spans() -> None:
    query = ExportQuery(
        since=10.5, until=20, model="a,b", status="failed", attribute="http.route = /chat", text="parcel", min_ms=5, roots=True
    )
    assert meant(query, "org", 0) == Filter(
        organisation="org",
        since_ns=10_500_000_000,
        until_ns=20_000_000_000,
        equal={"model": ("a", "b"), "status": ("failed",)},
        attributes={"http.route": "/chat"},
        text="parcel",
        min_ms=5,
        roots=True,
    )
    assert meant(ExportQuery(), None, 86_400.0 * 2).since_ns == 86_400 * 10**9
    with pytest.raises(MalformedRequest, match="key=value"):
        meant(ExportQuery(attribute="=x"), None, 0)
