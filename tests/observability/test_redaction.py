# pyright: reportPrivateUsage=false
from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.kernel.errors import SettingsError
from penstock.observability import redaction
from penstock.observability.redaction import Redactor

SECRETS = [
    "sk-proj-abcdefghijklmnopqrstuvwxyz012345",
    "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUv",
    "psk_" + "A" * 49,
    "pss_" + "A" * 43,
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    "xoxb-123456789012-abcdefghij",
    "gsk_abcdefghijklmnopqrstuvwx",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "Bearer abcdef0123456789abcdef",
    "BEARER abcdef0123456789abcdef",
    "bearer abcdef0123456789abcdef",
    "sk_live_0123456789abcdef0123",
    "rk-0123456789abcdef0123",
    "pk_test_0123456789abcdef0123",
    "psk-" + "b" * 30,
    "hf_abcdefghijklmnopqrst",
    "xai-abcdefghijklmnopqrst",
    "r8_abcdefghijklmnopqrst",
    "glpat-abcdefghijklmnopqrst",
    "npm_abcdefghijklmnopqrst",
    "pypi-abcdefghijklmnopqrst",
    "ASIAIOSFODNN7EXAMPLE",
    *(f"gh{kind}_0123456789abcdefghijABCDEFGHIJ" for kind in "ousr"),
    "github_pat_0123456789abcdefghijABCDEFGHIJ",
    *(f"xox{kind}-123456789012-abcdefghij" for kind in "aeoprs"),
    "xapp-1-A0123456789-abcdef",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_replaced_and_json_stays_json(secret: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": f"before {secret} after"}]}).encode()
    redacted, found = Redactor().bytes(body)
    assert found == 1
    content = json.loads(redacted)["messages"][0]["content"]
    assert content.startswith("before [redacted: ") or content.lower().startswith("before bearer [redacted: ")
    assert content.endswith("] after")
    assert secret.rsplit(maxsplit=1)[-1].encode() not in redacted


def test_a_private_key_without_its_end_does_not_eat_the_rest() -> None:
    body = json.dumps({"a": "-----BEGIN PRIVATE KEY-----\nMIIE", "b": "kept"}).encode()
    redacted, _ = Redactor().bytes(body)
    assert json.loads(redacted) == {"a": "[redacted: private-key]", "b": "kept"}


def test_a_password_in_an_address_goes_and_the_host_stays() -> None:
    assert Redactor().text("postgresql://me:hunter2@db:5432/x") == "postgresql://[redacted: url-password]@db:5432/x"


def test_ordinary_text_is_left_alone() -> None:
    text = "The task-force asked 12 risk-averse people about ghosts at https://example.org/a?b=c; call +1 (they did)."
    assert Redactor(emails=True, phones=True).text(text) == text


def test_mail_addresses_and_telephone_numbers_when_asked() -> None:
    text = "write to ada@example.org or call +44 20 7946 0958"
    assert Redactor().text(text) == text
    assert Redactor(emails=True, phones=True).text(text) == "write to [redacted: email] or call [redacted: phone]"


def test_patterns_of_the_installation() -> None:
    assert Redactor(patterns={"badge": r"B-\d{4}"}).text("badge B-1234") == "badge [redacted: badge]"
    with pytest.raises(SettingsError, match=r"redact_patterns\.bad: not a regular expression"):
        Redactor(patterns={"bad": "("})
    with pytest.raises(SettingsError, match="would redact everything"):
        Redactor(patterns={"all": ".*"})


@given(st.text(), st.sampled_from(SECRETS[:8]), st.text())
def test_json_survives_whatever_stands_around_a_secret(before: str, secret: str, after: str) -> None:
    body = json.dumps([f"{before} {secret} {after}"]).encode()
    redacted, found = Redactor(emails=True, phones=True).bytes(body)
    assert found >= 1
    assert isinstance(json.loads(redacted)[0], str)
    assert secret.encode() not in redacted


PIECES = st.one_of(
    st.sampled_from([*SECRETS, *(one[: len(one) // 2] for one in SECRETS), *(one.swapcase() for one in SECRETS)]),
    st.sampled_from([needle.decode() for needle in redaction._NEEDLES]),
    st.sampled_from(
        [*'_-AJbB/@+.: \\"', "A" * 20, "0a1b2c3d4e5f6071", "me:pass@host", "+44 20 7946 0958", "ada@example.org", "bEARER ", "pss-"]
    ),
    st.text(max_size=6),
)


@pytest.mark.parametrize(
    "together", [False, pytest.param(True, marks=pytest.mark.skipif(not find_spec("ahocorasick_rs"), reason="no wheel"))]
)
@pytest.mark.parametrize("personal", [False, True])
def test_what_is_replaced_is_what_scouts_and_rules_replace(together: bool, personal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not together:
        monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    redactor = Redactor(emails=personal, phones=personal)
    own = [("email", "@", redaction._EMAIL), ("phone", "+", redaction._PHONE)] if personal else []

    def by_scouts_and_rules(data: bytes) -> tuple[bytes, int]:
        seen = {name for name, scout in redaction._SCOUTS.items() if re.search(scout, data)}
        found = 0
        for name, scouts, pattern in (*redaction._BUILT_IN, *own):
            if seen & set(scouts):
                data, times = re.subn(pattern.encode(), f"[redacted: {name}]".encode(), data)
                found += times
        return data, found

    @settings(max_examples=150, deadline=None)
    @given(st.lists(PIECES, max_size=8))
    def same(pieces: list[str]) -> None:
        data = "".join(pieces).encode("utf-8", "replace")
        assert redactor.bytes(data) == by_scouts_and_rules(data)
        assert redactor.suspects(data) or redactor.bytes(data) == (data, 0)

    same()


@pytest.mark.parametrize("needle", redaction._NEEDLES)
def test_every_needle_belongs_to_a_scout(needle: bytes) -> None:
    whole = {b"xox": b"xoxb-", b"--BEGIN": b"-----BEGIN "}.get(needle, needle) + (b" " if needle.lower() == b"bearer" else b"")
    assert any(re.search(scout, whole) for scout in redaction._SCOUTS.values())
