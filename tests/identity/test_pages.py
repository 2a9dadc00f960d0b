"""Identity's pages over a real socket: signing in and out, keys and their secrets, the organisation."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.house import SETTINGS, Answer, House, open_house

from penstock.identity.settings import IdentitySettings

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

FORM = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html", "sec_fetch_site": "same-origin"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


async def sign_in(house: House, key: str) -> str:
    """The cookie of a browser that signed in."""
    answer = await house.ask("POST", "/console/sign-in", f"key={key}", key="", **FORM)
    assert answer.status == 303, answer.text
    return answer.headers["set-cookie"].split(";")[0]


async def look(house: House, path: str, cookie: str) -> Answer:
    return await house.ask("GET", path, key="", accept="text/html", cookie=cookie)


async def send(house: House, path: str, body: str, cookie: str) -> Answer:
    return await house.ask("POST", path, body, key="", cookie=cookie, **FORM)


async def test_the_cookie_lasts_as_long_as_the_session_and_is_for_this_site_alone(house: House) -> None:
    answer = await house.ask("POST", "/console/sign-in", f"key=%20{house.admin}%20", key="", **FORM)
    assert (answer.status, answer.headers["location"]) == (303, "/console/")
    cookie = answer.headers["set-cookie"]
    assert re.match(r"penstock_session=pss_[\w-]{43}; ", cookie)
    for part in ("HttpOnly", "Path=/", "SameSite=strict"):
        assert part in cookie
    (age,) = re.findall(r"Max-Age=(\d+)", cookie)
    assert 0 <= IdentitySettings().session_days * 86_400 - int(age) <= 60


async def test_signing_out_ends_the_session_and_the_cookie(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    assert (await look(house, "/console/keys", cookie)).status == 200
    out = await send(house, "/console/sign-out", "", cookie)
    assert (out.status, out.headers["location"]) == (303, "/console/sign-in")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert (await look(house, "/console/keys", cookie)).status == 303
    assert (await send(house, "/console/sign-out", "", cookie)).status == 303


async def test_who_is_signed_in_already_is_sent_on(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    answer = await look(house, "/console/sign-in?next=/console/keys", cookie)
    assert (answer.status, answer.headers["location"]) == (303, "/console/keys")
    assert (await look(house, "/console/sign-in", cookie)).headers["location"] == "/console/"
    assert (await look(house, "/console/sign-in?next=//evil.example", cookie)).headers["location"] == "/console/"
    for unknown in ("penstock_session=pss_" + "x" * 43, "penstock_session=nonsense"):
        assert (await look(house, "/console/sign-in", unknown)).status == 200


async def test_behind_a_balancer_a_browser_is_signed_in_at_every_process_at_once(tmp_path: Path, postgres: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    slow = SETTINGS + "[identity]\nrefresh_seconds = 1.0\n"
    async with open_house(first, slow, database=postgres) as a, open_house(second, slow, database=postgres) as b:
        cookie = await sign_in(a, a.admin)
        # The balancer sends the browser to the other process before that one has looked for news.
        answer = await look(b, "/console/keys", cookie)
        while answer.status == 303:
            answer = await look(b, answer.headers["location"], cookie)
        assert answer.status == 200
        assert "<title>Keys" in answer.text


async def test_a_key_is_made_shown_once_rotated_and_revoked(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    project = (await house.made("/v1/projects", {"name": "Shop"}))["id"]
    pia = (await house.made("/v1/people", {"name": "Pia"}))["id"]
    body = f"name=bot&project={project}&person={pia}&scope_call=on&models=gpt-*+claude&requests_per_minute=60&tokens_per_minute=&days=7"
    page = await send(house, "/console/keys", body, cookie)
    assert page.status == 200
    (secret,) = set(re.findall(r"psk_[\w-]+", page.text))
    assert page.headers["cache-control"] == "no-store"
    assert secret not in (await look(house, "/console/keys", cookie)).text
    assert (await house.ask("GET", "/v1/models", key=secret)).status == 200
    (key,) = [k for k in (await house.ask("GET", "/v1/keys?search=bot")).json["data"] if k["name"] == "bot"]
    assert (key["project"], key["person"], key["scopes"], key["models"]) == (project, pia, ["call"], ["gpt-*", "claude"])
    assert key["limits"] == {"requests_per_minute": 60, "tokens_per_minute": None, "concurrency": None}
    assert 6.9 < (key["expires_at"] - key["created_at"]) / 86_400 <= 7.01
    shown = (await look(house, "/console/keys?q=bot", cookie)).text
    assert "Default / Shop" in shown
    assert "60 requests/min" in shown
    again = await send(house, f"/console/keys/{key['id']}/rotate", "", cookie)
    (new,) = set(re.findall(r"psk_[\w-]+", again.text))
    assert new != secret
    gone = await send(house, f"/console/keys/{key['id']}/revoke", "", cookie)
    assert (gone.status, gone.headers["location"]) == (303, "/console/keys")
    for ended in (secret, new):
        assert (await house.ask("GET", "/v1/models", key=ended)).json["error"]["code"] == "revoked_api_key"
    assert ">bot<" not in (await look(house, "/console/keys?state=live", cookie)).text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("name=&scope_call=on", 400),
        ("name=x", 400),
        ("name=x&scope_call=on&days=soon", 400),
        ("name=x&scope_call=on&concurrency=-1", 400),
        ("name=x&scope_call=on&concurrency=9999999999999", 400),
        ("name=x&scope_call=on&project=proj_none", 400),
        ("name=x&scope_call=on&person=person_none", 400),
        ("name=x&scope_call=on&models=a*b", 400),
    ],
)
async def test_a_form_that_makes_no_sense_is_answered_with_a_page_that_says_why(house: House, body: str, status: int) -> None:
    cookie = await sign_in(house, house.admin)
    answer = await send(house, "/console/keys", body, cookie)
    assert answer.status == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "psk_" not in answer.text.replace("psk_…", "")


@pytest.mark.parametrize("query", ["state=odd", "cursor=x"])
async def test_a_list_that_cannot_be_is_refused(house: House, query: str) -> None:
    assert (await look(house, f"/console/keys?{query}", await sign_in(house, house.admin))).status == 400


async def test_a_reader_sees_and_does_not_change(house: House) -> None:
    secret, id = await house.key(name="reader", scopes=["read"])
    cookie = await sign_in(house, secret)
    page = (await look(house, "/console/keys", cookie)).text
    assert "reader" in page
    assert "Make a key" not in page
    assert "/revoke" not in page
    assert 'action="/console/organisation"' not in (await look(house, "/console/organisation", cookie)).text
    for path in ("/console/keys", f"/console/keys/{id}/rotate", f"/console/keys/{id}/revoke", "/console/organisation"):
        assert (await send(house, path, "name=x&kind=team&scope_call=on", cookie)).status == 403
    assert (await house.ask("GET", f"/v1/keys/{id}")).json["state"] == "live"


async def test_a_caller_cannot_sign_in(house: House) -> None:
    secret, _ = await house.key(name="caller", scopes=["call"])
    answer = await house.ask("POST", "/console/sign-in", f"key={secret}", key="", **FORM)
    assert answer.status == 403
    assert "lacks the scope" in answer.text
    assert "set-cookie" not in answer.headers


async def test_an_organisation_grows_by_the_form(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    for body in ("kind=team&name=Platform", "kind=project&name=Search", "kind=person&name=Ada&email=Ada@Example.com"):
        answer = await send(house, "/console/organisation", body, cookie)
        assert (answer.status, answer.headers["location"]) == (303, "/console/organisation")
    page = (await look(house, "/console/organisation", cookie)).text
    for shown in ("Platform", "Search", "Ada", "ada@example.com"):
        assert shown in page
    assert (await send(house, "/console/organisation", "kind=team&name=Platform", cookie)).status == 409
    assert (await send(house, "/console/organisation", "kind=castle&name=x", cookie)).status == 400


async def test_names_are_text_and_never_markup(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    await house.key(name="<script>alert(1)</script>")
    page = (await look(house, "/console/keys", cookie)).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_long_list_has_a_way_on(house: House) -> None:
    cookie = await sign_in(house, house.admin)
    for number in range(51):
        await house.key(name=f"many {number:02}")
    page = (await look(house, "/console/keys?q=many", cookie)).text
    assert "many 50" in page
    assert "many 00" not in page
    (on,) = re.findall(r'href="(/console/keys\?cursor=[^"]+)"', page)
    rest = (await look(house, on.replace("&amp;", "&"), cookie)).text
    assert "many 00" in rest
    assert "many 50" not in rest
