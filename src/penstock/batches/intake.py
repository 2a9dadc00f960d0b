"""The body of a POST to ``/v1/messages/batches``, cut into its requests while it arrives: it is never held whole.

The body is ``{"requests": [{"custom_id": ..., "params": {...}}, ...]}``. Only where one request ends and the next begins is looked for
here; what stands in it is then read as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from penstock.kernel.errors import BodyTooLarge, MalformedRequest

_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"requests"[ \t\r\n]*:[ \t\r\n]*\[')
_TAIL = re.compile(rb"\][ \t\r\n]*\}[ \t\r\n]*")
_MARK = re.compile(rb'["{}]')
_IN_TEXT = re.compile(rb'["\\]')
_SPACE = b" \t\r\n"
LONGEST_HEAD = 1024
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class InlineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request of the body."""

    custom_id: str
    params: msgspec.Raw


_decoder = msgspec.json.Decoder(InlineRequest)


class Requests:
    """Feed it the body piece by piece; it gives the requests. Raises `MalformedRequest` and, for one that is too long, `BodyTooLarge`."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._held = bytearray()
        self._at = 0
        self._depth = 0
        self._in_text = False
        self._state = "head"
        self._separated = True
        self.count = 0

    def feed(self, piece: bytes) -> Iterator[InlineRequest]:
        """The requests that ``piece`` completes."""
        self._held += piece
        if self._state == "head":
            found = _HEAD.match(self._held)
            if found is None:
                if len(self._held) > LONGEST_HEAD or self._clearly_wrong():
                    raise MalformedRequest('the body must be {"requests": [...]}', param="requests")
                return
            del self._held[: found.end()]
            self._state = "between"
        while self._state in ("between", "inside"):
            if self._state == "between" and not self._begin():
                break
            if self._state == "inside":
                end = self._end()
                if end is None:
                    break
                made = bytes(self._held[:end])
                del self._held[:end]
                self._at = 0
                self._state = "between"
                self._separated = False
                yield self._read(made)
        if self._state == "tail" and len(self._held) > LONGEST_HEAD:
            raise MalformedRequest("there is something after the requests", param="requests")

    def end(self) -> None:
        """The body has ended. Raises `MalformedRequest` when it was not whole."""
        if self._state != "tail" or not _TAIL.fullmatch(self._held):
            raise MalformedRequest('the body must be {"requests": [...]} and nothing else', param="requests")

    def _clearly_wrong(self) -> bool:
        return bytes(self._held.lstrip(_SPACE)[:1]) not in (b"", b"{")

    def _begin(self) -> bool:
        """Move on to the beginning of the next request; whether one may have begun."""
        held = self._held
        while held:
            first = bytes(held[:1])
            if first in (b" ", b"\t", b"\r", b"\n"):
                del held[: len(held) - len(held.lstrip(_SPACE))]
            elif first == b"," and not self._separated:
                del held[:1]
                self._separated = True
            elif first == b"{" and self._separated:
                self._state, self._depth, self._in_text, self._at = "inside", 0, False, 0
                return True
            elif first == b"]" and (not self._separated or self.count == 0):
                self._state = "tail"
                return False
            else:
                raise MalformedRequest(f"requests.{self.count}: an object is wanted here", param="requests")
        return False

    def _end(self) -> int | None:
        """Where the request that begins at 0 ends; None when that has not arrived."""
        held, at = self._held, self._at
        while True:
            found = (_IN_TEXT if self._in_text else _MARK).search(held, at)
            if found is None:
                self._at = len(held)
                break
            mark, at = found[0], found.end()
            if self._in_text:
                if mark == b"\\":
                    if at >= len(held):
                        self._at = at - 1
                        break
                    at += 1
                else:
                    self._in_text = False
            elif mark == b'"':
                self._in_text = True
            elif mark == b"{":
                self._depth += 1
            else:
                self._depth -= 1
                if not self._depth:
                    return at
        if len(held) > self._most:
            raise self._too_long()
        return None

    def _read(self, made: bytes) -> InlineRequest:
        if len(made) > self._most:
            raise self._too_long()
        where = f"requests.{self.count}"
        try:
            if not made.isascii():
                made.decode()  # what stays raw nobody has looked into
            found = _decoder.decode(made)
        except msgspec.ValidationError as fault:
            raise MalformedRequest(f"{where}: {fault}", param=where) from fault
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise MalformedRequest(f"{where} is not valid JSON", param=where) from fault
        if not CUSTOM_ID.fullmatch(found.custom_id):
            raise MalformedRequest(f"{where}.custom_id: must be 1 to 64 letters, digits, '-' and '_'", param=f"{where}.custom_id")
        if bytes(memoryview(found.params)[:1]) != b"{":
            raise MalformedRequest(f"{where}.params: must be an object", param=f"{where}.params")
        self.count += 1
        return found

    def _too_long(self) -> BodyTooLarge:
        return BodyTooLarge(f"requests.{self.count} is longer than {self._most} bytes (batches.max_line_bytes)", param="requests")
