"""The ledger in the console: its rows, one row, and the form that corrects it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.finops.books import Books, words
from tests.house import open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def books(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Books]:
    async with open_house(tmp_path_factory.mktemp("house")) as house:
        yield await Books.of(house)


async def test_a_correction_is_entered_and_shown(books: Books) -> None:
    await books.row("call_wrong", 400_000, model="corrected-m")
    path = "/console/ledger/call_wrong"
    page = await books.look(path)
    assert "Nobody has corrected this row." in page.text
    assert re.search(r'name="amount"[^>]* value="0.40"', page.text)
    assert (await books.send(f"{path}/corrections", amount="0.15", reason="billed <less>")).status == 303
    shown = words(await books.look(path))
    assert "Comes to $0.15 1 correction" in shown
    assert "billed <less>" in shown
    assert "−$0.25" in shown
    listed = words(await books.look("/console/ledger?model=corrected-m"))
    assert "Amount $0.15" in listed
    assert "Calls 1" in listed
    # The correction's own address leads to what it corrects.
    assert (await books.look("/console/ledger/call_wrong.0001")).headers["location"] == path


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"amount": "0.000010", "reason": "nothing changes"}, "amount"),
        ({"amount": "less", "reason": "r"}, "amount"),
        ({"amount": "1", "reason": " "}, "reason"),
        ({"amount": "1", "reason": "x" * 501}, "reason"),
    ],
    ids=["same", "no number", "no reason", "long reason"],
)
async def test_a_wrong_correction_is_told_at_its_field(books: Books, form: dict[str, str], field: str) -> None:
    await books.row("call_kept", 10)
    answer = await books.send("/console/ledger/call_kept/corrections", **form)
    assert answer.status == 400
    assert f'id="field-{field}-error"' in answer.text
    assert (await books.house.ask("GET", "/v1/ledger/call_kept")).json["corrections"] == []


async def test_a_row_that_is_not_there_cannot_be_corrected(books: Books) -> None:
    assert (await books.send("/console/ledger/call_nothing/corrections", amount="1", reason="r")).status == 404
    assert (await books.send("/console/ledger/call_nothing/corrections", amount="x", reason="r")).status == 404


async def test_the_ledger_is_filtered_by_its_address_and_goes_on_where_a_page_ended(books: Books) -> None:
    for number in range(60):
        await books.row(f"call_many{number:03d}", 1, model="many-m", key_id="key_many", provider="many-p")
    page = await books.look("/console/ledger?model=many-m&key=key_many&provider=many-p")
    assert "60" in words(page)
    assert "call_many059" in page.text
    assert "call_many009" not in page.text
    assert 'aria-label="Remove filter provider many-p"' in page.text
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older is not None
    rest = await books.look(html.unescape(older[1]))
    assert "call_many009" in rest.text
    assert "call_many010" not in rest.text
    export = re.search(r'href="(/v1/ledger/export[^"]+)"', page.text)
    assert export is not None
    assert (await books.look(html.unescape(export[1]))).text.count("many-m") == 60
    for wrong in ("days=2", "days=-1"):
        assert (await books.look(f"/console/ledger?{wrong}")).status == 400
