"""Handing one message to another program: a POST that says why it failed, a mail to an SMTP server. For outboxes of any room."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

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


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """An SMTP server: ``url`` is ``smtp://host:port``. ``tls`` is ``start`` (STARTTLS), ``whole`` or ``none``."""

    url: str
    user: str = ""
    secret: str = ""
    tls: str = "start"

    def __repr__(self) -> str:
        return f"MailServer({self.url!r})"


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Sent:
    """POST a body, following no redirect; ``seconds`` is only for the words. Never raises but for cancellation; faults hold no address.

    An `OSError` that the session's resolver raises is told in its own words."""
    import aiohttp  # a fifth of a second: only once something is sent

    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as reply:
            if 200 <= reply.status < 300:
                return Sent(True)
            asked = reply.headers.get("retry-after", "")
            wait = min(3600.0, float(asked)) if asked.isdigit() else 0.0
            return Sent(False, f"it answered {reply.status}", gone=reply.status == GONE, wait=wait)
    except TimeoutError:
        return Sent(False, f"it did not answer within {seconds:g} s")
    except aiohttp.ClientConnectorError as fault:
        return Sent(False, f"it cannot be reached: {why(fault.os_error)}")
    except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: an address that only aiohttp finds fault with
        return Sent(False, f"it cannot be reached: {why(fault)}")


async def mail(server: MailServer, message: EmailMessage, sender: str, to: tuple[str, ...], seconds: float) -> Sent:
    """Hand a message to the server, on a thread. Never raises but for cancellation."""
    try:
        await asyncio.to_thread(_mailed, server, message.as_bytes(policy=SMTP), sender, to, seconds)  # lines end in CRLF
    except smtplib.SMTPRecipientsRefused as fault:
        return Sent(False, f"the server refuses {len(fault.recipients)} of the addresses")
    except smtplib.SMTPAuthenticationError as fault:
        return Sent(False, f"the server refuses the user or password ({fault.smtp_code})")
    except smtplib.SMTPResponseException as fault:
        return Sent(False, f"the server answered {fault.smtp_code}")
    except (smtplib.SMTPException, OSError) as fault:
        return Sent(False, f"the server cannot be reached: {why(fault)}")
    return Sent(True)


def why(fault: BaseException) -> str:
    """The reason in words that hold no address."""
    told = getattr(fault, "strerror", None)
    return str(told) if told else type(fault).__name__


def _mailed(server: MailServer, message: bytes, sender: str, to: tuple[str, ...], seconds: float) -> None:
    """On a thread: the standard library's client blocks."""
    parts = urlsplit(server.url)
    host, port = parts.hostname or "", parts.port or SMTP_PORTS[server.tls]
    context = ssl.create_default_context()
    client = (
        smtplib.SMTP_SSL(host, port, timeout=seconds, context=context)
        if server.tls == "whole"
        else smtplib.SMTP(host, port, timeout=seconds)
    )
    with client:
        if server.tls == "start":
            client.starttls(context=context)
        if server.user:
            client.login(server.user, server.secret)
        client.sendmail(sender, list(to), message)
