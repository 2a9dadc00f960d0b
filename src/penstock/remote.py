"""A running Penstock, asked over HTTP: what commands stand on that ask one. Files are sent and received in pieces."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import sys
import time
import urllib.parse
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from penstock.kernel.errors import Forbidden, NotFound, PenstockError, RequestError, Unauthenticated, Unavailable

KEY_VARIABLE = "PENSTOCK_KEY"
"""The variable of the environment from which commands take the key."""
PIECE = 1 << 18
SECONDS = 120.0
LOOK_SECONDS = 0.5
"""Between two looks at what is followed."""


class Remote:
    """A Penstock at ``url``, asked with a key, which may keep silent for ``seconds``.

    Raises `RequestError` for an address that is none, `Unauthenticated` without a key. What it answers with a status of 400 and more is
    raised with its message and code as `Unauthenticated`, `Forbidden`, `NotFound`, `RequestError` or `Unavailable`; so is the last where
    nothing answers.
    """

    def __init__(self, url: str, key: str, *, seconds: float = SECONDS) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(f"{url[:200]!r} is not the address of a Penstock; it looks like http://127.0.0.1:8080", param="running")
        if not key:
            raise Unauthenticated(f"set {KEY_VARIABLE} to a key of the Penstock at {url}", code="missing_api_key")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._key = key
        self._url = url
        self._seconds = seconds

    @classmethod
    def of_environment(cls, url: str, *, seconds: float = SECONDS) -> Remote:
        """The Penstock at ``url``, with the key of the environment. Raises as the class does."""
        return cls(url, os.environ.get(KEY_VARIABLE, ""), seconds=seconds)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON that is answered, None where nothing is. Raises what the answer says is wrong."""
        with self._reply(method, path, None if body is None else msgspec.json.encode(body), {"content-type": "application/json"}) as reply:
            told = reply.read()
            return msgspec.json.decode(told) if told else None

    def upload(self, file: Path, purpose: str) -> str:
        """Store a file there; its id."""
        edge = secrets.token_hex(16)
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in file.name)
        head = (
            f'--{edge}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{edge}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\ncontent-type: application/jsonl\r\n\r\n'
        ).encode()
        tail = f"\r\n--{edge}--\r\n".encode()
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            headers = {"content-type": f"multipart/form-data; boundary={edge}", "content-length": str(len(head) + size + len(tail))}
            with self._reply("POST", "/v1/files", _form(head, opened, tail), headers) as reply:
                return str(msgspec.json.decode(reply.read())["id"])

    def get(self, path: str) -> bytes:
        """What is answered to a GET."""
        with self._reply("GET", path, None, {}) as reply:
            return reply.read()

    def pieces(self, path: str) -> Iterator[bytes]:
        """What is answered to a GET, as it comes."""
        with self._reply("GET", path, None, {}) as reply:
            while piece := reply.read(PIECE):
                yield piece

    def followed(self, path: str, line: Callable[[Any], str], ended: Collection[str], *, follow: bool) -> Any:
        """What is answered at ``path``, with its ``line`` on standard output; with ``follow`` until its ``status`` is one of ``ended``.

        On a terminal the line is written over, elsewhere each new one is a line of its own.
        """
        terminal = sys.stdout.isatty()
        said = ""
        while True:
            told = self.ask("GET", path)
            over = told["status"] in ended
            text = line(told)
            if text != said:
                sys.stdout.write(f"\r\x1b[K{text}" if terminal and not over else (f"\r\x1b[K{text}\n" if terminal else f"{text}\n"))
                sys.stdout.flush()
                said = text
            if over or not follow:
                break
            time.sleep(LOOK_SECONDS)
        if terminal and not over:
            sys.stdout.write("\n")
        return told

    @contextlib.contextmanager
    def _reply(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None, headers: dict[str, str]
    ) -> Generator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._seconds)
        try:
            try:
                connection.request(method, self._base + path, body=body, headers={**headers, "authorization": f"Bearer {self._key}"})
                reply = connection.getresponse()
            except (OSError, http.client.HTTPException) as fault:
                raise Unavailable(f"{self._url} does not answer: {fault}") from fault
            if reply.status >= 400:
                raise _fault(reply.status, reply.read(1 << 16))
            yield reply
        finally:
            connection.close()


def _form(head: bytes, file: BinaryIO, tail: bytes) -> Iterator[bytes]:
    yield head
    while piece := file.read(PIECE):
        yield piece
    yield tail


def _fault(status: int, body: bytes) -> PenstockError:
    try:
        told: dict[str, Any] = msgspec.json.decode(body)["error"]
        message, code = str(told.get("message", "")), str(told.get("code") or told.get("type") or "upstream_error")
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        message, code = f"status {status}", "upstream_error"
    kinds: dict[int, type[PenstockError]] = {401: Unauthenticated, 403: Forbidden, 404: NotFound}
    kind = kinds.get(status, Unavailable if status >= 500 else RequestError)
    return kind(message, code=code)
