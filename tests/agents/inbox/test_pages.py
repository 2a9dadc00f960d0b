"""The inbox of a whole house: over HTTP, in the console, in a browser, told by webhook and e-mail."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from sqlalchemy import update
from tests.agents.inbox import payments
from tests.agents.test_service import Provider, call
from tests.alerts.smtp import smtp_server
from tests.edge.contract import Contract
from tests.gateway.upstream import Conversation, serving
from tests.house import House, open_house

from penstock.agents.tables import TRAIL
from penstock.kernel.journal import Journal
from penstock.kernel.signing import verify
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Takes webhooks."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line]
            self.got.append(({name.lower(): value for name, value in lines}, body))
            await peer.json(b"{}")


class Place(msgspec.Struct):
    house: House
    provider: Provider
    receiver: Receiver
    mails: list[tuple[str, list[str], str]]
    keys: dict[str, str]
    people: dict[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    provider, receiver = Provider(), Receiver()
    os.environ["TEST_INBOX_SECRET"] = SECRET
    async with serving(provider) as up, serving(receiver) as hook, smtp_server() as smtp:
        settings = (
            "[gateway]\ndiscover = false\nlocal_embeddings = false\n"
            f'[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "{up.url}"\nmodels = ["m"]\n'
            f'[journal]\npoll_seconds = 0.02\n[agents]\nmodules = ["{payments.__name__}"]\n'
            '[agents.inbox]\nround_seconds = 0.1\npublic_url = "https://penstock.example"\n'
            f'[agents.inbox.webhooks.desk]\nurl = "{hook.url}"\nsecret_env = "TEST_INBOX_SECRET"\n'
            f'[agents.inbox.mail.desk]\nto = ["boss@example.com"]\nsender = "penstock@example.com"\ntls = "none"\n'
            f'url = "smtp://127.0.0.1:{smtp.port}"\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as house:
            keys: dict[str, str] = {}
            people: dict[str, str] = {}
            for name in ("Ada", "Ben"):
                made = await house.made("/v1/people", {"name": name})
                people[name] = made["id"]
                keys[name], _ = await house.key(name=name, person=made["id"], scopes=["call", "read", "admin"])
            yield Place(house, provider, receiver, smtp.mails, keys, people)
    del os.environ["TEST_INBOX_SECRET"]


async def asked(place: Place, key: str = "", **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A run that Ada, or whose key it is, started and that wants to pay, and its request."""
    given = {"order": "ORD-77", "euros": 40.0, "reason": "It came <b>broken</b>.", **arguments}

    def say(messages: list[dict[str, Any]]) -> dict[str, Any]:
        told = [one["content"] for one in messages if one["role"] == "tool"]
        return {"content": f"done: {told[-1]}"} if told else call("refund", **given)

    place.provider.say = say
    run = (await place.house.made("/v1/agents/cashier/runs", {"input": "refund ORD-77"}, key=key or place.keys["Ada"]))["run"]["id"]
    async with asyncio.timeout(30):
        while True:
            found = (await place.house.ask("GET", f"/v1/inbox/requests?run={run}")).json["data"]
            if found:
                return run, found[0]
            await asyncio.sleep(0.05)


async def test_a_refund_is_proposed_approved_and_told_of(place: Place) -> None:
    house, contract = place.house, await Contract.of(place.house)
    payments.paid.clear()
    run, view = await asked(place)
    request = view["request"]
    path = f"/v1/inbox/requests/{request['id']}"
    for key, what, body, status in (
        (place.keys["Ada"], "approve", {"digest": request["digest"]}, 403),
        (house.admin, "approve", {"digest": request["digest"]}, 403),  # of no person
        (place.keys["Ben"], "approve", {"digest": "0" * 64}, 409),
        (place.keys["Ben"], "approve", {}, 400),
        (place.keys["Ben"], "answer", {"value": 1}, 400),
    ):
        answer = await house.ask("POST", f"{path}/{what}", body, key=key)
        assert answer.status == status, answer.text
        contract.check("POST", f"{path}/{what}", body, answer)
    word = {"topic": f"request/{request['id']}", "value": {"value": {"approve": True}}}
    assert (await house.ask("POST", f"/v1/runs/{run}/signal", word)).status == 400
    assert payments.paid == []
    answer = await house.ask("POST", f"{path}/approve", {"digest": request["digest"]}, key=place.keys["Ben"])
    contract.check("POST", f"{path}/approve", {"digest": request["digest"]}, answer)
    assert answer.json["request"]["state"] == "approved"
    await house.app.ports.get(Journal).result(None, run, 30.0)
    assert payments.paid == [("ORD-77", 40.0)]
    async with asyncio.timeout(30):
        while len(place.receiver.got) < 2 or not place.mails:
            await asyncio.sleep(0.05)
    headers, body = place.receiver.got[0]
    told = json.loads(body)
    assert (told["type"], told["data"]["digest"]) == ("penstock.request.opened", request["digest"])
    assert verify(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body, headers["webhook-signature"])
    assert json.loads(place.receiver.got[1][1])["type"] == "penstock.request.approved"
    assert b"broken" not in body
    _, to, text = place.mails[0]
    assert to == ["boss@example.com"]
    assert f"https://penstock.example/console/inbox/{request['id']}" in text.replace("=\r\n", "").replace("=\n", "")
    assert "broken" not in text


async def test_policies_are_kept_in_versions_and_tried_without_calling(place: Place) -> None:
    house, contract = place.house, await Contract.of(place.house)
    tried = {"agent": "cashier", "tool": "refund", "arguments": {"order": "x", "euros": 500}}
    rule = {"name": "much needs two", "tools": ["refund"], "unit": "EUR", "above": 100, "people": 2}
    for method, path, body, status in (
        ("GET", "/v1/inbox/policy", None, 200),
        ("POST", "/v1/inbox/policy/needs", tried, 200),
        ("POST", "/v1/inbox/policy/needs", {"tool": "other"}, 400),
        ("POST", "/v1/inbox/policy/needs", {"tool": "other", "agent": "nobody"}, 404),
        ("PUT", "/v1/inbox/policy", {"policy": {"rules": [rule]}, "after": 0, "note": "fraud"}, 200),
        ("PUT", "/v1/inbox/policy", {"policy": {"rules": [rule]}, "after": 0}, 409),
        ("PUT", "/v1/inbox/policy", {"policy": {"rules": [{**rule, "by": ["me"]}]}, "after": 1}, 400),
        ("GET", "/v1/inbox/policy/versions", None, 200),
        ("GET", "/v1/inbox/delegations", None, 200),
        ("GET", "/v1/inbox/trail", None, 200),
    ):
        answer = await house.ask(method, path, body, key=place.keys["Ben"])
        assert answer.status == status, answer.text
        contract.check(method, path, body, answer)
    answer = await house.ask("POST", "/v1/inbox/policy/needs", tried)
    assert answer.json["told"] == "2 people (admins)"
    trail = (await house.ask("GET", "/v1/inbox/trail?subject=policy")).json
    assert [line["action"] for line in trail["data"]] == ["changed"]
    assert (trail["next"], trail["checked"], trail["broken_at"]) == (None, False, None)


async def test_the_trail_is_read_page_by_page_and_says_where_it_was_changed(place: Place) -> None:
    house, contract = place.house, await Contract.of(place.house)
    for seconds in range(60, 67):
        await house.made("/v1/inbox/delegations", {"taker": place.people["Ben"], "seconds": seconds}, key=place.keys["Ada"])
    whole = (await house.ask("GET", "/v1/inbox/trail?limit=1000")).json["data"]
    assert [line["id"] for line in whole] == sorted((line["id"] for line in whole), reverse=True)
    pages: list[dict[str, Any]] = []
    path: str | None = "/v1/inbox/trail?limit=3"
    while path is not None:
        answer = await house.ask("GET", path)
        contract.check("GET", "/v1/inbox/trail", None, answer)
        assert 0 < len(answer.json["data"]) <= 3
        pages += answer.json["data"]
        path = f"/v1/inbox/trail?limit=3&before={answer.json['next']}" if answer.json["next"] else None
    assert pages == whole
    assert (await house.ask("GET", "/v1/inbox/trail?before=0")).status == 400
    assert (await house.ask("GET", "/v1/inbox/trail?limit=1&check=true")).json["broken_at"] is None
    changed = whole[2]["id"]
    records = house.app.ports.get(Records)
    await records.write(lambda connection: connection.execute(update(TRAIL).where(TRAIL.c.id == changed).values(person="somebody")))
    told = (await house.ask("GET", "/v1/inbox/trail?limit=1&check=true")).json
    assert (told["checked"], told["broken_at"]) == (True, changed)
    was = whole[2]["person"]
    await records.write(lambda connection: connection.execute(update(TRAIL).where(TRAIL.c.id == changed).values(person=was)))


async def test_the_doctor_and_the_metrics_know_of_what_waits(place: Place) -> None:
    await asked(place)
    _, check = place.house.app.offers["agents"].checks
    found = await check()
    assert "wait for people" in found[-1].what
    async with asyncio.timeout(30):
        while "penstock_agents_requests_open" not in (await place.house.ask("GET", "/metrics")).text:
            await place.house.app.offers["agents"].metrics[1].sweep()  # type: ignore[attr-defined]


async def test_a_person_who_is_erased_leaves_their_word_and_none_of_their_words(place: Place) -> None:
    house, journal = place.house, place.house.app.ports.get(Journal)
    person = (await house.made("/v1/people", {"name": "Cem"}))["id"]
    cem, _ = await house.key(name="Cem", person=person, scopes=["call", "read", "admin"])

    async def refused(by: str, to: str) -> tuple[str, str]:
        run, view = await asked(place, key=by, reason="Cem is ill.")
        answer = await house.ask("POST", f"/v1/inbox/requests/{view['request']['id']}/reject", {"note": "ask Cem's doctor"}, key=to)
        assert answer.status == 200, answer.text
        await journal.result(None, run, 30.0)
        return run, view["request"]["id"]

    for_him, his = await refused(cem, place.keys["Ben"])
    for_ada, of_ada = await refused(place.keys["Ada"], cem)
    goes_on, waits = await asked(place, key=cem)
    for key, whose in ((cem, "his"), (place.keys["Ada"], "hers")):
        await house.made("/v1/schedules", {"agent": "cashier", "input": "refund", "at": 4_000_000_000.0, "key": whose}, key=key)
    told = await house.ask("DELETE", f"/v1/people/{person}/records")
    assert told.status == 200, told.text
    assert {room: count for room, count in told.json["others"].items() if count} == {"schedules": 1, "inbox": 3, "runs": 1}
    assert [one["person"] for one in (await house.ask("GET", "/v1/schedules")).json["data"]] == [place.people["Ada"]]
    for path in (f"/v1/runs/{for_him}", f"/v1/inbox/requests/{his}"):
        assert (await house.ask("GET", path)).status == 404
    assert (await house.ask("GET", f"/v1/runs/{for_him}/effects")).status == 404
    kept = (await house.ask("GET", f"/v1/inbox/requests/{of_ada}")).json["request"]
    assert ([(vote["voter"], vote.get("note", "")) for vote in kept["votes"]], kept["note"]) == ([(person, "")], "")
    assert (await house.ask("GET", f"/v1/runs/{for_ada}")).json["run"]["state"] == "done"
    trail = (await house.ask("GET", f"/v1/inbox/trail?subject={his}&check=true")).json
    assert ([line["action"] for line in trail["data"]], trail["broken_at"]) == (["rejected", "said", "opened"], None)
    assert "doctor" not in str(trail)
    assert len(trail["data"][1]["details"]["note_sha256"]) == 64
    assert (await house.ask("GET", f"/v1/inbox/requests/{waits['request']['id']}")).json["may"] is False  # of no person
    await journal.cancel(None, goes_on)
    again = (await house.ask("DELETE", f"/v1/people/{person}/records")).json
    assert {room: count for room, count in again["others"].items() if count} == {"inbox": 1, "runs": 1}
    assert (await house.ask("GET", f"/v1/runs/{goes_on}")).status == 404


@pytest.mark.browser
async def test_it_is_answered_on_a_phone_and_looks_well(place: Place) -> None:
    pytest.importorskip("playwright")
    from playwright.async_api import async_playwright, expect

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    house, shots = place.house, os.environ.get("PENSTOCK_SHOTS", "")
    run, view = await asked(place, reason="A long story. " * 30)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for who, size, theme in (("Ada", (1440, 900), "light"), ("Ben", (1440, 900), "dark"), ("Ben", (390, 844), "light")):
            context = await browser.new_context(locale="en-GB", viewport={"width": size[0], "height": size[1]}, color_scheme=theme)  # type: ignore[arg-type]
            context.set_default_timeout(20_000)
            await context.request.post(
                f"{house.url}/console/sign-in", form={"key": place.keys[who]}, headers={"origin": house.url}, max_redirects=0
            )
            page = await context.new_page()
            complaints: list[str] = []
            page.on("console", lambda message, told=complaints: told.append(message.text) if message.type == "error" else None)
            await page.goto(f"{house.url}/console/inbox")
            await expect(page.get_by_role("heading", name="Inbox")).to_be_visible()
            if shots:
                await page.screenshot(path=Path(shots) / f"inbox-{who}-{size[0]}-{theme}.png", full_page=True)
            await page.get_by_role("link", name="refund").first.click()
            await expect(page.get_by_role("heading", name="cashier wants to call refund")).to_be_visible()
            if shots:
                await page.screenshot(path=Path(shots) / f"request-{who}-{size[0]}-{theme}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
            assert await page.get_by_role("button", name="Approve exactly this").count() == (who == "Ben")
            await page.goto(f"{house.url}/console/inbox/policies")
            await page.get_by_role("textbox", name="Tool", exact=True).fill("refund")
            await page.get_by_label("Agent", exact=True).select_option("cashier")
            await page.get_by_label("Amount", exact=True).fill("500")
            await page.get_by_label("Unit", exact=True).fill("EUR")
            await page.get_by_role("button", name="What does it need?").press("Enter")
            await expect(page.get_by_text(re.compile(r"refund needs (2 people|a person) \(admins\)"))).to_be_visible()
            await expect(page.get_by_role("table", name="Tools of agents").get_by_text("irreversible calls need a person")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
            if shots:
                await page.screenshot(path=Path(shots) / f"policies-{who}-{size[0]}-{theme}.png", full_page=True)
            rules = page.get_by_role("textbox", name="Rules")
            await rules.fill('{"rules": [{"name": "much needs two", "tool": "refund"}]}')
            await page.get_by_role("button", name="Put in force").press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("unknown field `tool`")
            complaints.clear()  # that the answer was a 400
            await expect(rules).to_have_value(re.compile('"tool": "refund"'))
            if shots:
                await page.screenshot(path=Path(shots) / f"policies-wrong-{who}-{size[0]}-{theme}.png", full_page=True)
            await rules.fill('{"rules": [{"name": "much needs two", "tools": ["refund"], "unit": "EUR", "above": 100, "people": 2}]}')
            note = f"from the page of {who}, {size[0]}"
            await page.get_by_label("Why").fill(note)
            await page.get_by_role("button", name="Put in force").press("Enter")
            await expect(page.get_by_role("table", name="Versions").get_by_text(note)).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
            other = "Ada" if who == "Ben" else "Ben"
            await page.goto(f"{house.url}/console/inbox/delegations")
            await page.get_by_label("Person").fill("nobody")
            await page.get_by_role("button", name="Let them stand in").press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("no other person")
            complaints.clear()  # that the answer was a 400
            await page.get_by_label("Person").fill(place.people[other])
            await page.get_by_label("For", exact=True).select_option("3")
            await page.get_by_role("button", name="Let them stand in").press("Enter")
            mine = page.get_by_role("table", name="Who stands in for you")
            await expect(mine.get_by_text("holds").first).to_be_visible()
            if shots:
                await page.screenshot(path=Path(shots) / f"delegations-{who}-{size[0]}-{theme}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth") <= size[0], "it scrolls sideways"
            count = await mine.get_by_role("row").count()
            await mine.get_by_role("button", name="Take back").first.click()
            await expect(page.get_by_role("table", name="Who stands in for you").get_by_role("row")).to_have_count(
                count - 1 if count > 2 else 0
            )
            if who == "Ben" and size[0] == 390:
                await page.goto(f"{house.url}/console/inbox/{view['request']['id']}")
                await page.get_by_label("Note").fill("not again")
                await page.get_by_role("button", name="Reject").click()
                await expect(page.get_by_text("rejected", exact=False).first).to_be_visible()
            assert complaints == []
            await context.close()
        await browser.close()
    await house.app.ports.get(Journal).result(None, run, 30.0)
