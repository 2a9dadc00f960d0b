"""What a request's head says, put onto its call: the same for calls over HTTP and for those that rooms make."""

from __future__ import annotations

import re

from penstock.gateway.shapes.shape import Head
from penstock.kernel.call import Call
from penstock.kernel.tasks import TASK_PREFIX

LONGEST_LABEL = 200
_INLINE_DATA = re.compile(rb'"(?:data:[^"\\]{64,}|[A-Za-z0-9+/=_-]{1024,})"')


def heed(call: Call, head: Head) -> None:
    """Take over model, task, streaming and the expected use from ``head``; the call's body must be set already."""
    if head.model:
        call.model = head.model
        call.stream = head.stream
    call.max_output = head.max_output
    call.want_usage = head.include_usage
    if call.model.startswith(TASK_PREFIX):
        call.task = call.model[len(TASK_PREFIX) :][:LONGEST_LABEL]
    call.input_estimate = estimate_tokens(call.body)
    call.expected = head.expected
    if call.expected is not None:
        call.expected.input = call.expected.input or call.input_estimate


def estimate_tokens(body: bytes) -> int:
    """Expected input tokens of a request body: a token per four bytes, inlined files and images counted as a thousand each."""
    if len(body) > 4096 and (b"base64" in body or b'"inline' in body):
        body, found = _INLINE_DATA.subn(b'""', body)
        return len(body) // 4 + 1000 * found
    return len(body) // 4 + 1
