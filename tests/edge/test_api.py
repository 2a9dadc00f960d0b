"""Routes, pages and doors over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


PAGES = (
    "/console/",
    "/console/calls",
    "/console/playground",
    "/console/spend",
    "/console/ledger",
    "/console/budgets",
    "/console/keys",
    "/console/organisation",
)


@pytest.mark.parametrize("page", [*PAGES, "/console/sign-in"])
async def test_every_page_has_the_headers_that_keep_others_out(house: House, page: str) -> None:
    answer = await house.ask("GET", page, accept="text/html")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "referrer-policy" in answer.headers
    assert answer.headers["cache-control"] == "no-store"


async def test_a_browser_without_a_session_is_sent_to_sign_in_and_back(house: House) -> None:
    answer = await house.ask("GET", "/console/calls?outcome=failed", key="", accept="text/html")
    assert answer.status == 303
    assert answer.headers["location"] == "/console/sign-in?next=%2Fconsole%2Fcalls%3Foutcome%3Dfailed"
    signed = await house.ask(
        "POST",
        "/console/sign-in",
        f"key={house.admin}&next=/console/calls?outcome=failed",
        key="",
        content_type="application/x-www-form-urlencoded",
        sec_fetch_site="same-origin",
    )
    assert (signed.status, signed.headers["location"]) == (303, "/console/calls?outcome=failed")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert house.admin not in cookie
    token = cookie.split(";")[0]
    assert (await house.ask("GET", "/console/calls", key="", accept="text/html", cookie=token)).status == 200
    # Another site's page may make the browser send the cookie; it may not act with it.
    form = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
    foreign = await house.ask(
        "POST", "/console/organisation", "kind=team&name=Evil", key="", cookie=token, sec_fetch_site="cross-site", **form
    )
    assert foreign.status in (401, 403)
    assert "Evil" not in (await house.ask("GET", "/v1/teams")).text
    out = await house.ask("POST", "/console/sign-out", "", key="", cookie=token, sec_fetch_site="same-origin", **form)
    assert out.status == 303
    assert (await house.ask("GET", "/console/calls", key="", accept="text/html", cookie=token)).status == 303


@pytest.mark.parametrize("target", ["//evil.example/", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a\nb"])
async def test_signing_in_leads_to_no_other_site(house: House, target: str) -> None:
    from urllib.parse import quote

    signed = await house.ask(
        "POST",
        "/console/sign-in",
        f"key={house.admin}&next={quote(target)}",
        key="",
        content_type="application/x-www-form-urlencoded",
        sec_fetch_site="same-origin",
    )
    assert (signed.status, signed.headers["location"]) == (303, "/console/")


@pytest.mark.parametrize("key", ["psk_" + "x" * 49, "", "nonsense"])
async def test_a_wrong_key_does_not_sign_in_and_is_not_shown(house: House, key: str) -> None:
    answer = await house.ask(
        "POST",
        "/console/sign-in",
        f"key={key}",
        key="",
        content_type="application/x-www-form-urlencoded",
        sec_fetch_site="same-origin",
        accept="text/html",
    )
    assert answer.status == 401
    assert "set-cookie" not in answer.headers
    assert not key or key not in answer.text


async def test_another_site_cannot_sign_its_reader_in(house: House) -> None:
    form = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
    answer = await house.ask("POST", "/console/sign-in", f"key={house.admin}", key="", sec_fetch_site="cross-site", **form)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


async def test_the_key_may_come_in_the_headers_of_each_vendor(house: House) -> None:
    for headers in ({"x_api_key": house.admin}, {"api_key": house.admin}, {"authorization": f"bearer {house.admin}"}):
        assert (await house.ask("GET", "/v1/teams", key="", **headers)).status == 200


async def test_scopes_open_what_they_say(house: House) -> None:
    reader, _ = await house.key(scopes=["read"])
    caller, _ = await house.key(scopes=["call"])
    assert (await house.ask("GET", "/v1/calls", key=reader)).status == 200
    assert (await house.ask("POST", "/v1/teams", {"name": "x"}, key=reader)).status == 403
    assert (await house.ask("GET", "/v1/calls", key=caller)).json["error"]["code"] == "permission_denied"
    assert (await house.ask("GET", "/v1/calls", key="")).json["error"]["code"] == "missing_api_key"
    assert (await house.ask("GET", "/v1/models", key=caller)).status == 200
    assert (await house.ask("GET", "/console/keys", key=caller, accept="text/html")).status == 403


async def test_what_is_not_there_is_told_in_the_askers_language(house: House) -> None:
    answer = await house.ask("GET", "/v1/nothing")
    assert (answer.status, answer.json["error"]["code"]) == (404, "unknown_url")
    page = await house.ask("GET", "/console/nothing", accept="text/html")
    assert page.status == 404
    assert page.headers["content-type"].startswith("text/html")
    wrong = await house.ask("DELETE", "/v1/calls")
    assert (wrong.status, wrong.json["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]
    assert (await house.ask("HEAD", "/v1/calls")).status == 200
    assert (await house.ask("GET", "/healthz", key="")).json == {"status": "ok"}


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/v1/calls?limit=0", "limit"),
        ("/v1/calls?limit=x", "limit"),
        ("/v1/calls?limit=5&limit=6", "limit"),
        ("/v1/calls?nonsense=1", "nonsense"),
        ("/v1/calls?outcome=odd", "outcome"),
        ("/v1/calls?since=-1", "since"),
        ("/v1/ledger?until=1e300", "until"),
        ("/v1/spend?group=colour", "group"),
        ("/v1/keys?cursor=x", "cursor"),
    ],
)
async def test_queries_that_make_no_sense_name_what_is_wrong(house: House, path: str, param: str) -> None:
    answer = await house.ask("GET", path)
    assert answer.status == 400, answer.text
    assert answer.json["error"]["param"] == param


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '{"name": 5}', '{"name": "a", "limit": "b"}', '{"limit": 1}', "\ud83d"[:0] + '{"name":"\\ud800"}']
)
async def test_bodies_that_make_no_sense_are_refused(house: House, body: str) -> None:
    answer = await house.ask("POST", "/v1/budgets", body)
    assert answer.status == 400
    assert answer.json["error"]["code"] in ("malformed_request", "invalid_request")


async def test_a_body_beyond_the_limit_of_a_control_route_is_refused_before_it_is_read(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rsplit(":", 1)[1]))
    writer.write(
        b"POST /v1/teams HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: 2000000\r\n\r\n" % house.admin.encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 413 " in head
    assert b"body_too_large" in await reader.readuntil(b"}}")
    writer.close()


@pytest.mark.parametrize("id", ["%F1%8E%AE%A4", "%CB%8E%C2%AE", "..%2F..%2Fetc", "%00", "a%0D%0Ab", "x" * 2000])
async def test_ids_of_any_characters_are_not_found(house: House, id: str) -> None:
    # Found by Schemathesis: characters beyond Latin-1 in a path ended in a 500.
    from yarl import URL

    async with house.session.get(
        URL(f"{house.url}/v1/teams/{id}", encoded=True), headers={"authorization": f"Bearer {house.admin}"}
    ) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] in ("not_found", "unknown_url")


async def test_the_document_describes_what_there_is(house: House) -> None:
    document = (await house.ask("GET", "/openapi.json", key="")).json
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) >= {"/v1/chat/completions", "/v1/messages", "/v1/calls/{id}", "/v1/ledger/export", "/v1/models/{model}"}
    assert not [path for path in document["paths"] if ":path" in path]
    export = document["paths"]["/v1/ledger/export"]["get"]["responses"]["200"]["content"]
    assert list(export) == ["text/csv"]
    names = [op["operationId"] for methods in document["paths"].values() for op in methods.values()]
    assert len(names) == len(set(names))


async def test_the_ledger_is_downloaded_as_csv(house: House) -> None:
    answer = await house.ask("GET", "/v1/ledger/export")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.text.splitlines()[0].startswith("id,at_ms,organisation")
