"""Evaluations, answers and judges in the console."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.house import Answer, House
from tests.quality.house import dataset, evaluation, item, quality_house
from tests.quality.test_judges import RUBRIC, graded, scripted

pytestmark = pytest.mark.timeout(90)


async def page(house: House, path: str, cookie: str, method: str = "GET", body: str | None = None) -> Answer:
    more = {"content_type": "application/x-www-form-urlencoded", "origin": house.url} if body is not None else {}
    return await house.ask(method, f"/console/{path}", body, key="", cookie=cookie, accept="text/html", **more)


async def signed_in(house: House, key: str) -> str:
    answer = await house.ask(
        "POST", "/console/sign-in", f"key={key}", key="", content_type="application/x-www-form-urlencoded", origin=house.url
    )
    return answer.headers["set-cookie"].split(";")[0]


async def test_pages(tmp_path: Path) -> None:
    async with quality_house(tmp_path) as (house, provider):
        scripted(provider, graded)
        cookie = await signed_in(house, house.admin)
        assert "No evaluations yet" in (await page(house, "evaluations", cookie)).text
        assert "No judges measured" in (await page(house, "evaluations/judges", cookie)).text
        await dataset(house, [item(f"q{n}", f"q{n} <b>?", groups={"team": "x"}) for n in range(12)])
        wanted = {"dataset": "set", "candidates": ["up/m", "up/s"], "judge": RUBRIC, "slices": [{"by": "team", "level": 0.9}]}
        told = await evaluation(house, **wanted, floor={"level": 0.9, "kind": "absolute"}, name="tone", cap=1_000_000)
        base = f"evaluations/{told['id']}"
        assert "tone" in (await page(house, "evaluations", cookie)).text
        one = (await page(house, base, cookie)).text
        assert all(each in one for each in ("is not trusted", "Nobody has labelled", "By team", "too few", "up/m − up/s", "set v1"))
        listed = (await page(house, f"{base}/answers", cookie)).text
        assert "q0 &lt;b&gt;?" in listed
        assert "<b>?" not in listed
        assert listed.count("Good") == 20
        assert "after=9" in listed
        assert (await page(house, f"{base}/answers?state=failed", cookie)).text.count("No such answers") == 1
        assert (await page(house, f"{base}/answers?state=x", cookie)).status == 400
        body = f"item=q0&candidate=up%2Fm&score=1&back=/console/{base}/answers?after=-1"
        answer = await page(house, f"{base}/label", cookie, "POST", body)
        assert (answer.status, answer.headers["location"]) == (303, f"/console/{base}/answers?after=-1")
        assert (await page(house, f"{base}/label", cookie, "POST", body.replace("score=1", "score=7"))).status == 400
        away = await page(house, f"{base}/label", cookie, "POST", body.replace(f"/console/{base}/answers", "https://elsewhere.example"))
        assert away.headers["location"] == f"/console/{base}/answers"
        judges = (await page(house, "evaluations/judges", cookie)).text
        assert all(each in judges for each in ("rubric:up/j", "not trusted", "Labels of people"))
        assert (await page(house, f"{base}/cancel", cookie, "POST", "")).status == 409
        them, _ = await house.outsider()
        theirs = await signed_in(house, them)
        assert (await page(house, base, theirs)).status == 404
        assert (await page(house, f"{base}/answers", theirs)).status == 404
        assert "tone" not in (await page(house, "evaluations", theirs)).text
