"""Which spans are meant, as addresses of pages and routes say it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.web import Moment
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import KINDS, STATUSES

Name = Annotated[str, Meta(max_length=500)]

EXACT = (
    "task",
    "model",
    "provider",
    "agent",
    "tool",
    "service",
    "session",
    "release",
    "person",
    "run",
    "environment",
    "team",
    "project",
    "key",
    "answered",
    "prompt",
    "operation",
    "error_code",
    "verdict",
    "source",
)
"""Dimensions that a question gives one value of."""

INNER = ("kind", "model", "provider", "agent", "tool", "text", "attribute", "min_cost_micros", "answered", "prompt", "operation", "verdict")
"""What usually holds of a span within a trace, and not of the one that began it."""

CHOICES = {"kind": KINDS, "status": STATUSES}


class SpanQuery(Struct, frozen=True, kw_only=True):
    """Which spans are meant: those that meet all that is given. Times are Unix seconds, a span counts by its start.

    ``kind`` and ``status`` may be several with commas between them. ``text`` is looked for in prompts and replies: all words, a part in
    "quotation marks" as a phrase, ``word*`` for a beginning. ``attribute`` is ``key=value`` of what the sender said. ``annotated`` leaves
    traces about which somebody said something, ``label`` those with this label. ``roots`` leaves spans without a parent.
    """

    since: Moment | None = None
    until: Moment | None = None
    text: Name = ""
    kind: Name = ""
    status: Name = ""
    task: Name = ""
    model: Name = ""
    provider: Name = ""
    agent: Name = ""
    tool: Name = ""
    service: Name = ""
    session: Name = ""
    release: Name = ""
    environment: Name = ""
    team: Name = ""
    project: Name = ""
    key: Name = ""
    answered: Name = ""
    prompt: Name = ""
    operation: Name = ""
    error_code: Name = ""
    verdict: Name = ""
    source: Name = ""
    person: Name = ""
    run: Name = ""
    attribute: Annotated[str, Meta(max_length=2000)] = ""
    min_ms: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    max_ms: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    min_cost_micros: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    flagged: bool | None = None
    annotated: bool = False
    label: Name = ""
    roots: bool = False


def meant(query: SpanQuery, organisation: str | None, traces: tuple[str, ...] | None = None) -> Filter:
    """The store's filter for ``query``, confined to an organisation and, where given, to these traces. Raises `MalformedRequest`."""
    equal: dict[str, tuple[str, ...]] = {name: (value,) for name in EXACT if (value := getattr(query, name))}
    for name, known in CHOICES.items():
        wanted = tuple(one.strip() for one in getattr(query, name).split(",") if one.strip())
        if not set(wanted) <= set(known):
            raise MalformedRequest(f"{name} is one or more of {', '.join(known)}", param=name)
        if wanted:
            equal[name] = wanted
    if traces is not None:
        equal["trace_id"] = traces
    return Filter(
        organisation=organisation,
        since_ns=_ns(query.since),
        until_ns=_ns(query.until),
        equal=equal,
        attributes=_attribute(query.attribute),
        text=query.text,
        min_ms=query.min_ms,
        max_ms=query.max_ms,
        min_cost_micros=query.min_cost_micros,
        flagged=query.flagged,
        roots=query.roots,
    )


def _ns(moment: float | None) -> int | None:
    # A float of seconds holds no nanoseconds; beyond 2262 they have no number.
    return None if moment is None else min(int(moment * 1e6) * 1000, (1 << 63) - 1)


def _attribute(said: str) -> dict[str, str]:
    if not said:
        return {}
    key, sign, value = said.partition("=")
    if not sign or not key.strip():
        raise MalformedRequest("attribute is key=value, such as http.route=/chat", param="attribute")
    return {key.strip(): value.strip()}
