"""The headers that the model routes read, and those of their answers."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.schemas.notation import Schema, number, text, whole

ASKED: Mapping[str, Schema] = {
    "x-penstock-priority": {"type": "string", "enum": ["interactive", "batch"], "description": "Batch is refused first under load."},
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
    "x-penstock-notes": text("What was left out, since the provider has no counterpart for it."),
}
"""Of answers."""
