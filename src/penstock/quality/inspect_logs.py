"""Logs of Inspect AI (``.eval`` and ``.json``), read and written, without Inspect AI.

A ``.eval`` is a zip with ``header.json`` and one JSON file for each sample. Inspect compresses its members with Zstandard (method 93),
which Python's zipfile does not know before 3.14, so those are taken apart here. Ours are written deflated, as Inspect's own used to be.
"""

from __future__ import annotations

import importlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock.kernel.errors import RequestError, Unavailable

MEMBER_BYTES = 64 << 20
TOTAL_BYTES = 1 << 30
ZSTANDARD = 93
ATTACHED = "attachment://"
_VALUES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
WHOLE = frozenset({"match", "exact", "includes", "pattern", "answer", "choice", "f1_exact"})
"""Scorers of Inspect's own that say right or wrong."""


class LogScore(Struct, frozen=True):
    """One scorer's word on a sample."""

    value: Any = None
    answer: str | None = None
    explanation: str | None = None


class LogUsage(Struct, frozen=True):
    """Tokens."""

    input_tokens: int = 0
    output_tokens: int = 0


class LogOutput(Struct, frozen=True):
    """What the model said."""

    completion: str = ""
    usage: LogUsage | None = None
    choices: list[dict[str, Any]] = []


class LogSample(Struct, frozen=True):
    """One sample of a log."""

    id: str | int
    input: str | list[dict[str, Any]]
    epoch: int = 1
    target: str | list[str] = ""
    choices: list[str] | None = None
    metadata: dict[str, Any] = {}
    output: LogOutput | None = None
    scores: dict[str, LogScore] | None = None
    error: dict[str, Any] | None = None
    working_time: float | None = None
    total_time: float | None = None
    attachments: dict[str, str] = {}

    def whole(self, value: Any) -> Any:
        """A value of the sample with what stands among its attachments put in its place."""
        if isinstance(value, str):
            return self.attachments.get(value.removeprefix(ATTACHED), value) if value.startswith(ATTACHED) else value
        if isinstance(value, list):
            return [self.whole(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {name: self.whole(each) for name, each in cast("dict[str, Any]", value).items()}
        return value


class LogSpec(Struct, frozen=True):
    """What was evaluated."""

    model: str
    task: str = ""
    created: str = ""
    dataset: dict[str, Any] = {}


class Log(Struct, frozen=True):
    """A log. ``samples`` is None in the header of a ``.eval``."""

    eval: LogSpec
    version: int = 2
    status: str = ""
    samples: list[LogSample] | None = None


# What zipfile and its kin raise for what is damaged; ValueError is also the root of msgspec's.
_DAMAGED = (ValueError, KeyError, RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError)
_log = msgspec.json.Decoder(Log)
_sample = msgspec.json.Decoder(LogSample)


def read(data: bytes) -> Log:
    """A log with its samples. Raises `RequestError` (``inspect_log_refused``) for what is none, `Unavailable` without the extra."""
    try:
        if data[:4] == b"PK\x03\x04":
            members = dict(_members(data))
            header = members.get("header.json")
            if header is None:
                raise _refused("the zip has no header.json: the evaluation has not ended")
            samples = [_sample.decode(body) for name, body in members.items() if name.startswith("samples/")]
            log = msgspec.structs.replace(_log.decode(header), samples=samples)
        else:
            log = _log.decode(data)
    except _DAMAGED as fault:
        raise _refused(str(fault)[:300]) from None
    if not log.samples:
        raise _refused("it has no samples")
    return log


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    whole = 0
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.filename != "header.json" and not (info.filename.startswith("samples/") and info.filename.endswith(".json")):
                continue
            whole += info.file_size
            if info.file_size > MEMBER_BYTES or whole > TOTAL_BYTES:
                raise _refused(f"{info.filename[:100]} makes it larger than what is taken")
            if info.compress_type == ZSTANDARD:
                body = _zstandard(data, info)
            else:
                with archive.open(info) as member:
                    body = member.read(MEMBER_BYTES + 1)
            if len(body) != info.file_size or zlib.crc32(body) != info.CRC:
                raise _refused(f"{info.filename[:100]} is damaged")
            yield info.filename, body


def _zstandard(data: bytes, info: zipfile.ZipInfo) -> bytes:
    try:
        # Of the extra: logs that are written by ourselves, and in JSON, need none of it.
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError:
        raise Unavailable("logs of this kind need zstandard: pip install 'penstock[quality]'", code="quality_extra_missing") from None
    names, extra = struct.unpack_from("<HH", data, info.header_offset + 26)
    start = info.header_offset + 30 + names + extra
    try:
        packed = data[start : start + info.compress_size]
        body: bytes = zstandard.ZstdDecompressor().decompressobj().decompress(packed) if info.file_size <= MEMBER_BYTES else b""
        return body
    except zstandard.ZstdError as fault:
        raise _refused(f"{info.filename[:100]}: {fault}") from None


def _refused(message: str) -> RequestError:
    return RequestError(f"this is no log of Inspect AI that can be read: {message}", code="inspect_log_refused", param="files")


def value_of(score: LogScore) -> float | None:
    """A score from 0 to 1, None for what is none."""
    value = score.value
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return _VALUES.get(value)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


class Written(Struct, frozen=True, kw_only=True):
    """What becomes one sample of a log."""

    id: str
    input: str | list[dict[str, Any]]
    target: str | list[str]
    choices: list[str]
    metadata: dict[str, Any]
    text: str
    finish: str
    error: str | None
    score: float | None
    reason: str
    input_tokens: int
    output_tokens: int
    seconds: float


def write(
    samples: Sequence[Written],
    *,
    id: str,
    task: str,
    dataset: str,
    model: str,
    scorer: str,
    whole: bool,
    began: float,
    ended: float,
    eval: bool,
) -> bytes:
    """A log that Inspect AI reads, as ``.eval`` or as JSON. ``whole`` says that the scorer says right or wrong."""
    made = [_written(one, model, scorer, whole) for one in samples]
    scored = [one.score for one in samples if one.score is not None]
    mean = sum(scored) / len(scored) if scored else 0.0
    spread = sum((value - mean) ** 2 for value in scored) / (len(scored) - 1) if len(scored) > 1 else 0.0
    metric = "accuracy" if whole else "mean"
    metrics: dict[str, Any] = {
        metric: {"name": metric, "value": mean, "params": {}},
        "stderr": {"name": "stderr", "value": (spread / len(scored)) ** 0.5 if scored else 0.0, "params": {}},
    }
    header: dict[str, Any] = {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": id,
            "run_id": id,
            "created": _moment(began),
            "task": task,
            "task_id": id,
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {"name": dataset, "samples": len(samples), "sample_ids": [one.id for one in samples], "shuffled": False},
            "model": model,
            "model_args": {},
            "config": {"epochs": 1},
            "packages": {},
            "scorers": [{"name": scorer, "options": {}, "metrics": [{"name": metric, "options": {}}], "metadata": {}}],
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(samples),
            "completed_samples": sum(one.error is None for one in samples),
            "scores": [
                {
                    "name": scorer,
                    "scorer": scorer,
                    "scored_samples": len(scored),
                    "unscored_samples": len(samples) - len(scored),
                    "params": {},
                    "metrics": metrics,
                }
            ],
        },
        "stats": {"started_at": _moment(began), "completed_at": _moment(ended), "model_usage": {}},
    }
    if not eval:
        return msgspec.json.encode({**header, "samples": made})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {"version": 2, "eval": header["eval"], "plan": header["plan"]}
        archive.writestr("_journal/start.json", msgspec.json.encode(start))
        for one in made:
            # Inspect finds a sample by its id, slashes included; a zip's names are only read here and there, never unpacked.
            archive.writestr(f"samples/{one['id']}_epoch_1.json", msgspec.json.encode(one))
        archive.writestr("summaries.json", msgspec.json.encode([_summary(one) for one in made]))
        archive.writestr("header.json", msgspec.json.encode(header))
    return out.getvalue()


def _written(one: Written, model: str, scorer: str, whole: bool) -> dict[str, Any]:
    asked = [{"role": "user", "content": one.input}] if isinstance(one.input, str) else one.input
    said = {"role": "assistant", "content": one.text, "source": "generate", "model": model}
    usage = {"input_tokens": one.input_tokens, "output_tokens": one.output_tokens, "total_tokens": one.input_tokens + one.output_tokens}
    made: dict[str, Any] = {
        "id": one.id,
        "epoch": 1,
        "input": one.input,
        "target": one.target,
        "messages": [*asked, *([said] if one.error is None else [])],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": _STOPS.get(one.finish, "unknown")}] if one.error is None else [],
            "completion": one.text,
            "usage": usage,
        },
        "metadata": one.metadata,
        "store": {},
        "events": [],
        "model_usage": {model: usage},
        "total_time": one.seconds,
        "working_time": one.seconds,
        "attachments": {},
    }
    if one.choices:
        made["choices"] = one.choices
    if one.error is not None:
        made["error"] = {"message": one.error, "traceback": "", "traceback_ansi": ""}
    if one.score is not None:
        value = ("C" if one.score == 1 else "I") if whole else one.score
        made["scores"] = {scorer: {"value": value, "answer": one.text[:1000], "explanation": one.reason}}
    return made


_STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}


def _summary(one: dict[str, Any]) -> dict[str, Any]:
    kept = {name: one[name] for name in ("id", "epoch", "input", "target", "metadata", "model_usage", "total_time", "working_time")}
    kept["completed"] = True
    if "scores" in one:
        kept["scores"] = one["scores"]
    if "error" in one:
        kept["error"] = one["error"]["message"]
    return kept


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


__all__ = ["WHOLE", "Log", "LogSample", "LogScore", "Written", "read", "value_of", "write"]
