"""``/a2a/{agent}``: both bindings of A2A 1.0 that go over HTTP, JSON-RPC and HTTP+JSON, at one address; and the cards."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec

from penstock.interop import sse
from penstock.interop.a2a.cards import PATH, card_of
from penstock.interop.a2a.service import A2aService
from penstock.interop.a2a.words import KINDS, MEDIA, VERSION, A2aFault, Listing, Named, OfTask, PushConfig, Send, error, of_house, over_http
from penstock.interop.door import NOBODY, Door, respond
from penstock.kernel.agents import AgentCard, AgentRuns
from penstock.kernel.errors import NotFound, PenstockError, Unauthenticated
from penstock.kernel.principal import Principal
from penstock.kernel.vendor import Asked
from penstock.kernel.web import Description, Endpoint

WELL_KNOWN = "/.well-known/agent-card.json"
MOST_BODY = 4 * 1024 * 1024
T = TypeVar("T")
Events = AsyncGenerator[tuple[str, dict[str, Any]]]
ANYBODY = Principal(key_id="", name="", organisation="", scopes=frozenset(), home=True)
"""Stands for who has no key, where the settings show cards to everyone."""


class A2aServer:
    """Reads what is asked in either binding, and answers in it."""

    def __init__(self, door: Door, runs: Callable[[], AgentRuns], service: A2aService, *, front: str, public: bool, pushes: bool) -> None:
        """``front`` is the agent whose card is that of the installation; ``public``: cards are shown to everyone."""
        self._door = door
        self._runs = runs
        self._service = service
        self._front = front
        self._public = public
        self._pushes = pushes

    def endpoints(self) -> Sequence[Endpoint]:
        """The addresses."""
        one, rest = PATH + "/{agent}", PATH + "/{agent}"
        door = self._door
        described = {"GET": "Read what A2A tells over HTTP+JSON.", "POST": "Speak A2A, in either binding.", "DELETE": "Tell a URL no more."}
        return (
            door.endpoint(
                "GET", WELL_KNOWN, self._front_card, "The card of the front agent.", _describe_card, refuse=_refuse, public=True, held=False
            ),
            *(
                door.endpoint(method, rest, self._asked, summary, _describe, refuse=_refuse, public=method == "GET")
                for method, summary in described.items()
            ),
            door.preflight(one),
        )

    async def _front_card(self, asked: Asked) -> None:
        cards = self._cards(asked.principal)
        named = [card for card in cards if card.name == self._front] if self._front else cards
        if len(named) != 1:
            names = ", ".join(f"{PATH}/{card.name}{WELL_KNOWN}" for card in cards[:20]) or "there are none"
            raise NotFound(f"no agent stands at the front (interop.agent); cards of agents: {names}", param="agent")
        self._show(asked, named[0])

    def _cards(self, principal: Principal) -> Sequence[AgentCard]:
        if principal is not NOBODY:
            return self._runs().cards(principal)
        if not self._public:
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer ...'", code="missing_api_key")
        return self._runs().cards(ANYBODY)

    def _show(self, asked: Asked, card: AgentCard) -> None:
        told = card_of(card, self._door.place.base(asked.scope), pushes=self._pushes)
        respond(asked, 200, told, headers=(("etag", f'"{card.version}"'),))

    def _card(self, principal: Principal, name: str) -> AgentCard:
        for card in self._cards(principal):
            if card.name == name:
                return card
        raise NotFound(f"there is no agent {name[:100]!r}", param="agent")

    async def _asked(self, asked: Asked) -> None:
        name, _, rest = asked.scope.path.removeprefix(f"{PATH}/").partition("/")
        card = self._card(asked.principal, name)
        if f"/{rest}" == WELL_KNOWN and asked.scope.method == "GET":
            self._show(asked, card)
            return
        if asked.principal is NOBODY:
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer ...'", code="missing_api_key")
        body = b""
        if asked.scope.method == "POST":
            body = await _body(asked)
        if not rest and asked.scope.method == "POST":
            await self._rpc(asked, card, body)
        else:
            await self._rest(asked, card, rest, body)

    async def _rpc(self, asked: Asked, card: AgentCard, body: bytes) -> None:
        id: Any = None
        try:
            message = _json(body)
            given = message.get("id")
            if "id" in message and (isinstance(given, bool) or not isinstance(given, str | int | None)):
                raise A2aFault("INVALID_REQUEST", "id must be text or a whole number")
            id = given
            method: Any = message.get("method")
            params: Any = message.get("params") or {}
            if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
                raise A2aFault("INVALID_REQUEST", "the message needs jsonrpc '2.0' and a method")
            if not isinstance(params, dict):
                raise A2aFault("INVALID_PARAMS", "params must be an object")
            _version(asked)
            value = await self._call(
                asked.principal, card, method, cast("dict[str, Any]", params), _after(asked), self._door.place.base(asked.scope)
            )
            if isinstance(value, AsyncGenerator):
                await sse.tell(asked, _events(cast("Events", value), lambda told: {"jsonrpc": "2.0", "id": id, "result": told}))
            else:
                respond(asked, 200, {"jsonrpc": "2.0", "id": id, "result": value})
        except (A2aFault, PenstockError) as fault:
            told = fault if isinstance(fault, A2aFault) else of_house(fault)
            wrong = {"code": KINDS[told.reason].code, "message": told.message, "data": [error(told)]}
            respond(asked, 200, {"jsonrpc": "2.0", "id": id, "error": wrong}, fault if isinstance(fault, PenstockError) else None)

    async def _rest(self, asked: Asked, card: AgentCard, rest: str, body: bytes) -> None:
        try:
            _version(asked)
            method, params = _route(asked, rest, body)
            value = await self._call(asked.principal, card, method, params, _after(asked), self._door.place.base(asked.scope))
            if isinstance(value, AsyncGenerator):
                await sse.tell(asked, _events(cast("Events", value), lambda told: told))
            else:
                respond(asked, 200, value, media=MEDIA)
        except (A2aFault, PenstockError) as fault:
            status, told = over_http(fault if isinstance(fault, A2aFault) else of_house(fault))
            respond(asked, status, told, fault if isinstance(fault, PenstockError) else None)

    async def _call(self, principal: Principal, card: AgentCard, method: str, params: dict[str, Any], after: int, base: str) -> Any:
        service = self._service
        match method:
            case "SendMessage" | "SendStreamingMessage":
                sent, raw = _as(Send, params), cast("dict[str, Any]", params["message"])
                send: Callable[..., Awaitable[Any]] = service.send if method == "SendMessage" else service.stream
                return await send(principal, card, sent, raw)
            case "GetTask":
                return await service.get(principal, card, _as(Named, params))
            case "ListTasks":
                return await service.list(principal, card, _as(Listing, params))
            case "CancelTask":
                return await service.cancel(principal, card, _as(Named, params))
            case "SubscribeToTask":
                return await service.subscribe(principal, card, _as(Named, params), after)
            case "CreateTaskPushNotificationConfig":
                return await service.push(principal, card, _as(PushConfig, params))
            case "GetTaskPushNotificationConfig":
                return await service.one_push(principal, card, _as(OfTask, params))
            case "ListTaskPushNotificationConfigs":
                return await service.pushes(principal, card, _as(OfTask, params))
            case "DeleteTaskPushNotificationConfig":
                return await service.drop_push(principal, card, _as(OfTask, params))
            case "GetExtendedAgentCard":
                return card_of(card, base, pushes=self._pushes)
            case _:
                raise A2aFault("METHOD_NOT_FOUND", f"there is no method {method[:100]!r} in A2A {VERSION}")


def _route(asked: Asked, rest: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """The method that an address of HTTP+JSON stands for, and its parameters. Raises `A2aFault`."""
    verb, parts = asked.scope.method, rest.split("/")
    query: dict[str, Any] = _query(asked)
    if verb == "POST" and rest in ("message:send", "message:stream"):
        return ("SendMessage" if rest == "message:send" else "SendStreamingMessage"), _json(body)
    if verb == "GET" and rest == "extendedAgentCard":
        return "GetExtendedAgentCard", {}
    if parts[0] == "tasks" and len(parts) == 1 and verb == "GET":
        return "ListTasks", query
    if parts[0] == "tasks" and len(parts) == 2:
        id, _, action = parts[1].partition(":")
        method = {("GET", ""): "GetTask", ("POST", "cancel"): "CancelTask"}.get((verb, action))
        method = "SubscribeToTask" if action == "subscribe" and verb in ("GET", "POST") else method
        if method is not None:
            return method, query | {"id": id}
    if parts[0] == "tasks" and len(parts) in (3, 4) and parts[2] == "pushNotificationConfigs":
        named = query | {"taskId": parts[1]} | ({"id": parts[3]} if len(parts) == 4 else {})
        if len(parts) == 3 and verb == "POST":
            return "CreateTaskPushNotificationConfig", _json(body) | {"taskId": parts[1]}
        methods = {
            ("GET", 3): "ListTaskPushNotificationConfigs",
            ("GET", 4): "GetTaskPushNotificationConfig",
            ("DELETE", 4): "DeleteTaskPushNotificationConfig",
        }
        if (verb, len(parts)) in methods:
            return methods[verb, len(parts)], named
    raise A2aFault("METHOD_NOT_FOUND", f"there is nothing at {verb} {asked.scope.path[:200]}")


def _version(asked: Asked) -> None:
    """Raises `A2aFault` for a client of another version; one that names none is of the time before versions were named."""
    named = asked.header("a2a-version") or _query(asked).get("A2A-Version") or "0.3"
    if named.partition(".")[0] != VERSION.partition(".")[0]:
        raise A2aFault("VERSION_NOT_SUPPORTED", f"A2A {named[:40]} is not spoken here; send 'A2A-Version: {VERSION}'")


def _query(asked: Asked) -> dict[str, str]:
    try:
        return dict(parse_qsl(asked.scope.query_string, keep_blank_values=True, max_num_fields=64))
    except ValueError:
        raise A2aFault("INVALID_REQUEST", "the query holds too many fields") from None


def _after(asked: Asked) -> int:
    found = sse.last_event_id(asked)
    return found[0] if found is not None else 0


async def _body(asked: Asked) -> bytes:
    body = bytearray()
    async for piece in asked.pieces():
        body += piece
        if len(body) > MOST_BODY:
            raise PenstockError(f"the body is longer than {MOST_BODY} bytes", code="body_too_large", status=413)
    return bytes(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found: Any = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise A2aFault("JSON_PARSE_ERROR", "the body is not valid JSON") from None
    if not isinstance(found, dict):
        raise A2aFault("INVALID_REQUEST", "the body must be one JSON object; batches are not taken")
    return cast("dict[str, Any]", found)


def _as(kind: type[T], params: Mapping[str, Any]) -> T:
    try:
        return msgspec.convert(params, kind, strict=False)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$")
        place = where.strip(".`")
        raise A2aFault("INVALID_PARAMS", f"{place}: {message}" if place else message, **({"param": place} if place else {})) from None


async def _events(events: Events, worded: Callable[[dict[str, Any]], dict[str, Any]]) -> AsyncGenerator[bytes]:
    try:
        async for id, told in events:
            yield sse.event(worded(told), id)
    finally:
        await events.aclose()


def _refuse(asked: Asked, fault: PenstockError) -> None:
    status, told = over_http(fault)
    respond(asked, status, told, fault)


def _describe() -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.interop.description import plain

    headers = {"A2A-Version": {"type": "string", "description": f"The version that the client speaks: {VERSION}."}}
    return plain(
        "A message of A2A, or of JSON-RPC.", "What A2A says.", event="A StreamResponse of A2A, or JSON-RPC with it.", headers=headers
    )


def _describe_card() -> Description:
    from penstock.interop.description import plain

    return plain(None, "An AgentCard of A2A.")


__all__ = ["WELL_KNOWN", "A2aServer"]
