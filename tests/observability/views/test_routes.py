"""Views over JSON, and the part that pages include."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.house import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as made:
        yield made


async def test_a_view_is_saved_listed_and_removed(house: House) -> None:
    view = await house.made("/v1/views", {"name": "Slow", "path": "/console/traces", "query": "min_ms=500", "shared": True})
    assert view["href"] == "/console/traces?min_ms=500"
    reader, _ = await house.key(scopes=["read"])
    listed = (await house.ask("GET", "/v1/views?path=/console/traces", key=reader)).json["data"]
    assert [(one["id"], one["own"]) for one in listed] == [(view["id"], False)]
    assert (await house.ask("GET", "/v1/views?path=/console/health")).json["data"] == []
    assert (await house.ask("DELETE", f"/v1/views/{view['id']}", key=reader)).status == 403
    assert (await house.ask("DELETE", f"/v1/views/{view['id']}")).status == 204
    assert (await house.ask("DELETE", f"/v1/views/{view['id']}")).status == 404
    caller, _ = await house.key(scopes=["call"])
    assert (await house.ask("GET", "/v1/views", key=caller)).status == 403


async def test_the_part_knows_the_page_from_the_browser(house: House) -> None:
    where = {"hx_current_url": f"{house.url}/console/health?last=3600&task="}
    form = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin", **where}
    saved = await house.ask("POST", "/console/views", "name=Last+hour", **form)
    assert saved.status == 200, saved.text
    assert 'href="/console/health?last=3600" aria-current="true"' in saved.text
    assert "Last hour" in saved.headers["hx-trigger"]
    part = await house.ask("GET", "/console/views", **where)
    assert "Last hour" in part.text
    (view,) = (await house.ask("GET", "/v1/views")).json["data"]
    gone = await house.ask("POST", f"/console/views/{view['id']}/remove", "", **form)
    assert "No views of this page yet" in gone.text
    assert (await house.ask("GET", "/console/views")).status == 400
    assert (await house.ask("POST", "/console/views", "name=", **form)).status == 400
