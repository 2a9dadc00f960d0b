"""Tasks declared, declared anew and deleted in the console, over a real socket and in a real browser; and who may only look."""

from __future__ import annotations

import html
import os
import re
import shutil
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from tests.house import Answer
from tests.tasks.people import Rig, rig

from penstock.tasks.declaration import Declaration
from penstock.tasks.forms import FRESH, filled

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
NEW = "/console/tasks/~new"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("house")) as house:
        yield house


async def look(place: Rig, path: str, *, key: str | None = None) -> Answer:
    return await place.house.ask("GET", path, key=key, accept="text/html")


async def send(place: Rig, path: str, form: dict[str, str], *, key: str | None = None, **headers: str) -> Answer:
    sent = {"accept": "text/html", "content_type": "application/x-www-form-urlencoded", **headers}
    return await place.house.ask("POST", path, urlencode(form), key=key, **sent)


def words(answer: Answer) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def form(name: str, /, **fields: str) -> dict[str, str]:
    plain = {**FRESH, "name": name, "owner": "support", "candidates": "up/a\nup/b"}
    return {**plain, **{field.replace("__", "."): value for field, value in fields.items()}}


async def digest(place: Rig, name: str) -> str:
    return (await place.house.ask("GET", f"/v1/tasks/{name}")).json["digest"]


async def test_a_task_is_declared_declared_anew_and_deleted(place: Rig) -> None:
    assert "Declare a task" in (await look(place, "/console/tasks")).text
    made = await send(place, NEW, form("made.here", judge__kind="groundedness", judge__detector="lexical", floor__level="0.9"))
    assert (made.status, made.headers["location"]) == (303, "/console/tasks/made.here"), words(made)
    told = (await place.house.ask("GET", "/v1/tasks/made.here")).json["declaration"]
    assert told["judge"] == {"kind": "groundedness", "detector": "lexical"}
    assert (told["floor"]["level"], told["candidates"]) == (0.9, ["up/a", "up/b"])
    page = await look(place, made.headers["location"])
    assert "/console/tasks/made.here/declaration" in page.text
    path = "/console/tasks/made.here/declaration"
    shown = await look(place, path)
    known = await digest(place, "made.here")
    assert f'name="digest" value="{known}"' in shown.text
    assert 'value="0.9"' in shown.text
    changed = await send(place, path, form("", digest=known, floor__level="0.8"))
    assert changed.status == 303, words(changed)
    late = await send(place, path, form("", digest=known, floor__level="0.7", owner="typed meanwhile"))
    assert late.status == 409
    assert "somebody changed it" in words(late)
    assert 'value="typed meanwhile"' in late.text
    assert f'href="{path}">As it is now' in late.text
    assert (await send(place, f"{path}/delete", {"digest": known})).status == 409
    gone = await send(place, f"{path}/delete", {"digest": await digest(place, "made.here")})
    assert (gone.status, gone.headers["location"]) == (303, "/console/tasks")
    assert (await look(place, path)).status == 404
    assert (await send(place, path, form("", digest=known))).status == 404


@pytest.mark.parametrize(
    ("fields", "at", "says"),
    [
        ({"candidates": "up/a\nupp/b"}, "candidates", "upp/b"),
        ({"floor__level": "0.9", "floor__reference": "up/c"}, "floor.reference", "'up/c' is not among the candidates"),
        ({"judge__kind": "regex"}, "judge.pattern", "a judge of kind 'regex' needs it; add pattern"),
        ({"judge__kind": "exact", "judge__rubric": "kind?"}, "judge.rubric", "has no use for it; leave it out"),
        ({"sample": "some"}, "sample", "'some' is no number; write one such as 0.95"),
        ({"data_class": "restricted", "places.vendor": "on"}, "places", "restricted data never goes to a vendor"),
        ({"slices": "language 1"}, "slices", "a floor of 1 can never be shown"),
        ({"name": "no name"}, "name", "is no name of a task"),
        ({"name": "support.intent"}, "name", "the settings declare a task 'support.intent'"),
    ],
    ids=str,
)
async def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_stays(place: Rig, fields: dict[str, str], at: str, says: str) -> None:
    before = (await place.house.ask("GET", "/v1/tasks")).json
    answer = await send(place, NEW, form("wrong", **{"kpi": "<b>typed</b>", **fields}))
    assert answer.status in (400, 409)
    told = re.search(rf'<p class="field-error" id="field-{re.escape(at)}-error">([^<]*)', answer.text)
    assert told is not None, words(answer)
    assert says in html.unescape(told[1])
    assert says in words(answer).split("What it is")[0], "the notice above all fields says it too"
    assert 'value="&lt;b&gt;typed&lt;/b&gt;"' in answer.text
    for name, value in fields.items():
        if "\n" not in value and name not in ("places.vendor", "judge__kind", "data_class"):
            assert html.escape(value) in answer.text
    assert (await place.house.ask("GET", "/v1/tasks")).json == before


async def test_everything_that_is_wrong_is_told_at_once(place: Rig) -> None:
    answer = await send(place, NEW, form("wrong", candidates="up/a\nup/a", judge__kind="rubric", explore="0.1"))
    ids = re.findall(r'<p class="field-error" id="field-([\w.]+)-error"', answer.text)
    assert set(ids) == {"candidates", "judge.model", "judge.rubric", "explore"}


async def test_tasks_of_the_settings_and_of_others_are_shown_with_the_reason_and_not_changed(place: Rig) -> None:
    path = "/console/tasks/support.intent/declaration"
    page = await look(place, path)
    assert 'This task stands in penstock.toml, [tasks."support.intent"], for every organisation.' in words(page)
    assert '<fieldset class="stack-large" disabled>' in page.text
    assert 'type="submit"' not in page.text.split('id="content"')[1]
    for target in (path, f"{path}/delete"):
        refused = await send(place, target, {**filled(Declaration(owner="x", candidates=("up/a",))), "digest": "x"})
        assert refused.status == 409
        assert "stands in the settings; change it there" in words(refused)
    theirs, organisation = await place.house.outsider()
    assert (await send(place, NEW, form("theirs.own"), key=theirs)).status == 303
    page = await look(place, f"/console/tasks/theirs.own/declaration?organisation={organisation}")
    assert "whose own administrators change it" in words(page)
    assert '<fieldset class="stack-large" disabled>' in page.text
    assert (await send(place, "/console/tasks/theirs.own/declaration", form("", digest="x"))).status == 404


async def test_who_may_only_read_sees_and_changes_nothing(place: Rig) -> None:
    assert (await send(place, NEW, form("read.only"))).status == 303
    reader, _ = await place.house.key(name="reads", scopes=["read"])
    assert "Declare a task" not in (await look(place, "/console/tasks", key=reader)).text
    page = await look(place, "/console/tasks/read.only/declaration", key=reader)
    assert "that takes the scope admin" in words(page)
    assert '<fieldset class="stack-large" disabled>' in page.text
    assert (await look(place, NEW, key=reader)).status == 403
    known = await digest(place, "read.only")
    for path in (NEW, "/console/tasks/read.only/declaration", "/console/tasks/read.only/declaration/delete"):
        assert (await send(place, path, form("x", digest=known), key=reader)).status == 403
    assert (await look(place, "/console/tasks/read.only")).status == 200


@pytest.mark.slow
async def test_in_a_browser_a_judge_is_chosen_a_fault_mended_and_the_task_declared(place: Rig) -> None:
    from playwright.async_api import async_playwright, expect

    chromium = os.environ.get("PENSTOCK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; browser tests must run here")
        pytest.skip("Chromium is not installed")
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        page.on("pageerror", lambda fault: wrong.append(str(fault)))
        await page.goto(f"{place.house.url}/console/sign-in?next=/console/tasks")
        await page.fill("input[name=key]", place.house.admin)
        await page.click("button[type=submit]")
        await page.get_by_role("link", name="Declare a task").click()
        await page.get_by_role("textbox", name="Name", exact=True).fill("seen.here")
        await page.get_by_label("Owner").fill("support")
        await page.get_by_label("Candidates").fill("up/a\nupp/x")
        await expect(page.get_by_label("Rubric")).to_be_hidden()
        await page.get_by_label("Judged by").select_option("rubric")
        await expect(page.get_by_label("Pattern")).to_be_hidden()
        await page.get_by_label("Rubric").fill("Is it kind?")
        await page.get_by_label("Model that judges").fill("up/c")
        await page.get_by_role("button", name="Declare").click()
        await expect(page.get_by_role("alert")).to_contain_text("candidates[1]")
        await expect(page.get_by_label("Candidates")).to_be_focused()
        await expect(page.get_by_label("Rubric")).to_have_value("Is it kind?")
        await page.get_by_label("Candidates").fill("up/a\nup/b")
        await page.get_by_role("button", name="Declare").click()
        await expect(page.get_by_role("heading", name="seen.here")).to_be_visible()
        await page.get_by_role("link", name="Change").click()
        await page.get_by_label("Judged by").select_option("groundedness")
        await page.get_by_role("button", name="Save").click()
        # What the other kind took is still there: it is shown, and said to be of no use.
        await expect(page.get_by_label("Rubric")).to_be_visible()
        await page.get_by_label("Rubric").fill("")
        await page.get_by_label("Model that judges").fill("")
        await page.get_by_label("Detector").select_option("lexical")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_text("groundedness: lexical")).to_be_visible()
        await browser.close()
    assert wrong == []
