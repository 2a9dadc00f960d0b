"""The [finops] section: what it is by itself, and what is wrong with it told by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.finops.settings import FinopsSettings
from penstock.kernel.errors import SettingsError
from penstock.settings import load


def read(folder: Path, text: str) -> FinopsSettings:
    file = folder / "penstock.toml"
    file.write_text(text, "utf-8")
    return load({"finops": FinopsSettings}, file=file, environ={}).of(FinopsSettings)


def test_defaults_refuse_nothing_and_charge_own_hardware_nothing(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert (settings.unpriced, settings.durability, settings.prices) == ("allow", "process", {})
    assert "local" in settings.free_providers


def test_prices_are_read_by_provider_and_model(tmp_path: Path) -> None:
    settings = read(tmp_path, '[finops.prices."p/*"]\ninput = 0.15\noutput = 1\n[finops.prices."p/m"]\nlike = "openai/gpt-4o"\n')
    assert (settings.prices["p/*"].input, settings.prices["p/*"].output, settings.prices["p/*"].cached) == (0.15, 1.0, None)
    assert settings.prices["p/m"].like == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[finops]\nunpriced = "maybe"\n', "finops.unpriced"),
        ('[finops]\ndurability = "hope"\n', "finops.durability"),
        ("[finops]\ndrain_seconds = 'soon'\n", "finops.drain_seconds"),
        ("[finops]\nbudget_refresh_seconds = 0.01\n", "finops.budget_refresh_seconds"),
        ('[finops.prices."p/m"]\ninput = -1\n', "finops.prices"),
        ('[finops.prices."p/m"]\ninptu = 1\n', "inptu"),
        ("[finops]\nprice = 1\n", "price"),
    ],
    ids=lambda text: text.replace("\n", " "),
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError) as fault:
        read(tmp_path, text)
    assert named in fault.value.message
