from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from penstock.alerts.signing import FILE, derived, master_secret, signature, verify
from penstock.kernel.errors import SettingsError


def test_it_is_what_standard_webhooks_says() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    given = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    # The example of the specification.
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_plain_secrets_sign_too() -> None:
    told = hmac.new(b"plain", b"id.7.body", hashlib.sha256).digest()
    assert signature("plain", "id", 7, b"body") == "v1," + base64.b64encode(told).decode()
    assert verify("plain", "id", 7, b"body", "v1,xx " + signature("plain", "id", 7, b"body"))
    assert not verify("plain", "id", 8, b"body", signature("plain", "id", 7, b"body"))
    assert not verify("other", "id", 7, b"body", signature("plain", "id", 7, b"body"))


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
