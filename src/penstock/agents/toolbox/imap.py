"""A mailbox over IMAP, opened so that nothing in it can be changed."""

from __future__ import annotations

import asyncio
import imaplib
import re
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import EmailPolicy
from html.parser import HTMLParser
from typing import Any, cast

from msgspec import Struct

from penstock.agents.faults import Permanent, Transient
from penstock.agents.toolbox.references import resolved, secret

PORTS = {"whole": 993, "start": 143, "none": 143}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""As IMAP writes them, whatever the machine's language."""
LONGEST_MAIL = 2**20
LONGEST_TEXT = 40_000
HEADERS = "BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID)]"
UID = re.compile(rb"UID (\d+)")
LONGEST_HEADER = 1000
MOST_COMMENTS = 20


class _Bounded(EmailPolicy):
    """Headers as they are parsed, but short: the parser's time grows with the square of their length, its stack with comments in comments,
    and any stranger may write them."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        value = value[:LONGEST_HEADER]
        return name, value if value.count("(") <= MOST_COMMENTS else value.replace("(", " ").replace(")", " ")


POLICY = _Bounded()


class Found(Struct, frozen=True, kw_only=True):
    """A mail as a search finds it."""

    uid: int
    id: str
    sender: str
    to: str
    subject: str
    date: str


class Mail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mail. ``attachments`` are told by name, type and size; ``cut`` says that not all of it was read."""

    id: str
    sender: str
    to: str
    subject: str
    date: str
    text: str
    attachments: list[str] = []
    cut: bool = False


class Mailbox(Struct, frozen=True, kw_only=True):
    """Where a mailbox is and which of its folders may be looked into. ``password`` is ``env:NAME`` or ``file:/path``; ``security`` is
    ``whole`` (TLS from the first byte), ``start`` (STARTTLS) or ``none``; a ``port`` of 0 is the usual one."""

    server: str
    user: str
    password: str
    security: str = "whole"
    port: int = 0
    folders: tuple[str, ...] = ("INBOX",)
    seconds: float = 30.0

    def __post_init__(self) -> None:
        secret(self.password, "mailbox.password")
        if self.security not in PORTS or not self.folders:
            raise ValueError("mailbox: security is whole, start or none, and there is at least one folder")

    def search(self, folder: str, words: Mapping[str, str], since: str = "", *, unread: bool = False, rows: int = 50) -> list[Found]:
        """Mails in which the words stand, the newest first."""
        asked: list[Any] = [part for key, word in words.items() if word for part in (key, _quoted(word))]
        if since:
            asked += ["SINCE", _day(since)]
        if unread:
            asked.append("UNSEEN")
        if any(isinstance(one, bytes) and not one.isascii() for one in asked):
            asked[:0] = ["CHARSET", "UTF-8"]
        with self._open(folder) as box:
            uids = b"".join(_data(cast("Any", box).uid("SEARCH", *(asked or ["ALL"])))).split()
            if not uids:
                return []
            newest = b",".join(uids[-rows:]).decode()
            found = [_found(one) for one in _parts(box.uid("FETCH", newest, f"({HEADERS})"))]
        return sorted(found, key=lambda one: -one.uid)

    def read(self, folder: str, uid: int) -> Mail:
        """One mail."""
        with self._open(folder) as box:
            parts = _parts(box.uid("FETCH", str(uid), f"(BODY.PEEK[]<0.{LONGEST_MAIL}>)"))
        if not parts:
            raise Permanent(f"mail_missing: there is no mail {uid} in {folder}")
        return _mail(parts[0][1])

    async def holds(self, id: str) -> bool:
        """Whether the first folder holds the mail of this Message-ID."""

        def look() -> bool:
            with self._open(self.folders[0]) as box:
                return bool(b"".join(_data(box.uid("SEARCH", "HEADER", "Message-ID", _quoted(id).decode()))).split())

        return await asyncio.to_thread(look)

    @contextmanager
    def _open(self, folder: str) -> Generator[imaplib.IMAP4]:
        if folder not in self.folders:
            raise Permanent(f"mail_forbidden: only {', '.join(self.folders)} may be looked into")
        try:
            tls = ssl.create_default_context()
            port = self.port or PORTS[self.security]
            box = (
                imaplib.IMAP4_SSL(self.server, port, ssl_context=tls, timeout=self.seconds)
                if self.security == "whole"
                else imaplib.IMAP4(self.server, port, timeout=self.seconds)
            )
            with box:
                if self.security == "start":
                    box.starttls(tls)
                box.login(self.user, resolved(self.password, "mailbox.password"))
                _data(box.select(_quoted(folder).decode(), readonly=True))
                yield box
        except imaplib.IMAP4.abort as fault:
            raise Transient(f"mail_lost: {str(fault)[:200]}") from fault
        except imaplib.IMAP4.error as fault:
            raise Permanent(f"mail_refused: {str(fault)[:200]}") from fault
        except ssl.SSLCertVerificationError as fault:
            raise Permanent(f"mail_refused: the server's certificate is not trusted: {fault.verify_message}") from fault
        except OSError as fault:
            raise Transient(f"mail_unreachable: {self.server} cannot be reached: {type(fault).__name__}") from fault


def _quoted(word: str) -> bytes:
    if any(ord(sign) < 32 for sign in word):
        raise Permanent("mail_refused: no line breaks in what is searched for")
    return b'"' + word.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def _day(since: str) -> str:
    try:
        day = date.fromisoformat(since)
    except ValueError:
        raise Permanent(f"mail_refused: {since!r} is no day") from None
    return f"{day.day}-{MONTHS[day.month - 1]}-{day.year}"


def _data(reply: tuple[str, Any]) -> list[bytes]:
    kind, found = reply
    if kind != "OK":
        raise Permanent(f"mail_refused: {found!r}"[:300])
    return [one for one in cast("list[Any]", found) if isinstance(one, bytes)]


def _parts(reply: tuple[str, Any]) -> list[tuple[int, bytes]]:
    """Number and bytes of what was fetched."""
    _data(reply)
    found: list[tuple[int, bytes]] = []
    for one in cast("list[Any]", reply[1]):
        if isinstance(one, tuple):
            head, data = cast("tuple[bytes, bytes]", one)
            number = UID.search(head)
            found.append((int(number.group(1)) if number else 0, data))
    return found


def _found(part: tuple[int, bytes]) -> Found:
    told = cast("EmailMessage", message_from_bytes(part[1], policy=POLICY))
    return Found(
        uid=part[0],
        id=_header(told, "Message-ID"),
        sender=_header(told, "From"),
        to=_header(told, "To"),
        subject=_header(told, "Subject"),
        date=_header(told, "Date"),
    )


def _mail(data: bytes) -> Mail:
    told = cast("EmailMessage", message_from_bytes(data, policy=POLICY))
    body = told.get_body(("plain", "html"))
    text = _text(body) if body is not None else ""
    if body is not None and body.get_content_type() == "text/html":
        text = _without_tags(text)
    attachments = [
        f"{one.get_filename() or 'without a name'} ({one.get_content_type()}, {_size(one)} bytes)" for one in told.iter_attachments()
    ]
    return Mail(
        id=_header(told, "Message-ID"),
        sender=_header(told, "From"),
        to=_header(told, "To"),
        subject=_header(told, "Subject"),
        date=_header(told, "Date"),
        text=text[:LONGEST_TEXT],
        attachments=attachments[:50],
        cut=len(text) > LONGEST_TEXT or len(data) >= LONGEST_MAIL,
    )


def _size(part: Any) -> int:
    return len(part.get_payload(decode=True) or b"")


def _header(told: EmailMessage, name: str) -> str:
    try:
        return str(told.get(name, ""))[:1000]
    except (ValueError, IndexError, AttributeError, TypeError):  # what strangers write; the parser gives up in all these ways
        return ""


def _text(part: Any) -> str:
    try:
        return str(part.get_content())
    except (LookupError, ValueError, KeyError):  # a charset that nobody knows
        return bytes(part.get_payload(decode=True) or b"").decode(errors="replace")


class _Words(HTMLParser):
    """The text of a page, without styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("style", "script"):
            self._hidden += 1
        elif tag in ("p", "br", "div", "tr", "li"):
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def _without_tags(page: str) -> str:
    found = _Words()
    found.feed(page)
    # No regular expression: one would look at a long run of blanks again from each of them.
    return "\n".join(filter(None, (line.strip() for line in "".join(found.words).split("\n"))))
