from __future__ import annotations

import tomllib
from pathlib import Path

from penstock.demo.asks import ANSWERED_BY, plan
from penstock.demo.configure import settings
from penstock.demo.samples import read_all
from penstock.gateway.settings import GatewaySettings
from penstock.settings import ServerSettings, load


def written(tmp_path: Path) -> str:
    recordings = {name: tmp_path / f"{name}.jsonl.gz" for name in ("openai", "together")}
    return settings(recordings=recordings, data=tmp_path / 'a "quoted" folder', port=0, speed=4.0)


def test_penstock_takes_the_settings(tmp_path: Path):
    file = tmp_path / "penstock.toml"
    file.write_text(written(tmp_path), "utf-8")
    text = tomllib.loads(file.read_text("utf-8"))
    (tmp_path / "only.toml").write_text("\n".join(_without(file.read_text("utf-8"), "finops")), "utf-8")
    tree = load({"gateway": GatewaySettings}, file=tmp_path / "only.toml", environ={})
    gateway, server = tree.of(GatewaySettings), tree.of(ServerSettings)
    assert server.data_dir == str(tmp_path / 'a "quoted" folder')
    assert server.port == 0
    assert gateway.providers["openai"].speed == 4.0
    assert not gateway.discover
    assert set(text["gateway"]["models"]) == set(ANSWERED_BY)


def test_every_target_is_a_provider_with_that_model(tmp_path: Path):
    tree = tomllib.loads(written(tmp_path))["gateway"]
    asked = {a.model for a in plan(read_all(), embeddings=False) if a.sample}
    for name in asked & set(tree["models"]):
        *_, last = tree["models"][name]["targets"]
        provider, _, model = last.partition("/")
        assert provider in tree["providers"]
        assert model == ANSWERED_BY[name]


def _without(text: str, section: str) -> list[str]:
    kept, keep = [], True
    for line in text.splitlines():
        if line.startswith("["):
            keep = not line.lstrip("[").startswith(section)
        if keep:
            kept.append(line)
    return kept
