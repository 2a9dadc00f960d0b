"""Sends one message to one place, and says what came of it."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Callable
from email.policy import SMTP
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from penstock.alerts import shapes
from penstock.alerts.guard import PrivateAddress, Public, check_url
from penstock.alerts.message import Told, told
from penstock.alerts.signing import signature
from penstock.alerts.targets import Target
from penstock.kernel.errors import RequestError

if TYPE_CHECKING:
    import aiohttp

SMTP_PORTS = {"start": 587, "whole": 465, "none": 25}
GONE = 410


class Sent(msgspec.Struct, frozen=True):
    """Whether a message arrived, and if not why. ``gone``: the receiver wants no more, ever. ``wait``: it asks to be left alone so long."""

    ok: bool
    fault: str = ""
    gone: bool = False
    wait: float = 0.0


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
        import aiohttp

        headers = {"content-type": media, "webhook-id": id, "idempotency-key": id, "user-agent": "penstock"}
        if target.kind == "webhook":
            at = int(self._clock())
            headers["webhook-timestamp"] = str(at)
            if target.secret:
                headers["webhook-signature"] = signature(target.secret, id, at, body)
        try:
            if target.public:
                check_url(target.address, private=False)  # also of what was stored before a setting changed
            session = await self._session(public=target.public)
            async with session.post(target.address, data=body, headers=headers, allow_redirects=False) as reply:
                if 200 <= reply.status < 300:
                    return Sent(True)
                asked = reply.headers.get("retry-after", "")
                wait = min(3600.0, float(asked)) if asked.isdigit() else 0.0
                return Sent(False, f"it answered {reply.status}", gone=reply.status == GONE, wait=wait)
        except RequestError as fault:
            return Sent(False, fault.message)
        except PrivateAddress:
            return Sent(False, "its name leads to a private address")
        except TimeoutError:
            return Sent(False, f"it did not answer within {self._seconds:g} s")
        except aiohttp.ClientConnectorError as fault:
            inner = fault.os_error
            return Sent(False, str(inner) if isinstance(inner, PrivateAddress) else f"it cannot be reached: {_why(inner)}")
        except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: an address that only aiohttp finds fault with
            return Sent(False, f"it cannot be reached: {type(fault).__name__}")

    async def _session(self, *, public: bool) -> aiohttp.ClientSession:
        # aiohttp's client is imported by the gateway anyway; here only once something is to be sent.
        import aiohttp
        from aiohttp.resolver import ThreadedResolver

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
        mail = shapes.email(message, sender=target.sender, to=target.to)
        try:
            await asyncio.to_thread(_mailed, target, mail.as_bytes(policy=SMTP), self._seconds)  # lines end in CRLF
        except smtplib.SMTPRecipientsRefused as fault:
            return Sent(False, f"the server refuses {len(fault.recipients)} of the addresses")
        except smtplib.SMTPAuthenticationError as fault:
            return Sent(False, f"the server refuses the user or password ({fault.smtp_code})")
        except smtplib.SMTPResponseException as fault:
            return Sent(False, f"the server answered {fault.smtp_code}")
        except (smtplib.SMTPException, OSError) as fault:
            return Sent(False, f"the server cannot be reached: {_why(fault)}")
        return Sent(True)


def _mailed(target: Target, mail: bytes, seconds: float) -> None:
    """Hand a message to the SMTP server; on a thread: the standard library's client blocks."""
    parts = urlsplit(target.address)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[target.tls]
    context = ssl.create_default_context()
    client = (
        smtplib.SMTP_SSL(host, port, timeout=seconds, context=context)
        if target.tls == "whole"
        else smtplib.SMTP(host, port, timeout=seconds)
    )
    with client:
        if target.tls == "start":
            client.starttls(context=context)
        if target.user:
            client.login(target.user, target.secret)
        client.sendmail(target.sender, list(target.to), mail)


def _bare(event: bytes) -> bytes:
    """An event without links to calls."""
    one = msgspec.json.decode(event)
    if isinstance(one.get("data"), dict) and "examples" in one["data"]:
        one["data"]["examples"] = []
    return msgspec.json.encode(one)


def _why(fault: BaseException) -> str:
    told = getattr(fault, "strerror", None)
    return str(told) if told else type(fault).__name__
