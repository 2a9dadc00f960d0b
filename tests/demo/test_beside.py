"""What stands beside the demo's Penstock: the example as it ships, its model that can be held, its mails and its shop."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import aiohttp
import pytest

from penstock.agents.settings import AgentSettings
from penstock.demo import beside
from penstock.demo.beside import Beside
from penstock.finops.settings import FinopsSettings
from penstock.gateway.settings import GatewaySettings
from penstock.kernel.errors import SettingsError
from penstock.settings import load

ROOT = Path(__file__).parents[2]
QUESTION = {"model": "desk", "messages": [{"role": "user", "content": "T-1001"}]}


def test_the_package_takes_the_examples_along_to_where_the_demo_looks_for_them() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    ((source, target),) = wheel["force-include"].items()
    installed, cloned = beside._SHIPPED
    assert ROOT / source == cloned
    assert installed.relative_to(ROOT / "src") == Path(target)
    assert cloned.is_dir()


def test_the_example_is_copied_to_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (beside.copied(tmp_path) / "agents.py").read_text("utf-8") == (ROOT / "examples/support_desk/agents.py").read_text("utf-8")
    assert (tmp_path / "examples" / "stand_in.py").is_file()
    monkeypatch.setattr(beside, "_SHIPPED", (tmp_path / "nowhere",))
    with pytest.raises(SettingsError, match="examples are missing"):
        beside.copied(tmp_path / "other")


async def test_its_settings_are_taken_and_its_model_thinks_as_long_as_it_is_held(tmp_path: Path) -> None:
    at = Beside(tmp_path)
    async with at.stand(), aiohttp.ClientSession() as session:
        file = tmp_path / "penstock.toml"
        file.write_text(at.with_key(at.settings(), "key_1"), "utf-8")
        tree = load({"agents": AgentSettings, "gateway": GatewaySettings, "finops": FinopsSettings}, file=file, environ={})
        agents = tree.of(AgentSettings)
        assert agents.modules == ("examples.support_desk.agents",)
        assert agents.inbox.validators["refunds"].key == "key_1"
        model = tree.of(GatewaySettings).providers["stand-in"].base_url
        assert at.environ["SMTP_PORT"].isdigit()
        assert at.environ["PYTHONPATH"].startswith(str(tmp_path))

        async def ask() -> int:
            async with session.post(f"{model}/chat/completions", json=QUESTION) as answer:
                return answer.status

        await at.hold(1)
        assert await ask() == 200
        left = asyncio.create_task(ask())
        await at.thinking(2, 10.0)
        left.cancel()  # whoever asks may be gone before it is answered
        asked = asyncio.create_task(ask())
        await at.thinking(3, 10.0)
        assert not asked.done()
        await at.let_go()
        assert await asked == 200
    assert (at.mails, at.asked) == ([], 3)
