"""Identity's JSON routes: every one is there, asks for its scope, and gives what it describes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

NOUNS = ("organisations", "teams", "projects", "people")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.mark.parametrize("noun", NOUNS)
async def test_an_owner_is_made_found_listed_renamed_and_removed(house: House, noun: str) -> None:
    path = f"/v1/{noun}"
    made = await house.made(path, {"name": "One"})
    assert (await house.ask("GET", f"{path}/{made['id']}")).json == made
    assert made in (await house.ask("GET", path)).json["data"]
    changed = await house.ask("PATCH", f"{path}/{made['id']}", {"name": "Two"})
    assert (changed.status, changed.json) == (200, {**made, "name": "Two"})
    removed = await house.ask("DELETE", f"{path}/{made['id']}")
    assert (removed.status, removed.text) == (204, "")
    for method, body in (("GET", None), ("PATCH", {"name": "Three"}), ("DELETE", None)):
        answer = await house.ask(method, f"{path}/{made['id']}", body)
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("noun", [*NOUNS, "keys"])
async def test_reading_needs_read_and_changing_needs_admin(house: House, noun: str) -> None:
    reader, _ = await house.key(scopes=["read"])
    caller, _ = await house.key(scopes=["call"])
    some = (await house.ask("GET", f"/v1/{noun}?limit=1", key=reader)).json["data"]
    assert (await house.ask("GET", f"/v1/{noun}", key=caller)).status == 403
    assert (await house.ask("GET", f"/v1/{noun}", key="")).status == 401
    assert (await house.ask("POST", f"/v1/{noun}", {"name": "No"}, key=reader)).status == 403
    for one in some:
        assert (await house.ask("PATCH", f"/v1/{noun}/{one['id']}", {"name": "No"}, key=reader)).status == 403


async def test_a_change_takes_away_only_what_it_names(house: House) -> None:
    team = (await house.made("/v1/teams", {"name": "Team"}))["id"]
    person = await house.made("/v1/people", {"name": "Ada", "email": "ada@example.com", "team": team})
    path = f"/v1/people/{person['id']}"
    assert (await house.ask("PATCH", path, {})).json == person
    assert (await house.ask("PATCH", path, {"team": None})).json == {**person, "team": None}
    assert (await house.ask("PATCH", path, {"email": None})).json == {**person, "team": None, "email": None}


async def test_lists_go_on_page_by_page(house: House) -> None:
    made = [(await house.made("/v1/teams", {"name": f"Page {n}"}))["id"] for n in range(5)]
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = (await house.ask("GET", f"/v1/teams?limit=2{f'&cursor={cursor}' if cursor else ''}")).json
        found += [team["id"] for team in page["data"]]
        cursor = page["next_cursor"]
    assert found[:5] == made[::-1]
    assert len(found) == len(set(found))


async def test_keys_are_listed_by_what_they_belong_to(house: House) -> None:
    team = (await house.made("/v1/teams", {"name": "Owners"}))["id"]
    project = (await house.made("/v1/projects", {"name": "Owned", "team": team}))["id"]
    person = (await house.made("/v1/people", {"name": "Owner"}))["id"]
    _, by_project = await house.key(name="by project", project=project)
    _, by_person = await house.key(name="by person", person=person)

    async def ids(query: str) -> set[str]:
        return {key["id"] for key in (await house.ask("GET", f"/v1/keys?{query}")).json["data"]}

    assert await ids(f"team={team}") == await ids(f"project={project}") == {by_project}
    assert await ids(f"person={person}") == {by_person}
    await house.ask("POST", f"/v1/keys/{by_person}/revoke")
    assert by_person in await ids("state=revoked")
    assert await ids("search=by%20pro") == {by_project}


async def test_a_secret_is_told_when_it_is_made_and_never_again(house: House) -> None:
    made = await house.made("/v1/keys", {"name": "told once"})
    path = f"/v1/keys/{made['key']['id']}"
    again = await house.ask("POST", f"{path}/rotate", {"grace_seconds": 0})
    assert again.status == 200
    assert again.headers["cache-control"] == "no-store"
    # Without grace the old secret ends with the rotation.
    assert (await house.ask("GET", "/v1/models", key=made["secret"])).json["error"]["code"] == "expired_api_key"
    assert (await house.ask("GET", "/v1/models", key=again.json["secret"])).status == 200
    for answer in (
        await house.ask("GET", path),
        await house.ask("GET", "/v1/keys?search=told"),
        await house.ask("PATCH", path, {"name": "told once, renamed"}),
        await house.ask("POST", f"{path}/revoke"),
    ):
        assert answer.status == 200
        assert made["secret"] not in answer.text
        assert again.json["secret"] not in answer.text


async def test_a_key_cannot_revoke_itself_and_says_how_else(house: House) -> None:
    (own,) = [key for key in (await house.ask("GET", "/v1/keys?search=first")).json["data"] if key["name"] == "first admin key"]
    answer = await house.ask("POST", f"/v1/keys/{own['id']}/revoke")
    assert (answer.status, answer.json["error"]["code"]) == (409, "conflict")
    assert "penstock keys revoke" in answer.json["error"]["message"]
    assert (await house.ask("GET", "/v1/keys")).status == 200
