"""The example of a support desk, from the ticket to the refund and the mail."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from examples.stand_in import Conversation
from examples.support_desk import script, shop
from tests.alerts.smtp import Smtp, smtp_server
from tests.examples.stage import begun, open_example, over, tools, until
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


class Desk:
    """The desk at work: who starts its runs, who agrees to refunds, and the shop and the mail that it changes."""

    def __init__(self, house: House, mail: Smtp, file: Path, starter: str, boss: str) -> None:
        self.house = house
        self.mail = mail
        self.file = file
        self.starter = starter
        self.boss = boss

    async def asked(self, run: str) -> dict[str, Any]:
        """The request with which a run waits for people: its validator has agreed."""
        found = await until(self.house, f"/v1/inbox/requests?run={run}", _validated)
        (one,) = found["data"]
        return one["request"]


def _validated(found: dict[str, Any]) -> bool:
    return any(one["request"]["votes"] for one in found["data"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    async with open_house(folder) as first:  # where the checker gets its key, and whoever starts runs another one
        _, checker = await first.key(name="checker", scopes=["call"])
        starter, _ = await first.key(name="desk", scopes=["call", "read"])
        pia = (await first.made("/v1/people", {"name": "Pia"}))["id"]
        boss, _ = await first.key(name="boss", scopes=["admin"], person=pia)
        admin = first.admin
    with pytest.MonkeyPatch.context() as patch:
        async with smtp_server() as mail:
            patch.setenv("SHOP_DATABASE", str(folder / "shop.db"))
            patch.setenv("SMTP_PORT", str(mail.port))
            async with open_example("support_desk", folder, {"key_of_the_checker": checker}) as house:
                house.admin = admin
                yield Desk(house, mail, folder / "shop.db", starter, boss)


def refunds(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT order_number, cents, reason FROM refunds").fetchall()


async def test_a_broken_kettle_is_refunded_once_after_two_have_agreed(desk: Desk) -> None:
    house = desk.house
    run = await begun(house, "support-desk", "Ticket T-1001, please.", key=desk.starter)
    request = await desk.asked(run)
    assert request["proposal"]["arguments"] == {"order": "2026-117", "cents": 4900, "reason": "Kettle arrived broken"}
    assert request["votes"][0]["note"] == "49.00 EUR, as the database has it"
    assert refunds(desk.file) == []
    path = f"/v1/inbox/requests/{request['id']}/approve"
    own = await house.ask("POST", path, {"digest": request["digest"]}, key=desk.starter)
    assert own.status in (403, 409), own.text
    other = await house.ask("POST", path, {"digest": "0" * 64}, key=desk.boss)
    assert other.status == 409, other.text
    agreed = await house.ask("POST", path, {"digest": request["digest"]}, key=desk.boss)
    assert agreed.status == 200, agreed.text
    ended = await over(house, run)
    assert (ended["state"], ended["output"]) == (
        "done",
        "T-1001: we are sorry that your kettle arrived broken. You have 49.00 EUR back.",
    )
    assert refunds(desk.file) == [("2026-117", 4900, "Kettle arrived broken")]
    (sent,) = desk.mail.mails
    assert sent[1] == ["ada@example.com"]
    assert "You have 49.00 EUR back" in sent[2]
    shown = (await house.ask("GET", f"/v1/runs/{run}")).json
    assert list(dict.fromkeys(tools(shown))) == ["read_ticket", "shop_query", "refund", "email_send"]
    assert [one["name"] for one in shown["steps"] if one["kind"] == "child"] == ["agent/refund-checker"]
    desk.mail.mails.clear()


async def test_what_a_person_rejects_is_not_refunded_and_the_customer_hears_that_somebody_looks_at_it(desk: Desk) -> None:
    before = refunds(desk.file)
    run = await begun(desk.house, "support-desk", "T-1001 again", key=desk.starter)
    request = await desk.asked(run)
    said = await desk.house.ask("POST", f"/v1/inbox/requests/{request['id']}/reject", {"note": "had it already"}, key=desk.boss)
    assert said.status == 200, said.text
    ended = await over(desk.house, run)
    assert "A colleague looks at it" in ended["output"]
    assert refunds(desk.file) == before
    assert "A colleague looks at it" in desk.mail.mails[0][2]
    desk.mail.mails.clear()


async def test_a_question_is_answered_without_a_refund(desk: Desk) -> None:
    before = refunds(desk.file)
    ended = await over(desk.house, await begun(desk.house, "support-desk", "T-1002", key=desk.starter))
    assert ended["output"] == "T-1002: your lamp is on its way."
    assert refunds(desk.file) == before
    assert [one[1] for one in desk.mail.mails] == [["noor@example.com"]]
    desk.mail.mails.clear()


async def test_what_names_nothing_ends_in_words(desk: Desk) -> None:
    house = desk.house
    assert (await over(house, await begun(house, "support-desk", "Hello?", key=desk.starter)))["output"] == "That names no ticket."
    assert "no order" in (await over(house, await begun(house, "support-desk", "T-9999", key=desk.starter)))["output"]
    assert desk.mail.mails == []


async def test_the_checker_refuses_what_the_database_did_not_say() -> None:
    proposal: dict[str, Any] = {
        "amount": {"value": 49.0, "unit": "EUR"},
        "arguments": [{"path": "order", "stands_in": [1]}, {"path": "cents", "stands_in": [0]}],
        "read": [{"number": 0, "name": "read_ticket"}, {"number": 1, "name": "shop_query"}],
    }

    def says() -> dict[str, Any]:
        return json.loads(str(script.checker(Conversation([{"role": "user", "content": f"Look.\n\n{json.dumps(proposal)}"}]))))

    assert says() == {"approve": False, "note": "the database does not say so"}
    proposal["arguments"][1]["stands_in"] = [1]
    assert says()["approve"]
    proposal["amount"]["value"] = 501.0
    assert says() == {"approve": False, "note": "that is more than 500 EUR"}


async def test_the_shop_gives_back_once_for_a_key_and_never_more_than_was_paid(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    shop.make(file)
    shop.make(file)
    gave = await asyncio.gather(*(asyncio.to_thread(shop.give_back, file, "one", "2026-117", 4000, "x") for _ in range(8)))
    assert set(gave) == {shop.Refund("2026-117", 4000)}
    for key, order, cents in (("two", "2026-117", 1000), ("three", "none", 1), ("four", "2026-117", 0), ("five", "2026-117", -5)):
        with pytest.raises(shop.Refused):
            shop.give_back(file, key, order, cents, "x")
    assert len(refunds(file)) == 1
