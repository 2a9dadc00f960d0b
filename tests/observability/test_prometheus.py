"""What stands in deploy/ against a running house: every metric that it names is there, and Prometheus reads it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from tests.compatibility.provider import Model
from tests.gateway.upstream import serving
from tests.house import SETTINGS, House, open_house

DEPLOY = Path(__file__).parents[2] / "deploy"
PROVIDER = """[gateway.providers.x]
profile = "openai-compatible"
base_url = "{url}"
models = ["m"]
[finops.prices."x/m"]
input = 1.0
output = 2.0
[observability.otel.destinations.away]
endpoint = "http://127.0.0.1:9"
"""
BY_WORKERS = {"penstock_worker_up"}
"""Metrics of a house with several workers, which this one is not; tests/test_supervisor.py sees them."""


def expressions() -> list[str]:
    """Every question of the dashboard and the alerts, with Grafana's variables filled in."""
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    found += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return [text.replace("$__rate_interval", "1m").replace("$task", ".*").replace("$model", ".*") for text in found]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder, body = tmp_path_factory.mktemp("house"), {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    async with serving(Model().serve) as upstream:
        settings = SETTINGS + PROVIDER.format(url=upstream.url)
        async with open_house(folder, settings) as house:
            for stream in (False, True):
                assert (await house.ask("POST", "/v1/chat/completions", {**body, "stream": stream})).status == 200
            await house.made("/v1/budgets", {"name": "all", "limit": 10_000_000})
            yield house


@pytest.mark.asyncio(loop_scope="module")
async def test_every_metric_that_is_named_is_there(house: House) -> None:
    page = (await house.ask("GET", "/metrics")).text
    names = set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    wanted = {name for text in expressions() for name in re.findall(r"penstock_\w+", text)} - BY_WORKERS
    assert len(wanted) > 20
    there = names | {f"{name}_bucket" for name in names}
    assert wanted <= there, f"nobody measures {sorted(wanted - there)}"


def program(name: str) -> str:
    """A program of Prometheus, from Debian's package of that name."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is missing; tests must be complete here")
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.asyncio(loop_scope="module")
async def test_promtool_finds_nothing_wrong(house: House, tmp_path: Path) -> None:
    promtool = program("promtool")
    page = (await house.ask("GET", "/metrics")).text
    checked = await asyncio.to_thread(subprocess.run, [promtool, "check", "metrics"], input=page, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    for name in ("prometheus.yml", "prometheus-rules.yml"):
        shutil.copy(DEPLOY / name, tmp_path)
    (tmp_path / "penstock.key").write_text("psk_key")
    read = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True
    )
    assert read.returncode == 0, read.stdout + read.stderr
    assert "9 rules found" in read.stdout


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def scraping(house: House, folder: Path) -> AsyncIterator[str]:
    """A Prometheus that reads the house by the settings in deploy/, four times a second."""
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"]["scrape_interval"] = config["global"]["scrape_timeout"] = "250ms"
    config["global"]["evaluation_interval"] = "250ms"
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [house.url.removeprefix("http://")]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    (folder / "penstock.key").write_text(house.admin)
    shutil.copy(DEPLOY / "prometheus-rules.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    words = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={address}"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            program("prometheus"), *words, "--enable-feature=exemplar-storage", stdout=log, stderr=log
        )
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_prometheus_reads_the_house_and_answers_every_question(house: House, tmp_path: Path) -> None:
    async with scraping(house, tmp_path) as url, aiohttp.ClientSession() as session:

        async def ask(path: str, **query: str) -> Any:
            async with session.get(f"{url}/{path}", params=query) as reply:
                return (await reply.json())["data"]

        async def seconds() -> float:
            with_data = await ask("query", query="penstock_first_token_seconds_count")
            return float(with_data["result"][0]["value"][1]) if with_data["result"] else 0.0

        async with asyncio.timeout(60):
            while True:
                try:
                    if await seconds():
                        break
                except aiohttp.ClientError:
                    pass  # it does not listen yet
                await asyncio.sleep(0.1)
        (target,) = (await ask("targets"))["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        for text in expressions():
            answer = await ask("query", query=text)
            assert answer["resultType"] == "vector", text
        assert (await ask("query", query="max by (budget) (penstock_budget_used_ratio)"))["result"]
        traces = await ask("query_exemplars", query="penstock_call_seconds_bucket", start="0", end="4000000000")
        assert all(re.fullmatch(r"[0-9a-f]{32}", one["labels"]["trace_id"]) for series in traces for one in series["exemplars"])
        assert traces


def test_no_alert_is_without_words() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["annotations"]["summary"], rule["alert"]
