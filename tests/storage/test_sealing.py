"""Secrets that are used again are kept sealed, for one place and one purpose, under a secret that is in no database."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from penstock.kernel.errors import SettingsError
from penstock.storage.sealing import Sealing, Unsealable, installation_secret, installation_secrets


def test_what_is_sealed_is_opened_in_its_place_alone() -> None:
    sealing = Sealing(lambda: [b"m" * 32], "tokens")
    sealed = sealing.seal("käse", "run/1")
    assert sealing.open(sealed, "run/1") == "käse"
    assert sealed != sealing.seal("käse", "run/1"), "nobody sees that two are the same"
    held = bytearray(base64.b64decode(sealed))
    held[-1] ^= 1
    for others, what, place in (
        (sealing, sealed, "run/2"),
        (Sealing(lambda: [b"n" * 32], "tokens"), sealed, "run/1"),
        (Sealing(lambda: [b"m" * 32], "others"), sealed, "run/1"),
        (sealing, base64.b64encode(bytes(held)).decode(), "run/1"),
        (sealing, "nonsense!", "run/1"),
        (sealing, "", "run/1"),
    ):
        with pytest.raises(Unsealable) as refused:
            others.open(what, place)
        assert "käse" not in str(refused.value)


def test_the_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "some.key"
    first = installation_secret(file, None, "room.secret_env", "tokens")
    assert installation_secret(file, None, "room.secret_env", "tokens") == first
    assert (file.stat().st_mode & 0o777, [path.name for path in tmp_path.iterdir()]) == (0o600, ["some.key"])
    assert installation_secret(file, "x" * 16, "room.secret_env", "tokens") == b"x" * 16
    with pytest.raises(SettingsError, match=r"room\.secret_env.*fewer than 16"):
        installation_secret(file, "short", "room.secret_env", "tokens")
    file.write_bytes(b"x")
    with pytest.raises(SettingsError, match="damaged"):
        installation_secret(file, None, "room.secret_env", "tokens")


def test_a_secret_is_changed_by_putting_the_new_one_before_it(tmp_path: Path) -> None:
    file, former, new = tmp_path / "some.key", "the former secret", "the new secret 16"

    def sealing(value: str | None) -> Sealing:
        return Sealing(lambda: installation_secrets(file, value, "room.secret_env", "tokens"), "tokens")

    before = sealing(former).seal("käse", "run/1")
    both = sealing(f"{new}\n{former}\n")
    assert both.open(before, "run/1") == "käse"
    assert sealing(new).open(both.seal("käse", "run/1"), "run/1") == "käse", "the first one seals"
    with pytest.raises(Unsealable):
        sealing(new).open(before, "run/1")
    with pytest.raises(SettingsError, match="fewer than 16"):
        sealing(f"{new}\nshort").open(before, "run/1")

    kept = sealing(None).seal("käse", "run/1")
    file.rename(tmp_path / "some.key.former")
    after = sealing(None)
    assert after.open(kept, "run/1") == "käse"
    assert file.exists()
    (tmp_path / "some.key.former").unlink()
    with pytest.raises(Unsealable):
        sealing(None).open(kept, "run/1")
    assert sealing(None).open(after.seal("käse", "run/1"), "run/1") == "käse"
