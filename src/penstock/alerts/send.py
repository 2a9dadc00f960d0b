"""Sends one message to one place, and says what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from penstock.alerts import shapes
from penstock.alerts.guard import check_url
from penstock.alerts.message import Told, told
from penstock.alerts.targets import Target
from penstock.kernel.errors import RequestError
from penstock.kernel.sending import MailServer, Sent, mail, post
from penstock.kernel.signing import signature

if TYPE_CHECKING:
    import aiohttp


class Sender:
    """Sends over HTTP and SMTP, each message within ``seconds``."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._inside: aiohttp.ClientSession | None = None
        self._public: aiohttp.ClientSession | None = None

    async def send(self, target: Target, id: str, event: bytes) -> Sent:
        """Send the event to the place, in its shape. Never raises but for cancellation; faults hold neither address nor secret."""
        if target.lacks:
            return Sent(False, f"the variable {target.lacks} is not set")
        if target.kind == "email":
            return await self._mail(target, told(event, examples=target.examples))
        if target.kind == "webhook":
            body = event if target.examples else _bare(event)
            return await self._post(target, body, id, "application/cloudevents+json; charset=utf-8")
        message = told(event, examples=target.examples)
        shaped = (
            shapes.pagerduty(message, target.secret)
            if target.kind == "pagerduty"
            else shapes.slack(message)
            if target.kind == "slack"
            else shapes.teams(message)
        )
        return await self._post(target, msgspec.json.encode(shaped), id, "application/json")

    async def close(self) -> None:
        """Let go of connections."""
        for session in (self._inside, self._public):
            if session is not None:
                await session.close()

    async def _post(self, target: Target, body: bytes, id: str, media: str) -> Sent:
        headers = {"content-type": media, "webhook-id": id, "idempotency-key": id, "user-agent": "penstock"}
        if target.kind == "webhook":
            at = int(self._clock())
            headers["webhook-timestamp"] = str(at)
            if target.secret:
                headers["webhook-signature"] = signature(target.secret, id, at, body)
        if target.public:
            try:
                check_url(target.address, private=False)  # also of what was stored before a setting changed
            except RequestError as fault:
                return Sent(False, fault.message)
        return await post(await self._session(public=target.public), target.address, body, headers, self._seconds)

    async def _session(self, *, public: bool) -> aiohttp.ClientSession:
        # A fifth of a second: only once something is to be sent.
        import aiohttp
        from aiohttp.resolver import ThreadedResolver

        from penstock.kernel.resolving import Public

        held = self._public if public else self._inside
        if held is None:
            resolver = Public(ThreadedResolver()) if public else ThreadedResolver()
            timeout = aiohttp.ClientTimeout(total=self._seconds)
            connector = aiohttp.TCPConnector(resolver=resolver, limit=32, use_dns_cache=not public)
            held = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False)
            if public:
                self._public = held
            else:
                self._inside = held
        return held

    async def _mail(self, target: Target, message: Told) -> Sent:
        shaped = shapes.email(message, sender=target.sender, to=target.to)
        server = MailServer(url=target.address, user=target.user, secret=target.secret, tls=target.tls)
        return await mail(server, shaped, target.sender, target.to, self._seconds)


def _bare(event: bytes) -> bytes:
    """An event without links to calls."""
    one = msgspec.json.decode(event)
    if isinstance(one.get("data"), dict) and "examples" in one["data"]:
        one["data"]["examples"] = []
    return msgspec.json.encode(one)
