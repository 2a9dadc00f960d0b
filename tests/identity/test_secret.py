"""How keys and tokens look: recognisable, checkable, and of enough chance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.identity.secret import KEY_PATTERN, SECRET_PATTERN, digest, is_key, new_secret, new_session_token
from penstock.logs import redact


def test_a_key_is_known_by_its_form_and_its_checksum() -> None:
    keys = {new_secret() for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert len(key) == 53
        assert is_key(key)
        assert KEY_PATTERN.search(f'api_key="{key}"') is not None
        assert SECRET_PATTERN.search(f"Bearer {key}.") is not None


@given(at=st.integers(4, 52), char=st.sampled_from("abcXYZ019_-"))
def test_one_wrong_character_is_noticed(at: int, char: str) -> None:
    key = new_secret()
    damaged = key[:at] + char + key[at + 1 :]
    assert is_key(damaged) == (damaged == key)


@given(st.text())
def test_other_texts_are_no_keys_and_every_text_has_a_digest(text: str) -> None:
    assert not is_key(text)
    assert len(digest(text)) == 32


def test_no_log_shows_a_key_or_a_token() -> None:
    for secret in (new_secret(), new_session_token()):
        assert secret not in redact(f"somebody sent {secret} in a cookie; penstock_session={secret}")
