"""Logs: one line each, what was told is on it, and no secret is."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.logs import REDACTED, configure, redact
from penstock.settings import LogSettings

SECRETS = [
    "psk_" + "a1B2" * 12 + "x",
    "pss_" + "a1B2-_" * 7,
    "sk-proj-abcdefghijklmnop",
    "sk-ant-api03-abcdefgh_ijkl-mnop",
    "xai-abcdefghijkl",
    "gsk_abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnop",
    "github_pat_11ABCDEFG",
    "hf_abcdefghijkl",
    "AIzaSyabcdefghijklmnop",
    "r8_abcdefghijkl",
    "xoxb-1234567890-abc",
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
]


class Log:
    """What the configured log wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logger = logging.getLogger("penstock.test")

    def configure(self, **settings: str) -> None:
        configure(LogSettings(**settings), self.stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {
        name: logging.getLogger(name).level for name in ("_granian", "granian", "granian.access", "asyncio", "httpx", "httpx2", "alembic")
    }
    yield Log()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("around", ["{}", "the key {} was refused", '{{"key":"{}"}}', "key={}&x=1", "({}),", "Bearer {}"])
def test_a_secret_is_taken_out_wherever_it_stands(secret: str, around: str) -> None:
    told = redact(around.format(secret))
    assert secret not in told
    assert REDACTED in told


@pytest.mark.parametrize(
    ("text", "secret", "kept"),
    [
        ("Authorization: Bearer abcdef123456==", "abcdef123456", "Authorization"),
        ("authorization: bearer   abcdef123456", "abcdef123456", "authorization"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", ""),
        ("postgresql://penstock:hunter2@db.example:5432/p", "hunter2", "@db.example:5432/p"),
        ("postgresql://penstock:p@ss:word@db.example/p", "p@ss:word", "@db.example/p"),
        ("redis://:hunter2@cache:6379/0", "hunter2", "@cache:6379/0"),
        ("https://user:hunter2@proxy, then http://a/b", "hunter2", "@proxy, then http://a/b"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY----- after", "MIIE", " after"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\ncut off", "MIIE", ""),
    ],
)
def test_passwords_and_private_keys_are_taken_out_and_the_rest_stays(text: str, secret: str, kept: str) -> None:
    told = redact(text)
    assert secret not in told
    assert kept in told


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/console/ and ada@example.com",
        "task-based risk-free asking",
        "org_0123456789abcdef0123456789abcdef used gpt-4o-mini-2024-07-18",
        "violates pk_identity_changes; basic authentication is not spoken here",
        "took 12 ms",
        "",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_json_is_one_valid_line_with_what_was_passed(log: Log) -> None:
    log.configure(format="json")
    log.logger.warning("refused %s", "x", extra={"status": 429, "wait": 1.5, "is_late": True, "nothing": None, "big": 2**80, "path": log})
    (entry,) = log.entries()
    assert list(entry)[:4] == ["time", "level", "logger", "message"]
    assert (entry["level"], entry["logger"], entry["message"]) == ("warning", "penstock.test", "refused x")
    assert (entry["status"], entry["wait"], entry["is_late"], entry["nothing"]) == (429, 1.5, True, None)
    assert entry["big"] == str(2**80)
    assert "Log object" in entry["path"]
    assert len(entry["time"]) == len("2026-11-21T07:28:53.123Z")


@pytest.mark.parametrize("format", ["json", "text"])
def test_no_value_message_or_trace_shows_a_secret(log: Log, format: str) -> None:
    log.configure(format=format)
    secret, url = SECRETS[0], "postgresql://u:hunter2@h/d"
    try:
        raise ValueError(f"{secret} for {url}")
    except ValueError:
        log.logger.exception("failed with %s", secret, extra={"url": url, "key": secret, "many": [secret, url]})
    assert secret not in log.text
    assert "hunter2" not in log.text
    assert "ValueError" in log.text
    assert log.text.count(REDACTED) >= 6


def test_json_stays_valid_around_what_is_taken_out(log: Log) -> None:
    log.configure(format="json")
    key = "-----BEGIN PRIVATE KEY-----\nMIIE\n"
    log.logger.error("http://h:80", extra={"mail": "ada@example.com", "key": key, "file": "caf\udce9", "after": "kept"})
    (entry,) = log.entries()
    assert (entry["message"], entry["mail"], entry["after"]) == ("http://h:80", "ada@example.com", "kept")
    assert entry["key"] == REDACTED
    assert entry["file"] == "caf?"


def test_extras_do_not_take_the_place_of_what_the_log_says_itself(log: Log) -> None:
    log.configure(format="json")
    log.logger.error("true", extra={"level": "debug", "time": "never", "logger": "somebody"})
    (entry,) = log.entries()
    assert (entry["message"], entry["level"], entry["logger"]) == ("true", "error", "penstock.test")
    assert entry["time"] != "never"


def test_what_a_client_sent_begins_no_line_and_does_not_speak_to_the_terminal(log: Log) -> None:
    log.configure(format="text")
    log.logger.warning("no page %s", "/x\n2026-01-01 error  forged", extra={"agent": "\x1b[2Jbad\r\u2028"})
    (line,) = log.text.splitlines()
    assert "\\n2026-01-01" in line
    assert "agent=\\x1b[2Jbad\\r\\u2028" in line
    assert line.split()[1] == "warning"


def test_auto_is_json_where_nobody_looks_and_text_on_a_terminal(log: Log) -> None:
    log.configure()
    log.logger.info("for a machine")
    assert log.entries()[0]["message"] == "for a machine"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    log.stream = Terminal()
    log.configure()
    log.logger.info("for a person")
    assert log.text.rstrip().endswith("info    for a person")


def test_the_level_holds_for_us_and_others_are_quieter(log: Log) -> None:
    log.configure(level="warning", format="json")
    log.logger.info("not told")
    log.configure(level="debug", format="json")
    log.logger.debug("told")
    logging.getLogger("httpx").info("not told")
    logging.getLogger("httpx2").info("not told either: it names addresses, and some hold a secret")
    logging.getLogger("httpx").warning("told too")
    assert [entry["message"] for entry in log.entries()] == ["told", "told too"]


def test_nothing_is_told_under_a_name_that_every_line_has() -> None:
    taken = {*logging.makeLogRecord({}).__dict__, "message", "asctime"}
    wrong = [
        f"{path}: {name}"
        for path in Path(penstock.__file__).parent.rglob("*.py")
        for told in re.findall(r"extra=\{([^}]*)\}", path.read_text("utf-8"))
        for name in re.findall(r'"(\w+)":', told)
        if name in taken
    ]
    assert wrong == [], "logging raises KeyError for these, and what was to follow does not happen"
