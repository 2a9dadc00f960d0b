from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

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
        ("[pump.nested.a]\nport = 99999", {}, r"pump\.nested\.a\.port: Expected `int` <= 65535 \(from .*penstock\.toml\)"),
        ("[pump.nested.a]\nport = 1\n[pump.nested.b]\nprot = 1", {}, r"pump\.nested\.b\.prot: unknown setting 'prot'"),
        ("pump = 3", {}, r"pump: Expected `object`"),
    ],
)
def test_a_wrong_setting_names_itself_its_source_and_its_fault(tmp_path: Path, text: str, environ: dict[str, str], wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        load({"pump": Pump}, file=write(tmp_path, text), environ=environ)


class Tap(Struct, frozen=True, forbid_unknown_fields=True):
    turns: Annotated[int, Meta(ge=1)] = 1


class Taps(Struct, frozen=True, forbid_unknown_fields=True):
    NAMED: ClassVar[str] = "taps"
    pressure: int = 1
    taps: dict[str, Tap] = {}  # msgspec gives each its own


def test_things_by_name_stand_in_their_section(tmp_path: Path) -> None:
    text = '[taps]\npressure = 3\n[taps."kitchen.hot"]\nturns = 2\n[taps.pressure-valve]\n[taps.taps]\nturns = 9\n'
    found = load({"taps": Taps}, file=write(tmp_path, text), environ={"PENSTOCK_TAPS__GARDEN__TURNS": "4"}).of(Taps)
    assert found == Taps(
        pressure=3, taps={"kitchen.hot": Tap(turns=2), "pressure-valve": Tap(), "taps": Tap(turns=9), "garden": Tap(turns=4)}
    )
    assert load({"taps": Taps}, file=write(tmp_path, "[taps]\npressure = 3\n"), environ={}).of(Taps) == Taps(pressure=3)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[taps."kitchen.hot"]\nturns = 0', r"taps\.kitchen\.hot\.turns: Expected `int` >= 1 \(from "),
        ("[taps.kitchen]\nturn = 1", r"taps\.kitchen\.turn: unknown setting 'turn'; did you mean 'turns'\?"),
        ("[taps]\npresure = 1", r"taps\.presure: unknown setting 'presure'; did you mean 'pressure'\?"),
        ("[taps]\npresure = 1\n[taps.kitchen]", r"taps\.presure: unknown setting 'presure'"),
        ("[taps]\ntaps = 1", r"taps\.taps: Expected `object`"),
    ],
)
def test_a_thing_that_is_wrong_is_named(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        load({"taps": Taps}, file=write(tmp_path, text), environ={})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml does not exist"):
        load({}, file=tmp_path / "nowhere.toml", environ={})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ('["a", "b"]', ("a", "b")),
        ("[]", ()),
        ("'x'", "x"),
        ("plain text", "plain text"),
        ("", ""),
        ("2026-01-01x", "2026-01-01x"),
    ],
)
def test_a_variable_is_read_as_toml_when_it_is_that_and_as_text_otherwise(text: str, value: object) -> None:
    class Any_(Struct, frozen=True):
        v: int | str | tuple[str, ...] = 0

    assert load({"any": Any_}, environ={"PENSTOCK_ANY__V": text}).of(Any_).v == value


def test_a_variable_reaches_into_a_table_of_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[pump.nested.a]\nport = 1\n[pump.nested.b]\nport = 2\n")
    tree = load({"pump": Pump}, file=file, environ={"PENSTOCK_PUMP__NESTED__A__PORT": "3"})
    assert {name: server.port for name, server in tree.of(Pump).nested.items()} == {"a": 3, "b": 2}
    assert tree.sources["pump.nested.a.port"] == "PENSTOCK_PUMP__NESTED__A__PORT"


def test_a_variable_below_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PENSTOCK_PUMP__LITRES__X"):
        load({"pump": Pump}, file=write(tmp_path, "[pump]\nlitres = 3\n"), environ={"PENSTOCK_PUMP__LITRES__X": "1"})


def test_variables_that_are_no_settings_are_left_alone() -> None:
    environ = {"PENSTOCK_CONFIG": "", "PENSTOCK_UPLOAD_TOKEN": "x", "OTHER__PUMP__LITRES": "9", "penstock_pump__litres": "9"}
    assert load({"pump": Pump}, environ=environ).of(Pump).litres == 10


def test_a_command_passes_over_what_it_does_not_know_but_not_over_its_own_faults(tmp_path: Path) -> None:
    file = write(tmp_path, "[pump]\nlitres = 20\n[gateway]\nnonsense = 1\n")
    environ = {"PENSTOCK_GATEWAY__NONSENSE": "2"}
    assert load({"pump": Pump}, file=file, environ=environ, others=True).of(Pump).litres == 20
    with pytest.raises(SettingsError, match=r"pump\.litres"):
        load({"pump": Pump}, file=file, environ={"PENSTOCK_PUMP__LITRES": "0"}, others=True)


def test_a_file_in_the_working_folder_is_found_and_one_that_is_given_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load({"pump": Pump}, environ={}).file is None
    write(tmp_path, "[pump]\nlitres = 2\n")
    assert load({"pump": Pump}, environ={}).of(Pump).litres == 2
    given = tmp_path / "given.toml"
    given.write_text("[pump]\nlitres = 3\n")
    assert load({"pump": Pump}, environ={"PENSTOCK_CONFIG": str(given)}).of(Pump).litres == 3
    assert load({"pump": Pump}, file=tmp_path / "penstock.toml", environ={"PENSTOCK_CONFIG": str(given)}).of(Pump).litres == 2


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[pump]\nlitres = ", b"[pump]\n[pump]\n"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "penstock.toml"
    file.write_bytes(text)
    with pytest.raises(SettingsError, match=r"penstock\.toml: not valid TOML"):
        load({"pump": Pump}, file=file, environ={})


def test_a_fault_does_not_repeat_the_value(tmp_path: Path) -> None:
    file = write(tmp_path, "[pump]\nlitres = 'hunter2'\nnames = ['hunter2', 3]\n")
    with pytest.raises(SettingsError) as fault:
        load({"pump": Pump}, file=file, environ={"PENSTOCK_PUMP__NESTED": "hunter2"})
    assert "hunter2" not in fault.value.message


def test_describing_a_slice_gives_what_the_docs_show() -> None:
    assert list(describe(Pump)) == [
        ("litres", "int", "10", "Litres a second."),
        ("names", "tuple[str, ...]", "[]", "Names."),
        ("nested", "dict[str, ServerSettings]", "{}", "More."),
    ]


def test_every_setting_of_the_house_is_described() -> None:
    kinds = {**BASE, **{c.name: c.settings for c in capabilities() if c.settings is not None}}
    bare = [f"{section}.{name}" for section, kind in kinds.items() for name, _, _, text in describe(kind) if not text.strip()]
    assert bare == []
