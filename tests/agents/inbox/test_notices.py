"""Who is told of requests, again and again until it is taken, and who may answer once nobody else has."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection
from tests.agents.inbox.people import ada, ben, person
from tests.agents.inbox.replay import Memory
from tests.agents.inbox.test_policy import call
from tests.agents.scripted import KEYS
from tests.alerts.smtp import smtp_server
from tests.gateway.upstream import Conversation, serving

from penstock.agents.inbox.model import Need, Quorum
from penstock.agents.inbox.notices import Notices
from penstock.agents.inbox.requests import Requests
from penstock.agents.inbox.settings import InboxSettings, MailSettings, WebhookSettings
from penstock.kernel.errors import Forbidden
from penstock.kernel.signing import verify
from penstock.storage.migrations import migrate
from penstock.storage.records import open_records

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Answers webhooks with what it is told to, in turn, and then takes them."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, bytes]] = []
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line]
            self.got.append(({name.lower(): value for name, value in lines}, body))
            status, extra = self.answers.pop(0) if self.answers else ("200 OK", b"")
            await peer.json(b"{}", status, extra)

    @property
    def told(self) -> list[tuple[str, str]]:
        """Request and event of each."""
        events = [json.loads(body) for _, body in self.got]
        return [(event["subject"], event["type"].rpartition(".")[2]) for event in events]


class Place:
    """Requests and their notices, on records of their own, at a time of their own."""

    def __init__(self, folder: Path, url: str, port: int) -> None:
        self.now = 1_800_000_000.0
        self.records = open_records("", folder)
        migrate(self.records, ("penstock.agents.migrations",))
        settings = InboxSettings(
            webhooks={"desk": WebhookSettings(url=url, secret_env="SECRET")},
            mail={"desk": MailSettings(to=("boss@example.com",), sender="p@example.com", url=f"smtp://127.0.0.1:{port}", tls="none")},
            give_up_hours=1.0,
        )
        self.notices = Notices(self.records, settings, {"SECRET": SECRET}, home=lambda: "org", clock=lambda: self.now)
        memory: Any = Memory()
        self.requests = Requests(self.records, lambda: memory, KEYS.get, tell=self.notices.tell, clock=self.at)

    def at(self, connection: Connection) -> float:
        """What time it is."""
        return self.now

    async def ask(self, run: str, **terms: Any) -> str:
        """A request about a call of that run; its id."""
        proposal = call(key=ada.key_id, person="ada", **terms)
        need = Need(
            expires=7200.0,
            quorums=(
                Quorum(by=("person:ben",), escalate=600.0, escalate_to=("team:desk",)),
                Quorum(by=("person:gil",), escalate=1200.0, escalate_to=("admins",)),
            ),
        )
        about: dict[str, Any] = {"proposal": proposal, "need": need, "key": ada.key_id, "person": "ada"}
        return (await self.requests.open(run=run, ordinal=f"{run}/1", organisation="org", kind="approval", text="?", **about)).id

    async def later(self, seconds: float) -> int:
        """Time passes, and what is due is sent; how many arrived."""
        self.now += seconds
        return await self.notices.deliver()


@pytest_asyncio.fixture(loop_scope="module")
async def place(tmp_path: Path) -> AsyncIterator[tuple[Place, Receiver, Any]]:
    receiver = Receiver()
    async with serving(receiver) as hook, smtp_server() as smtp:
        made = Place(tmp_path, hook.url, smtp.port)
        try:
            yield made, receiver, smtp
        finally:
            await made.notices.close()
            made.records.close()


Room = tuple[Place, Receiver, Any]


async def test_what_nobody_answers_goes_to_others_once_and_they_are_told(place: Room) -> None:
    made, receiver, smtp = place
    id = await made.ask("r1")
    eve, cem = person("eve", admin=False, team="desk"), person("cem")
    assert await made.later(1.0) == 2  # a webhook and a mail
    for one in (eve, cem):
        with pytest.raises(Forbidden) as refused:
            await made.requests.answer(one, id, {"approve": True})
        assert refused.value.code == "not_asked"
    assert await made.requests.expire() == 0
    made.now += 600.0
    assert (await made.requests.expire(), await made.requests.expire()) == (1, 0)
    assert (await made.requests.answer(eve, id, {"approve": True})).state == "open"
    with pytest.raises(Forbidden):
        await made.requests.answer(cem, id, {"approve": True})
    made.now += 600.0
    assert (await made.requests.expire(), await made.requests.expire()) == (1, 0)
    assert (await made.requests.answer(cem, id, {"approve": True})).state == "approved"
    while await made.later(0.0):
        pass
    assert receiver.told == [(id, "opened"), (id, "escalated"), (id, "escalated"), (id, "approved")]
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 4
    told = [text.replace("=\r\n", "").replace("=\n", "") for _, _, text in smtp.mails]
    assert ["may be answered by you now" in text for text in told] == [False, True, True]


async def test_a_webhook_is_sent_again_until_it_is_taken_and_those_behind_it_wait(place: Room) -> None:
    made, receiver, _ = place
    receiver.answers = [("503 Service Unavailable", b"retry-after: 40\r\n"), ("200 OK", b""), ("500 Internal Server Error", b"")]
    first = await made.ask("r1")
    await made.requests.answer(ben, first, {"approve": False, "note": "no"})
    other = await made.ask("r2")
    assert await made.later(0.0) == 3  # both mails, and the webhook of the other request
    assert receiver.told == [(first, "opened"), (other, "opened")]
    assert await made.later(39.0) == 0
    assert await made.later(2.0) == 0  # as long as it asked for, and no luck again
    assert await made.later(9.0) == 0
    assert len(receiver.got) == 3
    assert [await made.later(2.0), await made.later(0.0)] == [1, 1]
    assert receiver.told == [(first, "opened"), (other, "opened"), (first, "opened"), (first, "opened"), (first, "rejected")]
    ids = {headers["webhook-id"] for headers, body in receiver.got if json.loads(body)["subject"] == first}
    assert len(ids) == 2
    for headers, body in receiver.got:
        assert verify(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body, headers["webhook-signature"])
    assert await made.notices.standing() == {"delivered": 5}


async def test_what_nobody_takes_is_given_up_and_what_is_gone_at_once(place: Room) -> None:
    made, receiver, smtp = place
    smtp.refuse = {"MAIL": "451 later"}
    receiver.answers = [("410 Gone", b"")]
    await made.ask("r1")
    assert await made.later(0.0) == 0
    assert await made.notices.standing() == {"failed": 1, "waiting": 1}
    began = made.now
    while (await made.notices.standing()).get("waiting"):
        assert await made.later(60.0) == 0
    assert 3_600.0 < made.now - began < 6_000.0  # at the first time after an hour, and the waits double
    assert (await made.notices.standing(), smtp.mails) == ({"failed": 2}, [])


async def test_what_the_settings_name_no_more_is_not_sent(place: Room) -> None:
    made, receiver, _ = place
    await made.ask("r1")
    without = Notices(made.records, InboxSettings(), {}, home=lambda: "org", clock=lambda: made.now)
    assert await without.deliver() == 0
    assert (await without.standing(), receiver.got) == ({"failed": 2}, [])
