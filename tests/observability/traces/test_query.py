"""Questions as addresses have them."""

from __future__ import annotations

import pytest

from penstock.kernel.errors import MalformedRequest
from penstock.observability.traces.query import SpanQuery, meant


def test_a_question_becomes_the_stores_filter() -> None:
    query = SpanQuery(
        since=1.5, kind="call, tool", status="failed", model="m", attribute="http.route=/a=b", min_cost_micros=5, roots=True, text="blue"
    )
    found = meant(query, "org", ("a",))
    assert found.organisation == "org"
    assert (found.since_ns, found.until_ns) == (1_500_000_000, None)
    assert found.equal == {"kind": ("call", "tool"), "status": ("failed",), "model": ("m",), "trace_id": ("a",)}
    assert found.attributes == {"http.route": "/a=b"}
    assert (found.min_cost_micros, found.roots, found.text) == (5, True, "blue")


def test_a_far_moment_is_no_overflow() -> None:
    assert meant(SpanQuery(until=253_402_300_799.0), None).until_ns == (1 << 63) - 1


@pytest.mark.parametrize(
    "query", [SpanQuery(kind="colour"), SpanQuery(status="ok,odd"), SpanQuery(attribute="x"), SpanQuery(attribute="=1")]
)
def test_what_makes_no_sense_is_refused(query: SpanQuery) -> None:
    with pytest.raises(MalformedRequest):
        meant(query, None)
