"""``penstock keys``: on a database that a running Penstock may be using too."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from tests.house import open_house
from typer.testing import CliRunner, Result

from penstock.identity.commands import app
from penstock.identity.keyring import Keyring
from penstock.identity.model import Key
from penstock.identity.store import changes_since
from penstock.kernel.errors import Conflict, NotFound, RequestError, SchemaMismatch, SettingsError
from penstock.kernel.events import Events
from penstock.kernel.principal import Principal, Scope
from penstock.storage.records import open_records


class Shell:
    """Commands on one settings file, and what the database holds afterwards."""

    def __init__(self, folder: Path, database: str = "") -> None:
        self.folder = folder
        self.database = database
        self.config = folder / "penstock.toml"
        self.config.write_text(f'[server]\ndata_dir = "{folder / "data"}"\n[storage]\nrecords = "{database}"\n', "utf-8")

    def run(self, *words: str) -> str:
        """What the command prints; a `PenstockError` of its is raised."""
        done = self.tried(*words)
        if done.exception is not None:
            raise done.exception
        return done.stdout

    def tried(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "-c", str(self.config)])

    def ring(self) -> tuple[Keyring, list[Key]]:
        """All keys, as a process that starts now would know them."""
        records = open_records(self.database, self.folder / "data")
        with records.snapshot() as connection:
            changes = changes_since(connection, -1, time.time())
        records.close()
        assert changes is not None
        ring = Keyring(Events())
        ring.apply(changes)
        return ring, changes.keys

    def who(self, secret: str) -> Principal:
        return self.ring()[0].authenticate(secret)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_first_command_makes_the_database_and_prints_a_secret_that_works(shell: Shell) -> None:
    said = shell.run("create", "--name", "me", "--admin")
    secret = said.strip()
    assert said == f"{secret}\n"
    who = shell.who(secret)
    assert (who.name, who.scopes, who.home, who.reach) == ("me", frozenset({Scope.ADMIN}), True, None)
    assert (shell.folder / "data").stat().st_mode & 0o077 == 0
    assert shell.who(shell.run("create", "--name", "plain").strip()).scopes == {Scope.CALL}
    assert shell.who(shell.run("create", "--name", "both", "--read").strip()).scopes == {Scope.CALL, Scope.READ}


def test_a_key_gets_the_terms_that_were_given(shell: Shell) -> None:
    before = time.time()
    words = ["--model", "gpt-4o-*", "--model", "claude", "--rpm", "60", "--tpm", "1000", "--concurrency", "2", "--days", "0.5"]
    who = shell.who(shell.run("create", "--name", "bounded", *words).strip())
    assert who.models == ("gpt-4o-*", "claude")
    assert (who.limits.requests_per_minute, who.limits.tokens_per_minute, who.limits.concurrency) == (60, 1000, 2)
    assert before + 43_200 <= (who.expires_at or 0) <= time.time() + 43_200


@pytest.mark.parametrize(
    ("words", "param"),
    [
        (["--name", ""], "name"),
        (["--name", "x", "--rpm", "0"], "limits.requests_per_minute"),
        (["--name", "x", "--days", "-1"], "expires_at"),
        (["--name", "x", "--model", "a*b"], "models"),
        (["--name", "x", "--team", "team_none"], "team"),
    ],
)
def test_what_cannot_be_is_refused_and_makes_no_key(shell: Shell, words: list[str], param: str) -> None:
    shell.run("create", "--name", "first")
    with pytest.raises(RequestError) as fault:
        shell.run("create", *words)
    assert fault.value.param == param
    assert [key.name for key in shell.ring()[1]] == ["first"]


def test_keys_are_listed_rotated_and_revoked(shell: Shell) -> None:
    secret = shell.run("create", "--name", "bot").strip()
    listed = shell.run("list")
    assert secret not in listed
    found = re.fullmatch(r"(key_\w{32})  live     …(\S{4})  call             never used        bot\n", listed)
    assert found is not None, listed
    id = found[1]
    assert secret.endswith(found[2])
    again = shell.run("rotate", id).strip()
    assert shell.who(secret).key_id == shell.who(again).key_id == id
    assert shell.run("revoke", id) == f"{id} revoked\n"
    assert shell.run("revoke", id) == f"{id} revoked\n"
    assert " revoked " in shell.run("list")
    with pytest.raises(Conflict, match="is revoked"):
        shell.run("rotate", id)
    with pytest.raises(NotFound):
        shell.run("revoke", "key_nobody")


def test_a_long_list_is_whole(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.identity.keys import Keys

    for number in range(3):
        shell.run("create", "--name", f"key {number}")
    real = Keys.list
    monkeypatch.setattr(Keys, "list", lambda self, actor, *, cursor, limit: real(self, actor, cursor=cursor, limit=2))
    assert [line.split("  ")[-1] for line in shell.run("list").splitlines()] == ["key 2", "key 1", "key 0"]


def test_settings_that_are_wrong_are_named(shell: Shell) -> None:
    shell.config.write_text("[identity]\nsession_hours = 0\n")
    with pytest.raises(SettingsError, match=r"identity\.session_hours"):
        shell.run("list")
    missing = CliRunner().invoke(app, ["list", "-c", str(shell.folder / "nowhere.toml")])
    assert isinstance(missing.exception, SettingsError)


def test_a_command_without_a_name_says_what_it_needs(shell: Shell) -> None:
    done = shell.tried("create")
    assert done.exit_code == 2
    assert "--name" in done.stderr


def test_other_capabilities_sections_are_passed_over(shell: Shell) -> None:
    with shell.config.open("a") as file:
        file.write('[gateway.providers.up]\nprofile = "openai-compatible"\nbase_url = "http://localhost:1"\n')
    assert shell.run("list") == ""


def test_on_a_server_the_schema_is_not_made_in_passing(postgres: str, tmp_path: Path) -> None:
    shell = Shell(tmp_path, postgres)
    with pytest.raises(SchemaMismatch, match="penstock migrate"):
        shell.run("create", "--name", "too early")


async def test_a_running_penstock_acts_on_it_by_itself(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        words = ["-c", str(tmp_path / "penstock.toml")]

        async def run(*given: str) -> str:
            done = await asyncio.to_thread(CliRunner().invoke, app, [*given, *words])
            assert done.exit_code == 0, done.exception
            return done.stdout.strip()

        async def comes_to(status: int, secret: str) -> None:
            async with asyncio.timeout(10):
                while (await house.ask("GET", "/v1/models", key=secret)).status != status:
                    await asyncio.sleep(0.02)

        secret = await run("create", "--name", "from the shell")
        await comes_to(200, secret)
        id = (await run("list")).split()[0]
        await run("revoke", id)
        await comes_to(401, secret)
