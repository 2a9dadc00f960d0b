"""Base64 inside JSON, told by size and digest: what a record keeps of pictures and sound that nobody reads as letters."""

from __future__ import annotations

import hashlib
import re

LONG = 1024
"""Characters from which base64 is told instead of kept; shorter ones are ids, keys and the like."""

_RUN = re.compile(rb'"((?:data:[A-Za-z0-9.+/-]{0,100}(?:;[a-z]+=[A-Za-z0-9-]{1,40}){0,3};base64,)?)([A-Za-z0-9+/]{%d,}={0,2})"' % LONG)


def told(data: bytes) -> bytes:
    """JSON with each long base64 string replaced by ``[N bytes in base64, SHA-256 of them: ...]``, a data URL's head left standing.

    The digest is of the base64 as it was written, so that whoever holds the body can compare; the size is that of the content. Texts
    that happen to be long and without a blank are told too.
    """
    if len(data) < LONG:
        return data
    return _RUN.sub(_tell, data)


def _tell(found: re.Match[bytes]) -> bytes:
    head, run = found.groups()
    size = len(run.rstrip(b"=")) * 3 // 4
    return b'"%s[%d bytes in base64, SHA-256 of them: %s]"' % (head, size, hashlib.sha256(run).hexdigest().encode())
