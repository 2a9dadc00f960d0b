"""Failures as Amazon Bedrock reports them, by name: in the header ``x-amzn-ErrorType`` of a reply, in the messages of a stream.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html.
"""

from __future__ import annotations

import msgspec

from penstock.kernel.errors import UpstreamRefused

HEADER = "x-amzn-errortype"
_STATUS = {
    "throttlingexception": 429,
    "servicequotaexceededexception": 429,
    "modelnotreadyexception": 429,
    "serviceunavailableexception": 503,
    "internalserverexception": 500,
    "modelerrorexception": 502,
    "modelstreamerrorexception": 502,
    "modeltimeoutexception": 504,
    "validationexception": 400,
    "resourcenotfoundexception": 404,
    "accessdeniedexception": 403,
}


class _Body(msgspec.Struct):
    message: str | None = None
    originalMessage: str | None = None


_BODY = msgspec.json.Decoder(_Body)


def status_of(kind: str | None, status: int) -> int:
    """The status that says what the failure ``kind`` means, where AWS's own says less: a quota that is used up comes as 400."""
    return status if kind is None else _STATUS.get(_name(kind), status)


def in_stream(kind: str, payload: bytes) -> UpstreamRefused:
    """The failure that a stream ended with."""
    try:
        body = _BODY.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = _Body()
    status = status_of(kind, 500)
    said = (body.message or body.originalMessage or "without saying why")[:1000]
    # What is ours or the operator's to mend is never the caller's fault.
    told = status if status in (400, 429, 503, 504) else 502
    return UpstreamRefused(f"The provider ended the stream with {kind}: {said}", status=told, upstream_status=status)


def _name(kind: str) -> str:
    # As in "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/".
    return kind.partition(":")[0].rpartition("#")[2].lower()
