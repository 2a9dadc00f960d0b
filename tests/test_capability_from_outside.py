"""Another distribution brings a capability by entry point: nothing of ours is edited, and it is on the line and in the schema."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CAPABILITY = '''
"""A capability that somebody else wrote."""

from typing import Annotated

import msgspec

from penstock.kernel.capability import Offer
from penstock.kernel.principal import Scope
from penstock.kernel.stage import Slot
from penstock.kernel.web import Nothing, Route


class WeatherSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weather."""

    city: Annotated[str, msgspec.Meta(description="Where.")] = "Delft"


class Look:
    """Looks out of the window."""

    name = "look"
    slot = Slot.INSPECT

    async def __call__(self, call, proceed):
        return await proceed(call)


class City(msgspec.Struct):
    """A city."""

    city: str


class Weather:
    """Weather."""

    name = "weather"
    settings = WeatherSettings
    migrations = "acme_weather.migrations"
    commands = None
    templates = None

    def open(self, house):
        city = house.settings(WeatherSettings).city

        async def where(ask):
            return City(city=city)

        route = Route(method="GET", path="/v1/weather", handler=where, summary="Where.", scope=Scope.READ, returns=City)
        return Offer(stages=(Look(),), routes=(route,))
'''

MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "weather_0001"
down_revision = None
branch_labels = ("weather",)
depends_on = None


def upgrade() -> None:
    op.create_table("weather", sa.Column("id", sa.Text, primary_key=True))
"""


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, str]:
    site = tmp_path / "site"
    (site / "acme_weather" / "migrations").mkdir(parents=True)
    (site / "acme_weather" / "__init__.py").write_text(CAPABILITY)
    (site / "acme_weather" / "migrations" / "__init__.py").write_text('"""Migrations."""\n')
    (site / "acme_weather" / "migrations" / "0001_weather.py").write_text(MIGRATION)
    info = site / "acme_weather-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-weather\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.capabilities]\nweather = acme_weather:Weather\n")
    return {**os.environ, "PYTHONPATH": str(site), "PENSTOCK_SERVER__DATA_DIR": str(tmp_path / "data")}


def penstock(environ: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", *arguments], env=environ, cwd=folder, capture_output=True, text=True, check=False
    )


def test_its_stage_route_and_migration_are_there(outside: dict[str, str], tmp_path: Path) -> None:
    line = penstock(outside, tmp_path, "line")
    assert any(row.split()[:3] == ["inspect", "look", "weather"] for row in line.stdout.splitlines()), line.stdout + line.stderr
    assert '"/v1/weather"' in penstock(outside, tmp_path, "openapi").stdout
    migrated = penstock(outside, tmp_path, "migrate")
    assert "weather_0001" in migrated.stdout, migrated.stdout + migrated.stderr
    assert penstock(outside, tmp_path, "migrate", "--verify").returncode == 0


def test_its_settings_are_validated_like_ours(outside: dict[str, str], tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text("[weather]\ncitty = 'Delft'\n")
    found = penstock(outside, tmp_path, "line", "--config", str(config))
    assert found.returncode == 1
    assert "weather.citty: unknown setting 'citty'; did you mean 'city'?" in found.stderr


def test_one_that_cannot_be_loaded_is_named(outside: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site" / "acme_weather" / "__init__.py").write_text("raise ImportError('no sky')\n")
    found = penstock(outside, tmp_path, "line")
    assert found.returncode == 1
    assert "capability 'weather'" in found.stderr
    assert "no sky" in found.stderr
