from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from tests.alerts.rig import receiving
from tests.alerts.series import NOW
from tests.alerts.smtp import smtp_server
from tests.alerts.test_shapes import URL, alert

from penstock.alerts.message import of_alert
from penstock.alerts.send import Sender
from penstock.alerts.targets import Target
from penstock.kernel.sending import Sent
from penstock.kernel.signing import verify

EVENT = of_alert(alert(), "fired", url=URL, now=NOW, key="alert_1.1")


def target(kind: str = "webhook", **more: Any) -> Target:
    values: dict[str, Any] = {"name": "t", "kind": kind, "address": "http://127.0.0.1:9/secret-path", "shown": "", **more}
    return Target(**values)


async def sent(to: Target, seconds: float = 10.0) -> Sent:
    sender = Sender(seconds, time.time)
    try:
        return await sender.send(to, "alert_1.1.t", EVENT)
    finally:
        await sender.close()


async def test_a_webhook_is_a_signed_cloud_event() -> None:
    async with receiving() as receiver:
        assert (await sent(target(address=receiver.url, secret="whsec_c2VjcmV0"))).ok
    ((headers, body),) = receiver.got
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert body == msgspec.json.decode(EVENT)
    at = int(headers["webhook-timestamp"])
    assert verify("whsec_c2VjcmV0", headers["webhook-id"], at, receiver.raw[0], headers["webhook-signature"])
    assert not verify("whsec_b3RoZXI=", headers["webhook-id"], at, receiver.raw[0], headers["webhook-signature"])


async def test_each_kind_gets_its_shape() -> None:
    async with receiving() as receiver:
        for kind in ("slack", "teams", "pagerduty"):
            assert (await sent(target(kind, address=receiver.url, secret="key"))).ok
        assert (await sent(target(address=receiver.url, examples=False))).ok
    bodies = [body for _, body in receiver.got]
    assert [set(body) & {"blocks", "attachments", "routing_key"} for body in bodies[:3]] == [{"blocks"}, {"attachments"}, {"routing_key"}]
    assert bodies[3]["data"]["examples"] == []
    assert all("webhook-signature" not in headers for headers, _ in receiver.got)


async def test_a_mail_is_handed_to_the_server() -> None:
    async with smtp_server() as server:
        to = target(
            "email",
            address=f"smtp://127.0.0.1:{server.port}",
            to=("a@x.org", "b@x.org"),
            sender="p@x.org",
            user="u",
            secret="pw",
            tls="none",
        )
        assert (await sent(to)).ok
        ((sender, recipients, text),) = server.mails
        assert (sender, recipients, server.login) == ("p@x.org", ["a@x.org", "b@x.org"], "\0u\0pw")
        assert "Message-ID: <alert_1.1@x.org>" in text
        assert "\n" not in text.replace("\r\n", "")  # servers refuse bare line feeds
        for command, reply, fault in (
            ("AUTH", "535 no", "user or password"),
            ("RCPT", "550 who", "refuses 2 of the addresses"),
            ("DATA", "451 later", "answered 451"),
        ):
            server.refuse = {command: reply}
            found = await sent(to)
            assert not found.ok
            assert fault in found.fault
            assert "pw" not in found.fault
    assert "cannot be reached" in (await sent(to)).fault


async def test_faults_say_what_and_hold_no_secret() -> None:
    async with receiving() as receiver:
        for status, gone in ((500, False), (404, False), (302, False), (410, True)):
            receiver.answer = lambda status=status: status  # type: ignore[misc]
            found = await sent(target(address=receiver.url + "?token=geheim"))
            assert found == Sent(False, f"it answered {status}", gone=gone)
    unreachable = await sent(target(address="http://127.0.0.1:9/geheim"))
    assert "cannot be reached" in unreachable.fault
    assert "geheim" not in unreachable.fault
    assert (await sent(target(address="http://[::bad/geheim"))).ok is False
    assert (await sent(target(lacks="SLACK_HOOK"))).fault == "the variable SLACK_HOOK is not set"
    assert "geheim" not in repr(target(secret="geheim"))


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "https://127.0.0.1:9/", "https://localhost:9/", "https://localhost.:9/"])
async def test_others_do_not_reach_inside(address: str) -> None:
    assert "private" in (await sent(target(address=address, public=True))).fault or address.startswith("http:")


async def test_a_receiver_that_does_not_answer_is_left() -> None:
    import asyncio

    async with receiving() as receiver:
        receiver.hold = asyncio.Event()
        found = await sent(target(address=receiver.url), seconds=0.2)
        receiver.hold.set()
    assert found.fault == "it did not answer within 0.2 s"
