"""Spend and budgets in the console, over a real socket, and their forms in a real browser."""

from __future__ import annotations

import html
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.finops.books import Books, words
from tests.house import open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def books(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Books]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        yield await Books.of(house)


def budget(called: str, **terms: str) -> dict[str, str]:
    return {"name": called, "limit": "25", "period": "month", "subject_kind": "everything", "subject": "", "alerts": "80", **terms}


async def test_a_budget_is_added_with_its_alerts_and_shows_them(books: Books) -> None:
    made = await books.send(
        "/console/budgets", **budget("levels", alerts="95, 50", subject_kind="model", subject="levels-m", limit="0.001")
    )
    assert (made.status, made.headers["location"]) == (303, "/console/budgets")
    (view,) = [v for v in (await books.house.ask("GET", "/v1/budgets")).json["data"] if v["budget"]["name"] == "levels"]
    assert (view["budget"]["alerts"], view["budget"]["hard"], view["budget"]["limit"]) == ([50, 95], False, 1000)
    assert "Tells at 50 % 95 % the limit" in words(await books.look("/console/budgets"))
    await books.row("call_levels", 500, model="levels-m")
    path = f"/console/budgets/{view['budget']['id']}"
    # Saving counts the period anew, and what was reached is shown as reached.
    assert (
        await books.send(path, **budget("levels", alerts="50,95", subject_kind="model", subject="levels-m", limit="0.001"))
    ).status == 303
    assert "Tells at 50 % reached 95 % the limit" in words(await books.look("/console/budgets"))


async def test_the_form_offers_80_per_cent(books: Books) -> None:
    assert re.search(r'name="alerts"[^>]* value="80"', (await books.look("/console/budgets")).text)


@pytest.mark.parametrize(
    ("terms", "field", "says"),
    [
        ({"limit": "much"}, "limit", "limit: 'much' is not a decimal number"),
        ({"alerts": "100"}, "alerts", "alerts: up to 10 levels of 1 to 99 per cent"),
        ({"alerts": "many"}, "alerts", "alerts: 'many' is no whole per cent"),
        ({"subject": "somebody"}, "subject", "subject: names whom the budget is for"),
        ({"period": "decade"}, "period", "period: Invalid enum value 'decade'"),
        ({"name": " "}, "name", "name: 1 to 200 characters"),
    ],
    ids=str,
)
async def test_a_wrong_budget_is_told_at_its_field_and_what_was_typed_stays(
    books: Books, terms: dict[str, str], field: str, says: str
) -> None:
    before = (await books.house.ask("GET", "/v1/budgets")).json["data"]
    answer = await books.send("/console/budgets", **budget("<b>wrong</b>", **terms))
    assert answer.status == 400
    assert f'<p class="field-error" id="field-{field}-error">{says}' in html.unescape(answer.text)
    assert says in words(answer)
    assert re.search(rf'id="field-{field}"[^>]*aria-invalid="true"', answer.text)
    if field != "name":
        assert 'value="&lt;b&gt;wrong&lt;/b&gt;"' in answer.text
    assert (await books.house.ask("GET", "/v1/budgets")).json["data"] == before


async def test_a_name_that_is_taken_is_told_at_the_name(books: Books) -> None:
    assert (await books.send("/console/budgets", **budget("taken"))).status == 303
    answer = await books.send("/console/budgets", **budget("taken"))
    assert answer.status == 409
    assert 'id="field-name-error"' in answer.text


async def test_a_budget_is_changed_and_deleted(books: Books) -> None:
    await books.send("/console/budgets", **budget("passing", organisation="all"), hard="on")
    (view,) = [v for v in (await books.house.ask("GET", "/v1/budgets")).json["data"] if v["budget"]["name"] == "passing"]
    assert (view["budget"]["organisation"], view["budget"]["hard"]) == ("", True)
    path = f"/console/budgets/{view['budget']['id']}"
    page = await books.look(path)
    assert page.status == 200
    assert "everything in the whole installation" in words(page)
    wrong = await books.send(path, **budget("passing", alerts="0"))
    assert wrong.status == 400
    assert 'id="field-alerts-error"' in wrong.text
    assert (await books.send(path, **budget("passed", alerts=""))).status == 303
    changed = (await books.house.ask("GET", f"/v1/budgets/{view['budget']['id']}")).json["budget"]
    assert (changed["name"], changed["alerts"], changed["hard"], changed["organisation"]) == ("passed", [], False, "")
    assert (await books.send(f"{path}/delete")).status == 303
    assert (await books.look(path)).status == 404


async def test_only_admins_see_forms_and_may_send_them(books: Books) -> None:
    reader, _ = await books.house.key(scopes=["read"])
    await books.row("call_readers", 10)
    for page in ("/console/budgets", "/console/ledger/call_readers"):
        seen = await books.look(page, key=reader)
        assert seen.status == 200
        assert 'method="post" action="/console/budgets"' not in seen.text
        assert "/corrections" not in seen.text
    assert (await books.send("/console/budgets", key=reader, **budget("no"))).status == 403
    assert (await books.send("/console/ledger/call_readers/corrections", key=reader, amount="1", reason="no")).status == 403


async def test_shares_are_of_all_that_was_spent(books: Books) -> None:
    for number in range(120):
        await books.row(f"call_s{number:03d}", 1_000_000_000, provider=f"share-p{number:03d}")
    await books.row("call_s999", 80_000_000_000, provider="share-most")
    page = await books.look("/console/spend?group=provider&days=1")
    total = (await books.house.ask("GET", "/v1/spend?group=provider")).json["amount"]
    rows = re.findall(r"<tr.*?</tr>", page.text.split("By day (UTC)")[0], re.DOTALL)[1:]
    said = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in rows]
    assert len(said) == 101
    assert said[0].startswith(f"share-most $80,000.00 {8e12 / total:.1f} %")
    assert f"{1e11 / total:.1f} % 1" in said[50]
    # Whatever other tests of this house have spent is less than a thousandth.
    assert re.match(r"Everything else \(\d+ providers\) \$21,00\d\.\d\d 10\.5 % ", said[100])
    assert "/console/ledger?days=1&amp;provider=share-most" in rows[0]


@pytest.mark.slow
async def test_in_a_browser_a_wrong_alert_is_mended_and_a_row_corrected(books: Books, tmp_path: Path) -> None:
    from playwright.async_api import async_playwright, expect

    chromium = os.environ.get("PENSTOCK_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; browser tests must run here")
        pytest.skip("Chromium is not installed")
    await books.row("call_seen", 30_000, model="seen-m")
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = await browser.new_page()
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await page.goto(f"{books.house.url}/console/sign-in?next=/console/budgets")
        await page.fill("input[name=key]", books.house.admin)
        await page.click("button[type=submit]")
        await page.wait_for_url("**/console/budgets")
        await page.get_by_role("textbox", name="Name", exact=True).fill("seen")
        await page.get_by_label("Limit in dollars").fill("10")
        await page.get_by_label("Tell at").fill("101")
        await page.get_by_role("button", name="Add budget").click()
        await expect(page.get_by_role("alert")).to_contain_text("alerts: up to 10 levels")
        await expect(page.get_by_label("Tell at")).to_be_focused()
        await expect(page.get_by_role("textbox", name="Name", exact=True)).to_have_value("seen")
        await page.get_by_label("Tell at").fill("60, 90")
        await page.get_by_role("button", name="Add budget").click()
        card = page.locator("section.card", has=page.get_by_role("heading", name="seen"))
        await expect(card).to_contain_text("60 %")
        await expect(card).to_contain_text("90 %")
        await page.goto(f"{books.house.url}/console/ledger?model=seen-m")
        await page.locator("a[href$='/console/ledger/call_seen']").click()
        await page.get_by_label("What it should come to").fill("0.01")
        await page.get_by_label("Why").fill("counted twice")
        await page.get_by_role("button", name="Add correction").click()
        await expect(page.get_by_role("row", name="counted twice")).to_contain_text("−$0.02")
        await browser.close()
    assert faults == []
