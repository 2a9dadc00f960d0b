"""Structured logs on standard error: one JSON object a line, or readable text on a terminal. Secrets are taken out of both."""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from typing import TextIO

import msgspec

from penstock.settings import LogSettings

REDACTED = "[redacted]"
_SECRETS = re.compile(
    r"\b(?:ps[ks]_|[sr]k[-_]|xai-|gsk_|key-|AKIA|ASIA|gh[pousr]_|github_pat_|hf_|AIza|r8_|glpat-|npm_|pypi-|xox[abeoprs]-)[A-Za-z0-9_\-]{8,}"
    # A token that three dots and its head betray: JSON Web Tokens.
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"
    r"|(?i:\bbearer\s+|\bauthorization\W{1,4}basic\s+)[A-Za-z0-9._~+/=\-]{8,}"
    # User and password in a URL, which either may lack; the last @ before the host's end counts, since a careless password holds one.
    r"|(?<=://)[^/\s\"'<>]*:[^/\s\"'<>]*(?=@)"
    r"|-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FIRST = ("time", "level", "logger", "message")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """``text`` without anything that looks like a credential: keys with known prefixes, bearer tokens, passwords in URLs, private keys."""
    return _SECRETS.sub(REDACTED, text)


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", ...}``, with whatever was passed as ``extra``, and the trace of an exception.

    Secrets are taken out of each value by itself, so that a line is valid JSON whatever it tells.
    """

    def format(self, record: logging.LogRecord) -> str:
        entry = {name: _value(value) for name, value in vars(record).items() if name not in _PLAIN}
        entry |= {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _value(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = _value("".join(traceback.format_exception(*record.exc_info)))
        return msgspec.json.encode({name: entry.pop(name) for name in _FIRST} | entry).decode()


class TextFormatter(logging.Formatter):
    """Time, level, message and extras on one line, then the trace of an exception.

    Control characters are shown as escapes: what a client sent can neither begin a line of its own nor speak to the terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{k}={_value(v)}" for k, v in vars(record).items() if k not in _PLAIN)
        line = f"{_time(record.created)} {record.levelname.lower():7} {_value(record.getMessage())}{'  ' + extra if extra else ''}"
        line = _CONTROLS.sub(lambda found: repr(found[0])[1:-1], line)
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + redact("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return line


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error), in the format of the settings. Replaces what was configured before."""
    out: TextIO = stream if stream is not None else sys.stderr
    as_text = settings.format == "text" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("_granian", "granian", "granian.access", "asyncio", "httpx", "httpx2", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def _value(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    # A lone surrogate, as in a file's name that is not UTF-8, cannot be written.
    return redact(str(value)).encode("utf-8", "replace").decode()
