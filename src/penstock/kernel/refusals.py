"""How OpenAI's and Anthropic's APIs tell a failure, for every room that answers in their shapes.

Sources: https://platform.openai.com/docs/guides/error-codes and https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.kernel.errors import PenstockError

_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def openai_object(error: PenstockError) -> dict[str, Any]:
    """What stands under ``error`` in OpenAI's shape."""
    status = error.status
    if error.code == "insufficient_quota":
        kind = "insufficient_quota"
    elif status == 429:
        kind = "rate_limit_error"
    elif status == 403:
        kind = "permission_error"
    else:
        kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code}


def openai_refusal(error: PenstockError) -> tuple[int, bytes]:
    """Status and body in OpenAI's shape."""
    return error.status, msgspec.json.encode({"error": openai_object(error)})


def anthropic_body(error: PenstockError) -> bytes:
    """The error's JSON in Anthropic's shape, in a reply as in a stream."""
    kind = _ANTHROPIC_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    # The API has no field for the offending parameter, so the message names it.
    named = error.param is None or error.param in error.message
    message = error.message if named else f"{error.param}: {error.message}"
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def anthropic_refusal(error: PenstockError) -> tuple[int, bytes]:
    """Status and body in Anthropic's shape."""
    return error.status, anthropic_body(error)
