from __future__ import annotations

from typing import Any

import pytest
from tests.observability.out.receiver import receiving
from tests.observability.out.test_destination import one

from penstock.observability.out.check import check


async def test_nothing_configured() -> None:
    (finding,) = await check([])()
    assert (finding.name, finding.status) == ("spans out", "off")


@pytest.mark.parametrize(
    ("status", "found", "words"),
    [
        (200, "ok", "takes exports"),
        (401, "fail", "bearer_env"),
        (403, "fail", "headers"),
        (404, "fail", "endpoint and protocol"),
        (307, "fail", "endpoint"),
        (429, "warn", "429 slow down"),
        (400, "warn", "400"),
    ],
)
async def test_each_is_really_asked(status: int, found: str, words: str) -> None:
    async with receiving() as receiver:
        receiver.answers = [(status, {}, b"" if status == 200 else b"slow down")]
        (finding,) = await check([one(endpoint=receiver.url, headers={"a": "hidden"})])()
        assert receiver.got[0].spans == []
    assert (finding.name, finding.status) == ("spans to x", found)
    assert words in f"{finding.what} {finding.mend}"
    assert "hidden" not in finding.what


@pytest.mark.parametrize("terms", [{}, {"protocol": "grpc"}])
async def test_nobody_there(terms: dict[str, Any]) -> None:
    async with receiving() as receiver:
        url = receiver.url
    (finding,) = await check([one(endpoint=url, **terms)])()
    assert finding.status == "fail"
    assert "cannot be reached" in finding.what
    assert finding.mend is not None
    assert "can be reached" in finding.mend
