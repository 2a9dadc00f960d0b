"""Looking into a mailbox."""

from __future__ import annotations

import asyncio
from email.message import EmailMessage

import pytest
from tests.agents.toolbox.calling import call, named, outcome
from tests.agents.toolbox.post import imap_server

from penstock.agents.toolbox import Mailbox, mailbox
from penstock.kernel.errors import SettingsError

HTML = "<style>p {color: red}</style><p>Dear shop,</p><p>where is <b>it</b>?<script>steal()</script>"


def mail(subject: str, text: str, *, html: str = "") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"], made["Message-ID"] = "Ann <ann@example.org>", "desk@example.org", subject, f"<{len(text)}@x>"
    made.set_content(html or text, subtype="html" if html else "plain")
    made.add_attachment(b"12345", maintype="image", subtype="png", filename="photo.png")
    return made.as_bytes().replace(b"\n", b"\r\n")


async def test_searching_and_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_WORD", "hidden-word")
    async with imap_server() as server:
        server.folders["INBOX"] = {
            3: mail("Order 12", "Where is it?"),
            5: mail("Order 13", "", html=HTML),
            9: mail('A "quoted" word', "x" * 50_000),
        }
        box = Mailbox(server="127.0.0.1", port=server.port, user="desk", password="env:MAIL_WORD", security="none")
        tools = mailbox(box, rows=2)
        search, read = named(tools, "mail_search"), named(tools, "mail_read")
        assert [one.uid for one in await call(search)] == [9, 5]
        assert [one.subject for one in await call(search, sender="ann", subject="order", since="2026-03-01", unread=True)] == [
            "Order 13",
            "Order 12",
        ]
        assert any("SINCE 1-Mar-2026 UNSEEN" in one for one in server.asked)
        assert [one.uid for one in await call(search, subject='"quoted"')] == [9]
        assert await call(search, text="nowhere to be found") == []
        assert any("CHARSET UTF-8" in one for one in server.asked) is False
        await call(search, text="größer")
        assert server.asked[-2].startswith("UID SEARCH CHARSET UTF-8 TEXT")
        first = await call(read, folder="INBOX", uid=3)
        assert (first.sender, first.text.strip(), first.cut) == ("Ann <ann@example.org>", "Where is it?", False)
        assert first.attachments == ["photo.png (image/png, 5 bytes)"]
        assert (await call(read, folder="INBOX", uid=5)).text == "Dear shop,\nwhere is it?"
        assert (await call(read, folder="INBOX", uid=9)).cut
        assert "mail_missing" in (await outcome(read, folder="INBOX", uid=77)).text
        assert "mail_forbidden" in (await outcome(read, folder="Private", uid=3)).text
        assert "no line breaks" in (await outcome(search, text="a\r\nx LOGOUT")).text
        assert not any(one.upper().startswith(("SELECT", "UID STORE")) for one in server.asked)
        monkeypatch.setenv("MAIL_WORD", "wrong-word")
        told = await outcome(search)
        assert (told.code, "wrong-word" in told.text) == ("tool_failed", False)
    assert (await asyncio.wait_for(outcome(search), 20)).code == "tool_unavailable"


async def test_mails_made_to_hold_us_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments in comments, long headers and long runs of blanks, each of which would take minutes or the whole stack."""
    monkeypatch.setenv("MAIL_WORD", "hidden-word")
    blanks = b"Dear" + b" " * 900_000 + b"shop"
    heads = b"From: " + b"(" * 3000 + b"\r\nTo: " + b'"' * 60_000 + b"\r\nSubject: here\r\nContent-Type: text/html; x=" + b"(" * 3000
    async with imap_server() as server:
        server.folders["INBOX"] = {4: heads + b"\r\n\r\n" + blanks, 5: b"Subject: here\r\nContent-Type: text/html\r\n\r\n" + blanks}
        box = Mailbox(server="127.0.0.1", port=server.port, user="desk", password="env:MAIL_WORD", security="none")
        tools = mailbox(box)
        assert [one.subject for one in await call(named(tools, "mail_search"))] == ["here", "here"]
        for uid in (4, 5):
            assert (await call(named(tools, "mail_read"), folder="INBOX", uid=uid)).text.startswith("Dear ")


def test_declared_wrongly() -> None:
    with pytest.raises(SettingsError, match="give env:NAME"):
        Mailbox(server="x", user="x", password="plain-word")
    with pytest.raises(ValueError, match="security"):
        Mailbox(server="x", user="x", password="env:A", security="tls")
