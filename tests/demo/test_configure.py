from __future__ import annotations

import tomllib
from pathlib import Path

from penstock.demo.asks import ANSWERED_BY, plan
from penstock.demo.configure import PRICES, PROVIDER_OF, settings
from penstock.demo.samples import read_all
from penstock.finops.pricing import PriceBook
from penstock.finops.settings import FinopsSettings
from penstock.gateway.settings import GatewaySettings
from penstock.settings import ServerSettings, load
from penstock.tasks.settings import TasksSettings
from penstock.tasks.validation import faults


def written(tmp_path: Path) -> str:
    recordings = {name: tmp_path / f"{name}.jsonl.gz" for name in ("openai", "together")}
    return settings(recordings=recordings, data=tmp_path / 'a "quoted" folder', port=0, speed=4.0)


def test_penstock_takes_the_settings(tmp_path: Path):
    file = tmp_path / "penstock.toml"
    file.write_text(written(tmp_path), "utf-8")
    tree = load({"gateway": GatewaySettings, "finops": FinopsSettings, "tasks": TasksSettings}, file=file, environ={})
    gateway, server = tree.of(GatewaySettings), tree.of(ServerSettings)
    assert server.data_dir == str(tmp_path / 'a "quoted" folder')
    assert server.port == 0
    assert gateway.providers["openai"].speed == 4.0
    assert not gateway.discover
    tasks = tree.of(TasksSettings).declared
    assert {*gateway.models, *(f"task:{name}" for name in tasks)} == set(ANSWERED_BY)
    assert [fault for name, told in tasks.items() for fault in faults(name, told)] == []
    for name, told in tasks.items():
        assert told.candidates[0].partition("/")[2] == ANSWERED_BY[f"task:{name}"], "the default is who answered"


def test_prices_are_those_that_the_amounts_are_computed_with(tmp_path: Path):
    file = tmp_path / "penstock.toml"
    file.write_text(written(tmp_path), "utf-8")
    book = PriceBook(load({"finops": FinopsSettings}, file=file, environ={}, others=True).of(FinopsSettings), None)
    for model, price in PRICES.items():
        quote = book.quote(PROVIDER_OF[model], model)
        assert (quote.source, quote.flat and (quote.flat.input, quote.flat.output)) == ("settings", (price.input, price.output))


def test_every_target_is_a_provider_with_that_model(tmp_path: Path):
    tree = tomllib.loads(written(tmp_path))["gateway"]
    asked = {a.model for a in plan(read_all(), embeddings=False) if a.sample}
    for name in asked & set(tree["models"]):
        *_, last = tree["models"][name]["targets"]
        provider, _, model = last.partition("/")
        assert provider in tree["providers"]
        assert model == ANSWERED_BY[name]
