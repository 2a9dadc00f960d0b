"""``GET /v1/realtime``: from the request to switch protocols to a session, refused before the switch wherever that can be known."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from penstock.gateway.asked import LONGEST_LABEL, heed
from penstock.gateway.http import credential, parse_labels, parse_priority
from penstock.gateway.providers.profiles import REALTIME
from penstock.gateway.realtime.handover import Handover
from penstock.gateway.realtime.session import REFUSED, Ending, Limits, Session
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes import openai_error
from penstock.gateway.shapes.shape import Head
from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Call, Headers, Trace
from penstock.kernel.errors import MalformedRequest, NotApproved, PenstockError, RequestError, Unauthenticated
from penstock.kernel.events import ApprovalsChanged, KeyRevoked
from penstock.kernel.ports import Authenticator, Meter, Metric
from penstock.kernel.stage import Proceed
from penstock.kernel.tasks import TasksChanged
from penstock.kernel.web import Description, EdgeProtocol, EdgeScope, Endpoint

if TYPE_CHECKING:
    from websockets.asyncio.connection import Connection

_log = logging.getLogger("penstock.gateway")

PATH = "/v1/realtime"
SECRETS = "/v1/realtime/client_secrets"
SUBPROTOCOL = "realtime"
KEY_SUBPROTOCOL = "openai-insecure-api-key."
"""How a browser, which cannot set headers, sends the key (https://platform.openai.com/docs/guides/realtime-websocket). Never sent back."""
BETA_SUBPROTOCOL = "openai-beta."
LONGEST_MODEL = 512


class Realtime:
    """Opens sessions and knows those that are open. ``open`` must be called with the line before the first request."""

    def __init__(self, settings: GatewaySettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._walk: Proceed | None = None
        self._authenticator: Authenticator | None = None
        self._meter: Meter | None = None
        self._approvals: Approvals | None = None
        self._open: dict[Session, asyncio.Task[None]] = {}
        self.ended: Counter[str] = Counter()
        self.responses = 0

    def open(self, walk: Proceed, authenticator: Authenticator, meter: Meter | None, approvals: Approvals | None = None) -> None:
        """Join it to the line, to whoever charges sessions, and to whoever knows which models may be used."""
        self._walk, self._authenticator, self._meter, self._approvals = walk, authenticator, meter, approvals

    def endpoints(self) -> list[Endpoint]:
        """The session, and what browsers' keys would be asked of, which is refused with an explanation."""
        return [
            Endpoint(method="GET", path=PATH, handler=self._serve, summary="A realtime session over WebSocket.", describe=_describe),
            Endpoint(
                method="POST",
                path=SECRETS,
                handler=self._no_secrets,
                summary="Not served: says what to do instead.",
                describe=_describe_secrets,
            ),
        ]

    async def drain(self, seconds: float) -> None:
        """End every session: those in which nothing is under way at once, the others after their response or ``seconds``."""
        tasks = list(self._open.values())
        for session in list(self._open):
            session.drain(now=False)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
            for session in list(self._open):
                session.drain(now=True)
            await asyncio.wait(tasks, timeout=5)

    def revoked(self, event: KeyRevoked) -> None:
        """End the sessions of a key that is gone."""
        for session in list(self._open):
            who = session.call.principal
            if who is not None and who.key_id == event.key_id:
                fault = Unauthenticated(f"the API key {who.name!r} was revoked", code="revoked_api_key")
                session.stop(Ending("ended: the key was revoked", REFUSED, fault.code, told=fault, fault=fault))

    def reapproved(self, event: ApprovalsChanged | TasksChanged) -> None:
        """End the sessions whose model may not be used any more, or not for their task: one may go on for an hour after it was approved."""
        for session in list(self._open):
            call = session.call
            who, target = call.principal, call.target
            if self._approvals is None or who is None or target is None:
                continue
            refusal = self._approvals.refusal(target.provider, target.model, organisation=who.organisation, task=call.task)
            if refusal is not None:
                fault = NotApproved(refusal.message, code=refusal.code)
                session.stop(Ending("ended: its model may not be used any more", REFUSED, fault.code, told=fault, fault=fault))

    def metrics(self) -> Iterable[Metric]:
        """Sessions open, sessions ended by outcome, responses."""
        yield Metric(
            name="penstock_realtime_sessions", help="Realtime sessions open now.", kind="gauge", samples=(({}, float(len(self._open))),)
        )
        ended = tuple(({"outcome": outcome}, float(count)) for outcome, count in sorted(self.ended.items()))
        yield Metric(
            name="penstock_realtime_sessions_ended", help="Realtime sessions that ended, by outcome.", kind="counter", samples=ended
        )
        yield Metric(
            name="penstock_realtime_responses",
            help="Responses of realtime sessions that have ended.",
            kind="counter",
            samples=(({}, float(self.responses)),),
        )

    async def _serve(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        walk, get = self._walk, scope.headers.get
        assert walk is not None
        traceparent = get("traceparent")
        offered = _offered(get("sec-websocket-protocol"))
        call = Call(
            operation="realtime",
            shape=REALTIME,
            credential=credential(get) or _key_of(offered),
            deadline=time.monotonic() + self._settings.realtime.session_seconds,
            trace=Trace.begin(traceparent, get("tracestate")) if traceparent is not None else Trace.begin(),
            client=scope.client,
        )
        handover: Handover | None = None
        try:
            try:
                _read(call, scope)
                switch = _handshake(scope, offered)
                handover = await Handover.find(scope.client)
            except PenstockError as fault:
                call.fault = fault
                switch = []
            session = Session(call, self._settings.realtime, self._limits, self._meter)
            call.session = session
            reply = await walk(call)
            assert reply.chunks is not None
            assert handover is not None
            protocol.response_empty(101, [*switch, *_identity(call)])
        except PenstockError as fault:
            self._refused(call, protocol, fault, handover)
            return
        except asyncio.CancelledError:
            self._refused(call, protocol, PenstockError("Penstock is stopping", status=503, code="draining"), handover)
            raise
        except Exception:  # the last resort: a fault of ours must still be an answer in the called API's shape, without its trace
            _log.exception("session failed", extra={"call": call.id})
            fault = PenstockError(f"internal error; the operator finds it in the log under {call.id}")
            self._refused(call, protocol, fault, handover)
            return
        # The server's own task ends with its answer.
        self._open[session] = asyncio.get_running_loop().create_task(self._talk(session, reply.chunks, handover), name=f"session {call.id}")

    async def _no_secrets(self, scope: EdgeScope, protocol: EdgeProtocol) -> None:
        fault: PenstockError = RequestError(
            "Client secrets are not made here, since a session opened with the provider's would pass by limits, budgets and the record. "
            "Make a key with an end and an allow-list of models (POST /v1/keys, or `penstock keys create`) and give that to the browser.",
            code="client_secrets_not_served",
            status=501,
        )
        headers: Headers = [("content-type", "application/json")]
        try:
            assert self._authenticator is not None
            self._authenticator.authenticate(credential(scope.headers.get))
        except Unauthenticated as stranger:
            fault = stranger
            headers.append(("www-authenticate", "Bearer"))
        status, body = openai_error.render(fault)
        with contextlib.suppress(RuntimeError):  # RSGI's word for a client that left
            protocol.response_bytes(status, headers, body)

    async def _talk(self, session: Session, chunks: AsyncIterator[bytes], handover: Handover) -> None:
        call = session.call
        try:
            client = _client_side(self._settings)
            await handover.take(client)
            client.start_keepalive()
            session.join(client)
            with contextlib.suppress(PenstockError):  # it is on the record, and the client has been told
                async for _ in chunks:
                    pass
        except asyncio.CancelledError:
            raise
        except Exception:  # a fault of ours ends this session and no other
            _log.exception("session failed", extra={"call": call.id})
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
            self._open.pop(session, None)
            self.ended[call.outcome] += 1
            self.responses += session.responses
            call.end()

    def _refused(self, call: Call, protocol: EdgeProtocol, fault: PenstockError, handover: Handover | None) -> None:
        if handover is not None:
            handover.close()
        call.end()
        status, body = openai_error.render(fault)
        headers = [*_identity(call), ("content-type", "application/json")]
        if fault.retry_after is not None:
            headers.append(("retry-after", str(max(1, math.ceil(fault.retry_after)))))
        if status == 401:
            headers.append(("www-authenticate", "Bearer"))
        if status == 426:
            headers += [("upgrade", "websocket"), ("sec-websocket-version", "13")]
        with contextlib.suppress(RuntimeError):  # RSGI's word for a client that left
            protocol.response_bytes(status, headers, body)


def _read(call: Call, scope: EdgeScope) -> None:
    """Put onto the call what the query and the headers ask for. Raises `MalformedRequest`."""
    get = scope.headers.get
    try:
        query = parse_qs(scope.query_string, max_num_fields=64)
    except ValueError:
        raise MalformedRequest("The query holds too many fields.") from None
    if "call_id" in query:
        raise MalformedRequest("Sessions of a telephone or WebRTC call (call_id) are not served; open one with ?model=.", param="call_id")
    model = query.get("model", [""])[-1]
    if not 0 < len(model) <= LONGEST_MODEL:
        raise MalformedRequest(f"The query must name a model, as ?model=..., in at most {LONGEST_MODEL} characters.", param="model")
    task, priority, labels = get("x-penstock-task"), get("x-penstock-priority"), get("x-penstock-labels")
    if task:
        call.task = task[:LONGEST_LABEL]
    if priority is not None:
        call.priority = parse_priority(priority)
    if labels:
        call.labels = parse_labels(labels)
    beta = get("openai-beta")
    if beta is not None:
        call.passthrough = [("openai-beta", beta)]
    heed(call, Head(model=model))


def _handshake(scope: EdgeScope, offered: list[str]) -> Headers:
    """The headers of the answer that switches protocols. Raises `RequestError` (400, 426) where it is not properly asked for."""
    # Only houses with sessions pay for the import (20 ms).
    from websockets.datastructures import Headers as WireHeaders
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    if (scope.headers.get("upgrade") or "").lower() != "websocket":
        raise RequestError("This is a WebSocket: send 'Upgrade: websocket' (docs/realtime.md).", code="upgrade_required", status=426)
    spoken = [one for one in offered if not one.startswith((KEY_SUBPROTOCOL, BETA_SUBPROTOCOL))]
    if spoken and SUBPROTOCOL not in spoken:
        raise RequestError(f"None of the subprotocols is known here; the one that is: {SUBPROTOCOL!r}.", param="sec-websocket-protocol")
    if offered and not spoken:
        raise RequestError(f"A key as a subprotocol needs {SUBPROTOCOL!r} beside it.", param="sec-websocket-protocol")
    headers = WireHeaders()
    for name, value in scope.headers.items():
        if name != "sec-websocket-protocol":
            headers[name] = value
    answer = ServerProtocol().accept(Request(PATH, headers))
    if answer.status_code != 101:
        raise RequestError("This is no proper request to open a WebSocket (RFC 6455).", status=answer.status_code)
    switch = [(name.lower(), value) for name, value in answer.headers.raw_items() if name.lower() != "date"]
    return [*switch, ("sec-websocket-protocol", SUBPROTOCOL)] if spoken else switch


def _client_side(settings: GatewaySettings) -> Connection:
    from websockets.asyncio.connection import Connection
    from websockets.protocol import Protocol, Side

    from penstock.gateway.providers.dial import CLOSE_SECONDS, WAITING, WRITE_AHEAD

    limits = settings.realtime
    return Connection(
        Protocol(Side.SERVER, max_size=limits.max_frame_bytes),
        ping_interval=limits.ping_seconds,
        ping_timeout=limits.silent_seconds,
        close_timeout=CLOSE_SECONDS,
        max_queue=WAITING,
        write_limit=WRITE_AHEAD,
    )


def _offered(header: str | None) -> list[str]:
    return [one.strip() for one in header.split(",") if one.strip()] if header else []


def _key_of(offered: list[str]) -> str | None:
    return next((one[len(KEY_SUBPROTOCOL) :] for one in offered if one.startswith(KEY_SUBPROTOCOL)), None)


def _identity(call: Call) -> Headers:
    found: Headers = [("x-request-id", call.id), ("traceparent", call.trace.header())]
    if call.target is not None:
        found += [("x-penstock-provider", call.target.provider), ("x-penstock-model", call.target.model)]
    return found


def _describe() -> Description:
    # Kilobytes of schemas, which only whoever asks for the document needs.
    from penstock.gateway.schemas.openai_realtime import describe

    return describe()


def _describe_secrets() -> Description:
    from penstock.gateway.schemas.openai_realtime import describe_secrets

    return describe_secrets()
