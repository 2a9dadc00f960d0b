"""Sending mail, once."""

from __future__ import annotations

import asyncio
from email import message_from_string
from email.policy import default

import pytest
from tests.agents.toolbox.calling import call, context, outcome
from tests.agents.toolbox.post import imap_server
from tests.alerts.smtp import smtp_server

from penstock.agents.performing import Performing
from penstock.agents.toolbox import Mailbox, email_send
from penstock.agents.toolbox.email import message_id

MAIL = {"to": ["ann@example.org"], "subject": "Your order", "text": "It is on its way.\n.\n"}


async def test_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_WORD", "hidden-word")
    async with smtp_server() as server:
        (send,) = email_send(
            "127.0.0.1",
            port=server.port,
            security="none",
            sender="The Desk <desk@example.org>",
            user="desk",
            password="env:MAIL_WORD",
            allowed=["*@example.org"],
        )
        assert (send.effect, send.honours_key) == ("irreversible", False)
        sent = await call(send, "run/call/4", **MAIL, cc=["bob@EXAMPLE.org"], answers="<1@x>")
        assert server.login == "\0desk\0hidden-word"
        ((author, to, text),) = server.mails
        assert (author, to) == ("desk@example.org", ["ann@example.org", "bob@EXAMPLE.org"])
        message = message_from_string(text, policy=default)
        assert (message["From"], message["Message-ID"], message["In-Reply-To"]) == ("The Desk <desk@example.org>", sent.id, "<1@x>")
        assert sent.id == message_id("run/call/4", "example.org")
        told = await outcome(send, **MAIL | {"to": ["ann@elsewhere.example"]})
        assert "email_forbidden" in told.text
        for wrong in ({"subject": "a\nBcc: eve@example.org"}, {"to": ["nobody"]}, {"to": ["a@example.org>,<b@example.org"]}):
            told = await outcome(send, **MAIL | wrong)
            assert (told.state, "email_refused" in told.text) == ("failed", True)
        assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("refuse", "state", "code"),
    [
        ({"RCPT": "550 unknown"}, "failed", "tool_failed"),
        ({"MAIL": "451 later"}, "failed", "tool_unavailable"),
        ({"DATA": "554 spam"}, "failed", "tool_failed"),
    ],
)
async def test_refusals(refuse: dict[str, str], state: str, code: str) -> None:
    async with smtp_server() as server:
        server.refuse = refuse
        (send,) = email_send("127.0.0.1", port=server.port, security="none", sender="desk@example.org")
        told = await outcome(send, **MAIL)
        assert (told.state, told.code, server.mails) == (state, code, [])
    assert (await outcome(send, **MAIL)).code == "tool_unavailable"


async def test_lost_after_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server took the mail, or not; whoever keeps what it sends can be asked."""
    monkeypatch.setenv("MAIL_WORD", "hidden-word")

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            writer.write(reply)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.close()

    server = await asyncio.start_server(breaks_off, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, imap_server() as post:
        terms = {"port": port, "security": "none", "sender": "desk@example.org"}
        (blind,) = email_send("127.0.0.1", **terms)
        told = await outcome(blind, **MAIL)
        assert (told.state, "email_lost" in told.text) == ("in_doubt", True)
        sent = Mailbox(server="127.0.0.1", port=post.port, user="desk", password="env:MAIL_WORD", security="none", folders=("Sent",))
        (send,) = email_send("127.0.0.1", **terms, sent=sent)
        told = await outcome(send, **MAIL)
        assert told.state == "in_doubt"
        assert "where it may still come" in told.text
        id = message_id("run/call/1", "example.org")
        post.folders["Sent"][1] = f"Message-ID: {id}\r\n\r\nx".encode()
        found = await Performing().once(send, send.arguments(MAIL), context(), last=True)
        assert (found.state, id in found.text) == ("done", True)


def test_declared_wrongly() -> None:
    with pytest.raises(ValueError, match="security"):
        email_send("x", sender="a@example.org", security="tls")


async def test_a_bad_goodbye() -> None:
    """The server took the mail: what it answers to the goodbye does not have it sent again."""

    async def serves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            writer.write(reply)
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await reader.readline()
        writer.write(b"421 closing\r\n")
        writer.close()

    server = await asyncio.start_server(serves, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        (send,) = email_send("127.0.0.1", port=port, security="none", sender="desk@example.org")
        assert (await outcome(send, **MAIL)).state == "done"
