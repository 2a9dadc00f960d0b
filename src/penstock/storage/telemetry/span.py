"""The one model of what ran: calls, runs, retrievals, tools, and whatever outside programs tell, each a span of a trace.

A span is appended once, when it is over. Every word that a page filters or groups by is a field; what is left of the sender's
attributes stays beside it as JSON text. Prompt and reply travel with the span and are stored apart from it.
"""

from __future__ import annotations

import msgspec

KINDS = ("call", "run", "step", "agent", "chain", "retrieval", "tool", "embedding", "rerank", "guard", "evaluation", "span")
"""What a span can be here. ``call`` is a request to a model; ``span`` is anything that none of the others says."""

STATUSES = ("ok", "refused", "failed", "cancelled")
"""How a span ended: as calls do. An outside span with the status ERROR has ``failed``; UNSET and OK are ``ok``."""


class Payload(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What went in and what came out: plain text, or JSON text where it is messages. Redacted before it gets here."""

    input: str = ""
    output: str = ""


class Span(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One thing that ran. Absent text is empty, absent numbers are None: a count of 0 was counted.

    ``trace_id`` has 32 lower-case hex digits, ``span_id`` and ``parent_id`` 16 (the latter may be empty); times are Unix nanoseconds,
    ``end_ns`` never before ``start_ns``. The sender of wrong ones repairs or refuses them: the store trusts what it is given.

    ``status`` is one of `STATUSES`, ``kind`` one of `KINDS`. ``service``, ``release`` and ``environment`` say which program ran. The owners
    (``organisation`` to ``key``) come from who sent the span, never from what it says about itself; only the ``person``, where the key has
    none, is the user that it names, so that one can be asked for and erased. ``session`` is the
    conversation or thread, ``run`` the durable run. ``model`` was asked for and ``answered`` is what answered. ``prompt`` is the stored
    prompt, ``name@number``. ``first_token_ns`` is the time from the start to the first token. ``cost_micros`` are millionths of
    ``currency``. ``error_code`` is a stable code (ours, or the type that the sender gave), ``message`` what it said. ``verdict`` is the
    severest that a guard said. ``flagged`` spans are kept like failed ones, whatever the sampling. ``attributes`` and ``resource`` are
    JSON objects, ``events`` and ``links`` JSON arrays, each as text and empty where there is nothing; ``source`` is the
    instrumentation, ``name@version``.
    """

    trace_id: str
    span_id: str
    start_ns: int
    end_ns: int
    parent_id: str = ""
    kind: str = "span"
    name: str = ""
    status: str = "ok"
    organisation: str = ""
    team: str = ""
    project: str = ""
    person: str = ""
    key: str = ""
    service: str = ""
    release: str = ""
    environment: str = ""
    task: str = ""
    session: str = ""
    run: str = ""
    agent: str = ""
    tool: str = ""
    operation: str = ""
    provider: str = ""
    model: str = ""
    answered: str = ""
    prompt: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_micros: int | None = None
    currency: str = ""
    first_token_ns: int | None = None
    error_code: str = ""
    message: str = ""
    verdict: str = ""
    flagged: bool = False
    source: str = ""
    attributes: str = ""
    resource: str = ""
    events: str = ""
    links: str = ""
    payload: Payload | None = None


FIELDS: tuple[str, ...] = tuple(name for name in Span.__struct_fields__ if name != "payload")
"""The columns of a span, in their order."""

_NOT_ASKED_BY = frozenset({"span_id", "message", "attributes", "resource", "events", "links"})

DIMENSIONS: frozenset[str] = frozenset(name for name, kind in Span.__annotations__.items() if kind == "str" and name not in _NOT_ASKED_BY)
"""Fields that a question may filter by; all but the ids may also be grouped by."""
