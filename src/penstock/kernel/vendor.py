"""Endpoints in the vendors' own shapes beside the model routes (files, stored responses): who asks, what they sent, and an answer or a
refusal in the words that their SDK reads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec

from penstock.kernel.call import Headers
from penstock.kernel.errors import BodyTooLarge, DeadlineExceeded, Forbidden, MalformedRequest, PenstockError, Unauthenticated
from penstock.kernel.ids import new_id
from penstock.kernel.ports import Authenticator, Sessions
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.refusals import anthropic_refusal, openai_refusal
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, EdgeStream, Endpoint

_log = logging.getLogger("penstock.vendor")
T = TypeVar("T")

SESSION_COOKIE = "penstock_session"
PIECE_SECONDS = 60.0
"""How long the next bytes of a body may take to come."""
DISCARD_SECONDS = 1.0
DISCARD_BYTES = 4 * 1024 * 1024
"""How long, and how far, a body is read on after it was refused, so that its sender gets to see the refusal."""
MOST_BODY = 1024 * 1024
LONGEST_PARAMETER = 512


def credential(get: Callable[[str], str | None]) -> str | None:
    """The key that a request carries; None when absent.

    It stands in ``Authorization: Bearer``, ``x-api-key`` (Anthropic), ``api-key`` (Azure) or ``x-goog-api-key`` (Google).
    """
    value = get("authorization")
    if value is not None:
        scheme, _, token = value.partition(" ")
        return (token if scheme.lower() == "bearer" else value).strip() or None
    return get("x-api-key") or get("api-key") or get("x-goog-api-key")


def signed_in(get: Callable[[str], str | None], sessions: Sessions | None) -> Principal | None:
    """Who is signed in to the console in the browser that sends these headers; None when nobody is, or another site's page asks.

    Such a page could make the browser send the cookie too, but not this value of ``sec-fetch-site``.
    """
    cookie = get("cookie")
    if cookie is None or sessions is None or get("sec-fetch-site") not in ("same-origin", None):
        return None
    for part in cookie.split(";"):
        name, _, value = part.strip().partition("=")
        if name == SESSION_COOKIE:
            return sessions.principal(value)
    return None


def is_anthropics(scope: EdgeScope) -> bool:
    """Whether a client of Anthropic's API asks, at a path that OpenAI's has too."""
    get = scope.headers.get
    return get("anthropic-version") is not None or get("anthropic-beta") is not None


class Asked:
    """One request: who asks (``principal``), in whose words (``anthropic``), and the names that the path and the query hold."""

    __slots__ = ("_ended", "_query", "_source", "anthropic", "id", "principal", "protocol", "scope")

    def __init__(self, scope: EdgeScope, protocol: EdgeProtocol, id: str) -> None:
        self.scope = scope
        self.protocol = protocol
        self.principal: Principal
        self.anthropic = is_anthropics(scope)
        self.id = id
        self._query: dict[str, list[str]] | None = None
        self._source: AsyncIterator[bytes] | None = None
        self._ended = False

    def header(self, name: str) -> str | None:
        """A header of the request, by its name in lower case."""
        return self.scope.headers.get(name)

    def segment(self, place: int) -> str:
        """A part of the path, counted from 0 (``v1``). It may be anything, but not longer than an id could be."""
        parts = self.scope.path.split("/")[1:]
        return unquote(parts[place])[:LONGEST_PARAMETER] if place < len(parts) else ""

    def all(self, name: str) -> list[str]:
        """All values of a parameter of the query, also where it is written with brackets. Raises `MalformedRequest`."""
        if self._query is None:
            try:
                self._query = parse_qs(self.scope.query_string, keep_blank_values=True, max_num_fields=256)
            except ValueError:
                raise MalformedRequest("The query holds too many fields.") from None
        return [*self._query.get(name, []), *self._query.get(f"{name}[]", [])]

    def one(self, name: str) -> str | None:
        """A parameter of the query, None when absent or empty. Raises `MalformedRequest` when it is given twice or too long."""
        found = self.all(name)
        if len(found) > 1:
            raise MalformedRequest(f"The query parameter {name!r} is given twice.", param=name)
        if found and len(found[0]) > LONGEST_PARAMETER:
            raise MalformedRequest(f"The query parameter {name!r} is longer than {LONGEST_PARAMETER} characters.", param=name)
        return (found[0] or None) if found else None

    def number(self, name: str, default: int, most: int, least: int = 1) -> int:
        """A whole number of the query. Raises `MalformedRequest` when it is none, or out of bounds."""
        text = self.one(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and least <= int(text) <= most):
            raise MalformedRequest(f"{name!r} must be a whole number from {least} to {most}.", param=name)
        return int(text)

    def choice(self, name: str, default: str, known: tuple[str, ...]) -> str:
        """One of a few words of the query. Raises `MalformedRequest` for any other."""
        text = self.one(name) or default
        if text not in known:
            raise MalformedRequest(f"{name!r} must be one of {', '.join(known)}.", param=name)
        return text

    @property
    def declared(self) -> int | None:
        """How long the body is by its own account."""
        text = self.header("content-length")
        return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 20 else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `DeadlineExceeded` when nothing more comes, `MalformedRequest` when the connection ends."""
        self._source = source = aiter(self.protocol)
        while True:
            try:
                async with asyncio.timeout(PIECE_SECONDS):
                    piece = await anext(source)  # with a default, CPython 3.11 calls Granian's awaitable wrongly and crashes
            except StopAsyncIteration:
                self._ended = True
                return
            except TimeoutError:
                self._ended = True
                what = f"no more of the body arrived within {PIECE_SECONDS:g} s"
                raise DeadlineExceeded(what, code="body_timeout", status=408) from None
            except RuntimeError as fault:  # RSGI's word for a connection that closed or broke the protocol inside the body
                self._ended = True
                raise MalformedRequest("the connection ended inside the body") from fault
            yield bytes(piece)

    async def json(self, kind: type[T], most: int = MOST_BODY) -> T:
        """The body as a value of ``kind``; an empty one stands for an empty object. Raises `MalformedRequest` or `BodyTooLarge`."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            size += len(piece)
            if size > most:
                raise BodyTooLarge(f"body is longer than {most} bytes")
            parts.append(piece)
        try:
            return msgspec.json.decode(b"".join(parts) or b"{}", type=kind)
        except msgspec.ValidationError as fault:
            message, _, where = str(fault).partition(" - at `$")
            raise MalformedRequest(f"body: {message}", param=where.strip(".`") or None) from fault
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise MalformedRequest("The body is not valid JSON.") from fault

    async def discard(self) -> None:
        """Read and forget some of a body that nobody wants."""
        if self._ended:
            return
        with contextlib.suppress(RuntimeError, TimeoutError, StopAsyncIteration):
            async with asyncio.timeout(DISCARD_SECONDS):
                source = self._source if self._source is not None else aiter(self.protocol)
                most = DISCARD_BYTES
                while most > 0:
                    most -= len(await anext(source))

    def answer(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        headers = [*self.named(), ("content-type", "application/json"), ("cache-control", "no-store")]
        self.protocol.response_bytes(status, headers, msgspec.json.encode(value))

    def answer_file(self, path: str, headers: Headers) -> None:
        """Answer with a file of this machine, which the server reads as fast as the client does."""
        self.protocol.response_file(200, [*self.named(), *headers], path)

    def answer_stream(self, headers: Headers) -> EdgeStream:
        """Answer with bytes that are still to come."""
        return self.protocol.response_stream(200, [*self.named(), *headers])

    def named(self) -> Headers:
        """The headers that name the request."""
        return [("x-request-id", self.id), ("request-id", self.id), ("x-content-type-options", "nosniff")]

    def refuse(self, fault: PenstockError) -> None:
        """Answer with a failure in the asker's words."""
        status, body = anthropic_refusal(fault) if self.anthropic else openai_refusal(fault)
        headers = [*self.named(), ("content-type", "application/json")]
        if fault.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(fault.retry_after)))))
        if status == 401:
            headers.append(("www-authenticate", "Bearer"))
        self.protocol.response_bytes(status, headers, body)


class VendorDoor:
    """Makes endpoints of handlers that may raise. ``open`` must be called before the first request.

    Whose words an answer is in, the headers of the request say, unless ``anthropic`` does since the path belongs to one API alone.
    """

    def __init__(self, prefix: str, *, anthropic: bool | None = None) -> None:
        self._prefix = prefix
        self._anthropic = anthropic
        self._authenticator: Authenticator | None = None
        self._sessions: Sessions | None = None

    def open(self, authenticator: Authenticator, sessions: Sessions | None) -> None:
        """Say who knows the keys, and the browsers that are signed in."""
        self._authenticator = authenticator
        self._sessions = sessions

    def endpoint(
        self,
        method: str,
        path: str,
        handler: Callable[[Asked], Awaitable[Any]],
        summary: str,
        describe: Callable[[], Description],
        when: Callable[[EdgeScope], bool] | None = None,
    ) -> Endpoint:
        """An endpoint for keys that may call. The handler answers through `Asked`, or returns what is to be answered as JSON."""

        async def handle(scope: EdgeScope, protocol: EdgeProtocol) -> None:
            asked = Asked(scope, protocol, new_id(self._prefix))
            if self._anthropic is not None:
                asked.anthropic = self._anthropic
            try:
                asked.principal = self._principal(scope)
                value = await handler(asked)
                if value is not None:
                    asked.answer(value)
            except PenstockError as fault:
                await asked.discard()
                _refuse(asked, fault)
            except Exception:  # the last resort: a fault of ours must still be an answer in the called API's shape, without its trace
                _log.exception("request failed", extra={"request": asked.id})
                _refuse(asked, PenstockError(f"internal error; the operator finds it in the log under {asked.id}"))

        return Endpoint(method=method, path=path, handler=handle, summary=summary, describe=describe, when=when)

    def _principal(self, scope: EdgeScope) -> Principal:
        assert self._authenticator is not None
        get = scope.headers.get
        key = credential(get)
        principal = signed_in(scope.headers.get, self._sessions) if key is None else None
        if principal is None:
            if key is None:
                raise Unauthenticated("no API key: send it as 'Authorization: Bearer ...'", code="missing_api_key")
            principal = self._authenticator.authenticate(key)
        if not principal.may(Scope.CALL):
            raise Forbidden(f"key {principal.name!r} lacks the scope {Scope.CALL.value!r}")
        return principal


def _refuse(asked: Asked, fault: PenstockError) -> None:
    try:
        asked.refuse(fault)
    except RuntimeError:
        _log.debug("client left before its error", extra={"request": asked.id})
