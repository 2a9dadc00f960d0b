"""Endpoints of the protocols: who asks, and refusals in the words of the protocol that was spoken."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from penstock.interop.place import Place
from penstock.kernel.call import Headers
from penstock.kernel.errors import Forbidden, PenstockError, Unauthenticated
from penstock.kernel.ids import new_id
from penstock.kernel.journal import JOURNAL
from penstock.kernel.ports import Authenticator
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.vendor import Asked, credential
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint

_log = logging.getLogger("penstock.interop")

Refusal = Callable[[Asked, PenstockError], None]
NOTHING = Description(request=None, reply=None, error={}, failures={}, schemas={}, good="204")
NOBODY = Principal(key_id="", name="", organisation="", scopes=frozenset())


CORS_METHODS = "GET, POST, DELETE, OPTIONS"
CORS_HEADERS = (
    "authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, a2a-version, "
    "a2a-extensions"
)


class Spoken(Asked):
    """A request to one of the protocols; what is answered to a page that may ask says so to its browser."""

    __slots__ = ("origin",)

    def __init__(self, scope: EdgeScope, protocol: EdgeProtocol, id: str) -> None:
        super().__init__(scope, protocol, id)
        self.origin: str | None = None

    def named(self) -> Headers:
        """The headers that name the request, and the page that may read the answer."""
        if self.origin is None:
            return super().named()
        exposed = ("access-control-expose-headers", "www-authenticate, penstock-run, retry-after, x-request-id")
        return [*super().named(), ("access-control-allow-origin", self.origin), exposed, ("vary", "origin")]


class Door:
    """Makes endpoints of handlers that may raise. Keys alone come in: a browser's cookie would let any page of another site act."""

    def __init__(self, place: Place) -> None:
        self._authenticator: Authenticator | None = None
        self.place = place

    def open(self, authenticator: Authenticator) -> None:
        """Say who knows the keys; before the first request."""
        self._authenticator = authenticator

    def endpoint(
        self,
        method: str,
        path: str,
        handler: Callable[[Asked], Awaitable[Any]],
        summary: str,
        describe: Callable[[], Description],
        *,
        refuse: Refusal,
        public: bool = False,
        held: bool = True,
        scope: Scope = Scope.CALL,
    ) -> Endpoint:
        """An endpoint for keys that hold ``scope``, or, if ``public``, also for who has none (`NOBODY`). The handler answers through
        `Asked`, or returns what is to be answered as JSON. ``held``: whoever answers must hold the journal."""

        async def handle(head: EdgeScope, protocol: EdgeProtocol) -> None:
            asked = Spoken(head, protocol, new_id("req"))
            asked.principal = NOBODY
            try:
                asked.origin = self.place.origin(head)
                asked.principal = self._principal(head, scope, public=public)
                value = await handler(asked)
                if value is not None:
                    asked.answer(value)
            except PenstockError as fault:
                await asked.discard()
                _told(asked, fault, refuse)
            except Exception:  # the last resort: a fault of ours must still be an answer in the protocol's words, without its trace
                _log.exception("request failed", extra={"request": asked.id, "path": head.path[:200]})
                _told(asked, PenstockError(f"internal error; the operator finds it in the log under {asked.id}"), refuse)

        return Endpoint(method=method, path=path, handler=handle, summary=summary, describe=describe, holding=JOURNAL if held else "")

    def preflight(self, path: str) -> Endpoint:
        """What a browser asks before a page of another origin may."""

        async def handle(scope: EdgeScope, protocol: EdgeProtocol) -> None:
            asked = Spoken(scope, protocol, new_id("req"))
            try:
                asked.origin = self.place.origin(scope)
            except PenstockError as fault:
                _told(asked, fault, refuse)
                return
            allowed = [("access-control-allow-methods", CORS_METHODS), ("access-control-allow-headers", CORS_HEADERS)]
            protocol.response_empty(204, [*asked.named(), *allowed, ("access-control-max-age", "600")])

        return Endpoint(
            method="OPTIONS",
            path=path,
            handler=handle,
            summary="Tell a browser which pages may ask.",
            describe=lambda: NOTHING,
        )

    def _principal(self, head: EdgeScope, scope: Scope, *, public: bool) -> Principal:
        assert self._authenticator is not None
        key = credential(head.headers.get)
        if key is None:
            if public:
                return NOBODY
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer ...'", code="missing_api_key")
        principal = self._authenticator.authenticate(key)
        if not principal.may(scope):
            raise Forbidden(f"key {principal.name!r} lacks the scope {scope.value!r}")
        return principal


def refuse(asked: Asked, fault: PenstockError) -> None:
    """A refusal in our own shape, as of any route."""
    respond(asked, fault.status, {"error": {"code": fault.code, "message": fault.message, "param": fault.param}}, fault)


def respond(
    asked: Asked, status: int, body: Any, fault: PenstockError | None = None, *, headers: tuple[tuple[str, str], ...] = (), media: str = ""
) -> None:
    """Answer with JSON and any status; a ``fault`` adds the headers that say when, and with what, to come again."""
    told = [*asked.named(), ("content-type", media or "application/json"), ("cache-control", "no-store"), *headers]
    if fault is not None and fault.retry_after is not None:
        told.append(("retry-after", str(max(1, math.ceil(fault.retry_after)))))
    if status == 401 and not any(name == "www-authenticate" for name, _ in told):
        told.append(("www-authenticate", "Bearer"))
    asked.protocol.response_bytes(status, told, msgspec.json.encode(body))


def _told(asked: Asked, fault: PenstockError, refuse: Refusal) -> None:
    try:
        refuse(asked, fault)
    except RuntimeError:  # RSGI's word for an answer that began already, or a client that left
        _log.debug("no answer could be given", extra={"request": asked.id, "code": fault.code})


__all__ = ["NOBODY", "Door", "Refusal", "Spoken", "refuse", "respond"]
