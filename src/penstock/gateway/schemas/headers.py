"""The headers that the model routes read, and those of their answers."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.schemas.notation import Schema, number, text, whole

ASKED: Mapping[str, Schema] = {
    "x-penstock-priority": {"type": "string", "enum": ["interactive", "batch"], "description": "Batch is refused first under load."},
    "x-penstock-cache": {
        "type": "string",
        "enum": ["off", "on", "refresh"],
        "description": "`off`: no cache for this call; `on`: also where no rule of `[cache]` says so; `refresh`: ask anew, keep that.",
    },
    "x-penstock-timeout": number("Seconds that the call may take; never more than `gateway.call_seconds`.", exclusiveMinimum=0),
    "x-penstock-task": text("The task that the call is for, where the model is not `task:name`."),
    "x-penstock-labels": text("`name=value, name=value`, at most 16; kept with the record.", examples=["ticket=17, channel=mail"]),
    "traceparent": text("W3C trace context: the call's record and spans join this trace."),
}
"""Of requests, beside the key."""

TOLD: Mapping[str, Schema] = {
    "x-request-id": text("The call's id on the record; also as `request-id`."),
    "traceparent": text("The call's own span."),
    "x-penstock-provider": text("The provider that answered."),
    "x-penstock-model": text("What that provider calls the model."),
    "x-penstock-cost-micros": whole("What the call cost in micro-units; a stream says it in a last comment instead."),
    "x-penstock-cache": text("Where a cache had a say: `hit`, `semantic`, `miss`, or `off` for a call that is not to be cached."),
    "x-penstock-cache-age": whole("Seconds since a provider made the reply; only of a hit."),
    "x-penstock-cache-call": text("The call that the reply was made for; only of a hit."),
    "x-penstock-cache-similarity": number("Cosine between the two questions; only of a semantic hit."),
    "x-penstock-notes": text("What was left out, since the provider has no counterpart for it."),
}
"""Of answers."""
