"""Measures, marks, comparisons and files over a real socket."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from tests.house import House, open_house
from tests.observability.health.conftest import call

from penstock.observability.health.measured import MEASURES
from penstock.storage.telemetry.store import TelemetryStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNTIL = int(time.time()) // 3600 * 3600
SINCE = UNTIL - 6 * 3600


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("house")) as made:
        home = await made.home()
        spans = [
            call(
                SINCE + n * 600, organisation=home, service="desk", release="1" if n < 20 else "2", status="failed" if n % 9 == 0 else "ok"
            )
            for n in range(36)
        ]
        store = made.app.ports.get(TelemetryStore)
        await store.append(spans, "batch")
        await store.flush()
        yield made


def at(path: str, **said: object) -> str:
    return f"{path}?{urlencode({'since': SINCE, 'until': UNTIL, **said})}"


async def test_measures_are_listed(house: House) -> None:
    listed = (await house.ask("GET", "/v1/measures")).json["data"]
    names = [one["name"] for one in listed]
    assert set(names) >= {one.name for one in MEASURES}
    error = next(one for one in listed if one["name"] == "error_rate")
    assert error["unit"] == "share"
    assert "release" in error["dimensions"]


async def test_readings_by_step_whole_and_group(house: House) -> None:
    found = (await house.ask("GET", at("/v1/measures/readings", names="calls,error_rate", step=3600))).json
    assert [one["value"] for one in found["data"]["calls"]] == [6.0] * 6
    assert found["step"] == 3600
    whole = (await house.ask("GET", at("/v1/measures/readings", names="error_rate", whole="true"))).json
    assert [(one["at"], one["value"], one["count"]) for one in whole["data"]["error_rate"]] == [(SINCE, pytest.approx(4 / 36), 36)]
    assert whole["step"] is None
    grouped = (await house.ask("GET", at("/v1/measures/readings", names="calls", by="release", whole="true"))).json
    assert {one["group"]: one["value"] for one in grouped["data"]["calls"]} == {"1": 20.0, "2": 16.0}
    one = (await house.ask("GET", at("/v1/measures/readings", names="calls", release="2", whole="true"))).json
    assert one["data"]["calls"][0]["value"] == 16.0


async def test_readings_as_files(house: House) -> None:
    csv = await house.ask("GET", at("/v1/measures/readings", names="calls", step=3600, format="csv"))
    assert len(csv.text.splitlines()) == 7
    assert csv.headers["content-disposition"] == 'attachment; filename="penstock-calls.csv"'
    parquet = await house.ask("GET", at("/v1/measures/readings", names="calls,error_rate", format="parquet"))
    assert parquet.text.startswith("PAR1")
    assert "penstock-measures.parquet" in parquet.headers["content-disposition"]


async def test_examples_lead_to_traces(house: House) -> None:
    found = (await house.ask("GET", at("/v1/measures/error_rate/examples", limit=2))).json["data"]
    assert len(found) == 2
    assert found[0]["href"].startswith("/console/traces/")
    assert found[0]["at"] > found[1]["at"]


async def test_marks_of_releases(house: House) -> None:
    marks = (await house.ask("GET", at("/v1/marks"))).json["data"]
    assert [(one["kind"], one["title"]) for one in marks if one["kind"] == "release"] == [("release", "desk 2")]


async def test_two_releases_beside_each_other(house: House) -> None:
    found = (await house.ask("GET", at("/v1/measures/compare", what="release", a="2", b="1", names="calls"))).json
    assert [(one["a"]["value"], one["b"]["value"], one["difference"]) for one in found["data"]] == [(16.0, 20.0, -4.0)]


@pytest.mark.parametrize(
    ("path", "status", "param"),
    [
        ("/v1/measures/readings?names=nobody", 404, "measure"),
        ("/v1/measures/readings?names=calls&colour=red", 400, "colour"),
        ("/v1/measures/readings?names=calls&by=colour", 400, "colour"),
        ("/v1/measures/readings?names=calls&since=10&until=5", 400, "until"),
        ("/v1/measures/readings?names=calls&step=1", 400, "step"),
        ("/v1/measures/compare?what=release&a=1", 400, "b"),
        ("/v1/measures/nobody/examples", 404, "measure"),
    ],
)
async def test_what_cannot_be_asked(house: House, path: str, status: int, param: str) -> None:
    answer = await house.ask("GET", path)
    assert (answer.status, answer.json["error"]["param"]) == (status, param), answer.text


async def test_others_see_nothing_of_it(house: House) -> None:
    secret, _ = await house.outsider()
    found = (await house.ask("GET", at("/v1/measures/readings", names="calls", whole="true"), key=secret)).json
    assert found["data"]["calls"] == []
    assert (await house.ask("GET", at("/v1/marks"), key=secret)).json["data"] == []
    assert (await house.ask("GET", "/v1/measures", key="")).status == 401
