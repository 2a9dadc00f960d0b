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
    r"\b(?:psk_|sk-|sk_|xai-|gsk_|key-|AKIA|ghp_|hf_|AIza|r8_)[A-Za-z0-9_\-]{8,}"
    r"|(?i:\bbearer\s+)[A-Za-z0-9._~+/=\-]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """``text`` without anything that looks like a credential: keys with known prefixes, bearer tokens, passwords in URLs, private keys."""
    return _SECRETS.sub(REDACTED, text)


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", ...}``, with whatever was passed as ``extra``, and the trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({k: _value(v) for k, v in vars(record).items() if k not in _PLAIN})
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return redact(msgspec.json.encode(entry, enc_hook=str).decode())


class TextFormatter(logging.Formatter):
    """Time, level, message and extras on one line, then the trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        extra = " ".join(f"{k}={_value(v)}" for k, v in vars(record).items() if k not in _PLAIN)
        line = f"{_time(record.created)} {record.levelname.lower():7} {record.getMessage()}{'  ' + extra if extra else ''}"
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return redact(line)


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send all logs of this process to ``stream`` (standard error), in the format of the settings. Replaces what was configured before."""
    out: TextIO = stream if stream is not None else sys.stderr
    as_text = settings.format == "text" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for noisy in ("_granian", "granian", "granian.access", "asyncio", "httpx", "alembic"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def _value(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
