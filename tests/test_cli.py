"""The command line: it answers fast, says what there is, and tells a fault in one line without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from penstock import __version__
from penstock.cli import main


class Shell:
    """`penstock` with some words, in this process; what it printed and how it ended."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capture = capture
        self.folder = folder
        monkeypatch.chdir(folder)

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["penstock", *words])
        with pytest.raises(SystemExit) as end:
            main()
        said = self._capture.readouterr()
        code = end.value.code
        assert code is None or isinstance(code, int)
        return code or 0, said.out, said.err


@pytest.fixture
def penstock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, monkeypatch, capsys)


def test_help_names_every_command_and_those_of_the_capabilities(penstock: Shell) -> None:
    code, said, _ = penstock("--help")
    assert code == 0
    for command in ("up", "demo", "doctor", "line", "migrate", "openapi", "version", "keys", "ledger", "files", "cache", "batches"):
        assert f"\n  {command} " in said
    _, keys, _ = penstock("keys", "--help")
    for command in ("create", "list", "rotate", "revoke"):
        assert f"\n  {command} " in keys
    assert penstock()[0] == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['penstock', '--help']\n"
        "from penstock.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.replace("'", '"')))
    heavy = {"sqlalchemy", "alembic", "granian", "aiohttp", "starlette", "jinja2", "psycopg", "onnxruntime", "opentelemetry", "numpy"}
    assert "typer" in loaded
    assert loaded & heavy == set()


def test_a_house_that_opens_loads_no_client_that_nobody_has_asked_for_yet(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from penstock.app import App, capabilities, load_settings, open_store\n"
        "from penstock.up import dispatcher\n"
        "settings = load_settings(capabilities(), None)\n"
        "dispatcher(App(capabilities(), settings, open_store(settings)))\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert {"sqlalchemy", "starlette"} <= loaded
    assert loaded & {"aiohttp", "pydantic", "typer", "duckdb", "dbos", "numpy", "onnxruntime", "opentelemetry", "grpc", "httpx"} == set()


def test_the_installed_command_is_this_one(penstock: Shell) -> None:
    (point,) = entry_points(group="console_scripts", name="penstock")
    assert point.load() is main
    assert penstock("version") == (0, f"{__version__}\n", "")


def test_a_word_that_is_no_command_is_refused_with_the_way_on(penstock: Shell) -> None:
    code, _, said = penstock("updog")
    assert code == 2
    assert "No such command 'updog'" in said
    code, _, said = penstock("up", "--port", "many")
    assert code == 2
    assert "--port" in said


@pytest.mark.parametrize("words", [["up"], ["line"], ["migrate"], ["keys", "list"], ["ledger", "verify"]], ids=lambda words: words[0])
def test_a_fault_is_one_line_with_its_code_and_exit_code_1(penstock: Shell, words: list[str]) -> None:
    code, said, fault = penstock(*words, "-c", "nowhere.toml")
    assert (code, said) == (1, "")
    assert fault.startswith("penstock: settings file nowhere.toml does not exist")
    assert fault.endswith("[settings_invalid]\n")
    assert fault.count("\n") == 1


def test_a_fault_shows_no_secret(penstock: Shell) -> None:
    (penstock.folder / "penstock.toml").write_text(
        '[server]\nport = "psk_abcdefghijklmnop"\n[storage]\nrecords = "mysql://u:hunter2@h/d"\n'
    )
    code, _, fault = penstock("migrate")
    assert code == 1
    assert "server.port" in fault
    (penstock.folder / "penstock.toml").write_text('[storage]\nrecords = "mysql://u:hunter2@h/d"\n')
    code, said, fault = penstock("doctor")
    assert code == 1
    assert "hunter2" not in said + fault


def test_the_document_is_printed_as_json(penstock: Shell) -> None:
    code, said, _ = penstock("openapi")
    assert code == 0
    document = json.loads(said)
    assert document["info"]["version"] == __version__
    assert "/v1/keys" in document["paths"]
    assert list(penstock.folder.iterdir()) == []
