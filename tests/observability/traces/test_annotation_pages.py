"""Saying something of a trace or span, over the API and from the pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from tests.house import Answer
from tests.observability.traces.rig import BAD, GOOD, ODD, THEIRS, Rig, trace_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

CALL = f"{3:016x}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with trace_house(tmp_path_factory.mktemp("house")) as rig:
        yield rig


async def said(rig: Rig, trace: str, body: object, key: str | None = None) -> Answer:
    return await rig.house.ask("POST", f"/v1/traces/{trace}/annotations", body, key=key)


async def posted(rig: Rig, path: str, **fields: str) -> Answer:
    return await rig.house.ask("POST", f"/console/traces/{path}", urlencode(fields), content_type="application/x-www-form-urlencoded")


async def test_what_is_said_over_the_api_is_read_found_and_taken_back(rig: Rig) -> None:
    made = await said(rig, GOOD, {"span": CALL, "label": "wrong", "score": 0.25, "comment": "not <b>Delft</b>"})
    assert made.status == 201
    (listed,) = (await rig.get(f"/v1/traces/{GOOD}/annotations"))["data"]
    assert listed == made.json
    assert (listed["span"], listed["label"], listed["score"]) == (CALL, "wrong", 0.25)
    for query in ("annotated=true", "label=wrong"):
        assert {one["trace_id"] for one in (await rig.get(f"/v1/traces?{query}"))["data"]} == {GOOD}
    assert (await rig.get("/v1/traces?label=none"))["data"] == []
    text = await rig.page(f"/console/traces/{GOOD}/spans/{CALL}")
    assert "25%" in text.replace(" %", "%")
    assert "not &lt;b&gt;Delft" in text
    assert "1 annotation" in await rig.page(f"/console/traces/{GOOD}")
    assert GOOD in await rig.page("/console/traces?label=wrong")
    assert (await rig.house.ask("DELETE", f"/v1/traces/{GOOD}/annotations/{listed['id']}")).status == 204
    assert (await rig.get(f"/v1/traces/{GOOD}/annotations"))["data"] == []


async def test_what_is_said_on_a_page_leads_back_to_it(rig: Rig) -> None:
    answer = await posted(rig, f"{BAD}/annotations", span=CALL, label="good", score="80", comment="")
    assert (answer.status, answer.headers["location"]) == (303, f"/console/traces/{BAD}/spans/{CALL}#annotations")
    answer = await posted(rig, f"{BAD}/annotations", label="", score="", comment="as a whole")
    assert answer.headers["location"] == f"/console/traces/{BAD}#annotations"
    text = await rig.page(f"/console/traces/{BAD}")
    assert "as a whole" in text
    removal = re.findall(r'action="/console/traces/(\w+/annotations/\w+/remove)"', text)
    assert len(removal) == 2
    for path in removal:
        assert (await posted(rig, path)).status == 303
    assert "Nobody has said anything" in await rig.page(f"/console/traces/{BAD}")


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"label": " "}, 400), ({"score": 2}, 400), ({"span": "f" * 16, "label": "x"}, 404), ({"colour": 1}, 400)],
)
async def test_what_makes_no_sense_is_refused(rig: Rig, body: object, status: int) -> None:
    assert (await said(rig, ODD, body)).status == status


async def test_forms_refuse_too(rig: Rig) -> None:
    for fields in ({"score": "many"}, {"score": "300"}, {}):
        assert (await posted(rig, f"{ODD}/annotations", **fields)).status == 400


async def test_nobody_speaks_of_the_traces_of_others_or_takes_back_what_others_said(rig: Rig) -> None:
    assert (await said(rig, GOOD, {"label": "x"}, key=rig.outsider)).status == 404
    made = (await said(rig, THEIRS, {"label": "ours"}, key=rig.outsider)).json
    assert [one["label"] for one in (await rig.get(f"/v1/traces/{THEIRS}/annotations"))["data"]] == ["ours"]
    reader, _ = await rig.house.key(scopes=["read"])
    assert (await rig.house.ask("DELETE", f"/v1/traces/{THEIRS}/annotations/{made['id']}", key=reader)).status == 404
    mine = (await said(rig, GOOD, {"label": "mine"})).json
    assert (await rig.house.ask("DELETE", f"/v1/traces/{GOOD}/annotations/{mine['id']}", key=reader)).status == 403
    assert "Take back" not in await rig.page(f"/console/traces/{GOOD}", key=reader)
    assert (await rig.house.ask("DELETE", f"/v1/traces/{GOOD}/annotations/{mine['id']}")).status == 204
