"""What a model call may end in, and the shapes in which that is told."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.schemas.notation import Schema, many, maybe, obj, text, whole, word

FAILURES: Mapping[str, str] = {
    "400": "The request is malformed, or holds a field that the chosen provider has no counterpart for (`not_expressible`).",
    "401": "No key, or one that is not valid.",
    "403": "The key may not call models, or not this one.",
    "404": "Nothing serves a model of this name.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than `gateway.max_body_bytes`.",
    "429": "A limit of the key is reached, or the provider says so of its own.",
    "4XX": "The provider refused the request as the caller's mistake; its status (such as 409, 415 or 422) and words are passed on.",
    "500": "A fault of Penstock's; the operator finds it in the log under the request's id.",
    "502": "The provider failed, could not be reached, or does not accept the operator's key.",
    "503": "Too many calls are in flight, Penstock is stopping, or the provider is overloaded.",
    "504": "The deadline passed.",
}

OPENAI_FAILURES = {**FAILURES, "429": f"{FAILURES['429']} A budget that is spent has the code `insufficient_quota`."}

ANTHROPIC_FAILURES = {**FAILURES, "402": "A budget is spent."}

OPENAI_ERROR: Schema = obj(
    "A failure as OpenAI's APIs tell it.",
    need=("error",),
    error=obj(
        need=("message", "type", "param", "code"),
        message=text("What is wrong, where, and what to do."),
        type=word("invalid_request_error", "permission_error", "rate_limit_error", "insufficient_quota", "server_error"),
        param=maybe(text("The field that is wrong.")),
        code=text("Stable; docs/errors.md lists all."),
    ),
)

ANTHROPIC_ERROR: Schema = obj(
    "A failure as Anthropic's API tells it.",
    need=("type", "error"),
    type={"const": "error"},
    error=obj(
        need=("type", "message"),
        type=word(
            "invalid_request_error",
            "authentication_error",
            "billing_error",
            "permission_error",
            "not_found_error",
            "request_too_large",
            "rate_limit_error",
            "api_error",
            "overloaded_error",
            "timeout_error",
        ),
        message=text("What is wrong, where, and what to do."),
    ),
)

GOOGLE_ERROR: Schema = obj(
    "A failure as Google's APIs tell it.",
    need=("error",),
    error=obj(
        need=("code", "message", "status", "details"),
        code=whole("The HTTP status."),
        message=text("What is wrong, where, and what to do."),
        status=word(
            "INVALID_ARGUMENT",
            "UNAUTHENTICATED",
            "PERMISSION_DENIED",
            "NOT_FOUND",
            "ABORTED",
            "RESOURCE_EXHAUSTED",
            "CANCELLED",
            "INTERNAL",
            "UNIMPLEMENTED",
            "UNAVAILABLE",
            "DEADLINE_EXCEEDED",
        ),
        details=many(
            obj(
                "ErrorInfo has our stable code in capitals as its reason, BadRequest names the field, RetryInfo says when to try again.",
                need=("@type",),
            )
        ),
    ),
)
