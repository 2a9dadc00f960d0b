from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from penstock.app import capabilities
from penstock.kernel.errors import SettingsError
from penstock.settings import BASE, ServerSettings, describe, load


class Pump(Struct, frozen=True, forbid_unknown_fields=True):
    """A sample slice."""

    litres: Annotated[int, Meta(ge=1, description="Litres a second.")] = 10
    names: Annotated[tuple[str, ...], Meta(description="Names.")] = ()
    nested: Annotated[dict[str, ServerSettings], Meta(description="More.")] = {}


def write(folder: Path, text: str) -> Path:
    path = folder / "penstock.toml"
    path.write_text(text)
    return path


def test_defaults_then_file_then_environment(tmp_path: Path) -> None:
    file = write(tmp_path, "[pump]\nlitres = 20\nnames = ['a']\n")
    tree = load({"pump": Pump}, file=file, environ={"PENSTOCK_PUMP__LITRES": "30"})
    assert tree.of(Pump) == Pump(litres=30, names=("a",))
    assert tree.of(ServerSettings).port == 8080
    assert tree.sources == {"pump.litres": "PENSTOCK_PUMP__LITRES", "pump.names": str(file)}


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[pump]\nlitres = 20\n")
    assert load({"pump": Pump}, environ={"PENSTOCK_CONFIG": str(file)}).of(Pump).litres == 20


@pytest.mark.parametrize(
    ("text", "environ", "wanted"),
    [
        ("[pump]\nlitres = 'x'", {}, r"pump\.litres: Expected `int`, got `str` \(from .*penstock\.toml\)"),
        ("[pump]\nlitres = 0", {}, r"pump\.litres: Expected `int` >= 1"),
        ("[pump]\nlitre = 1", {}, r"pump\.litre: unknown setting 'litre'; did you mean 'litres'\?"),
        ("[pum]\nlitre = 1", {}, r"unknown section 'pum'; did you mean 'pump'\?"),
        ("[pump", {}, r"not valid TOML"),
        ("", {"PENSTOCK_PUMP__LITRES": "many"}, r"pump\.litres: .* \(from PENSTOCK_PUMP__LITRES\)"),
        ("", {"PENSTOCK_PUMPS__LITRES": "1"}, r"PENSTOCK_PUMPS__LITRES: unknown section 'pumps'; did you mean 'pump'\?"),
        ("[pump.nested.a]\nport = 99999", {}, r"pump\.nested\[\.\.\.\]\.port: Expected `int` <= 65535|pump\.nested"),
        ("pump = 3", {}, r"pump: Expected `object`"),
    ],
)
def test_a_wrong_setting_names_itself_its_source_and_its_fault(tmp_path: Path, text: str, environ: dict[str, str], wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        load({"pump": Pump}, file=write(tmp_path, text), environ=environ)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml does not exist"):
        load({}, file=tmp_path / "nowhere.toml", environ={})


def test_every_setting_of_the_house_is_described() -> None:
    kinds = {**BASE, **{c.name: c.settings for c in capabilities() if c.settings is not None}}
    bare = [f"{section}.{name}" for section, kind in kinds.items() for name, _, _, text in describe(kind) if not text.strip()]
    assert bare == []
