from __future__ import annotations

import base64
from pathlib import Path

import pytest

from penstock.alerts.signing import FILE, derived, master_secret
from penstock.kernel.errors import SettingsError


def test_each_subscription_and_turn_has_a_secret_of_its_own() -> None:
    secrets = {derived(b"m" * 32, id, turn) for id in ("a", "b") for turn in (0, 1)}
    assert len(secrets) == 4
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"))) == 32 for secret in secrets)


def test_the_installations_secret_is_made_once_and_is_its_owners(tmp_path: Path) -> None:
    first = master_secret(tmp_path, None)
    assert master_secret(tmp_path, None) == first
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    assert master_secret(tmp_path, "x" * 16) == b"x" * 16


def test_a_secret_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="fewer than 16"):
        master_secret(tmp_path, "short")
    (tmp_path / FILE).write_bytes(b"x")
    with pytest.raises(SettingsError, match="damaged"):
        master_secret(tmp_path, None)
    with pytest.raises(SettingsError, match="cannot be kept"):
        master_secret(tmp_path / "nowhere", None)
