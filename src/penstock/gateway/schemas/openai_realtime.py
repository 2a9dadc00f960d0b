"""Realtime sessions, as the OpenAPI document describes them: the request to switch protocols; what follows is told in docs/realtime.md."""

from __future__ import annotations

from penstock.gateway.schemas.failures import OPENAI_ERROR, OPENAI_FAILURES
from penstock.gateway.schemas.notation import ref, text
from penstock.kernel.web import Description


def describe() -> Description:
    """The request that opens a session."""
    failures = {status: what for status, what in OPENAI_FAILURES.items() if status not in ("408", "413")}
    return Description(
        request=None,
        reply=None,
        error=ref("OpenAIError"),
        failures={**failures, "426": "The request does not ask for a WebSocket."},
        schemas={"OpenAIError": OPENAI_ERROR},
        query={"model": text("A realtime model of `/v1/models`, `provider/model`, or `task:name`.", minLength=1, maxLength=512)},
        headers={
            "sec-websocket-protocol": text("From a browser, which cannot set other headers: `realtime, openai-insecure-api-key.KEY`."),
        },
        good="101",
    )


def describe_secrets() -> Description:
    """The request for a browser's key, which is always refused."""
    return Description(
        request=None,
        reply=None,
        error=ref("OpenAIError"),
        failures={"401": "No key, or one that is not valid.", "501": "Always: make a key with an end instead (`POST /v1/keys`)."},
        schemas={"OpenAIError": OPENAI_ERROR},
    )
