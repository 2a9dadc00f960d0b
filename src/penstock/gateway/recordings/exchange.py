"""What a recording holds: exchanges with a provider, how two requests are known to be the same, and how both look on disk.

A recording is JSON Lines in UTF-8, plain or gzip. The first line is the `Header`, every other line one `Exchange`. Lines of a later header
are skipped, so recordings can be joined with ``cat``. docs/recordings.md describes the format for people.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

from penstock.kernel.call import Headers
from penstock.kernel.errors import MalformedRequest, SettingsError

VERSION = 1

# Fields that say how the reply travels or who asked, and never change what the model answers.
TRANSPORT_FIELDS = frozenset({"stream", "stream_options", "user", "metadata"})
# Shapes whose streams cannot be made of whole replies, nor the reverse: these are answered only as they were recorded.
AS_RECORDED = frozenset({"openai.transcriptions", "openai.images", "openai.image_edits"})
# Knobs under which a recorded reply is still an answer to the same conversation; left out of the looser key only.
SAMPLING_FIELDS = frozenset(
    {
        "frequency_penalty",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "temperature",
        "top_k",
        "top_p",
    }
)
# Names under which requests carry secrets to tools: OpenAI tools[].authorization, Anthropic mcp_servers[].authorization_token.
SECRET_FIELDS = frozenset(
    {"access_token", "api_key", "apikey", "authorization", "authorization_token", "client_secret", "password", "x-api-key"}
)
REDACTED = "[redacted]"

# Reply headers that explain a reply and identify nobody. Everything else (cookies, organisation names, ...) is left out.
KEPT_HEADERS = frozenset(
    {
        "cf-ray",
        "content-type",
        "openai-model",
        "openai-processing-ms",
        "openai-version",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "x-request-id",
    }
)
KEPT_PREFIXES = ("anthropic-ratelimit-", "x-ratelimit-")


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """First line of a recording. ``penstock_recording`` is the version of the format.

    ``timing`` is ``recorded``, or ``modelled`` when times were computed from published figures; ``usage`` is ``provider``, or ``estimated``
    when nobody counted tokens. ``note`` says what a reader must know to judge the data.
    """

    penstock_recording: int
    source: str = ""
    licence: str = ""
    note: str = ""
    timing: str = "recorded"
    usage: str = "provider"


class Exchange(msgspec.Struct, kw_only=True):
    """One request and its whole reply, either as one ``body`` or as ``chunks`` with their times; exactly one of them is set.

    ``request`` is the top level of the request's body, each value raw JSON. Times are milliseconds since the request was sent:
    ``first_byte_ms`` to the first byte of the reply's body, ``total_ms`` to its end. ``recorded_at`` is Unix seconds, 0 when unknown.
    ``meta`` is the recorder's own: labels, correctness, whatever later work wants to know; it is never replayed.
    """

    shape: str
    request: dict[str, msgspec.Raw]
    status: int = 200
    headers: Headers = msgspec.field(default_factory=list[tuple[str, str]])
    body: bytes | None = None
    chunks: list[tuple[float, bytes]] | None = None
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    recorded_at: float = 0.0
    meta: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if (self.body is None) == (self.chunks is None):
            raise ValueError("an exchange has either a body or chunks")

    @property
    def model(self) -> str:
        """The model that was asked for, empty when the request names none."""
        return model_of(self.request)


class Keys(msgspec.Struct, frozen=True):
    """``exact`` identifies the request, ``loose`` the conversation without its sampling knobs; hexadecimal SHA-256."""

    exact: str
    loose: str


class Line(msgspec.Struct, omit_defaults=True):
    """An exchange on disk. Bytes that are valid UTF-8 are kept as text; otherwise ``body_base64`` or ``chunks_base64`` hold base64.

    ``key`` and ``loose`` may be missing in recordings written by hand; they are then computed. ``loose`` is missing when equal to ``key``.
    """

    shape: str
    request: dict[str, msgspec.Raw]
    key: str = ""
    loose: str = ""
    status: int = 200
    headers: list[tuple[str, str]] = []
    body: str | None = None
    body_base64: str | None = None
    chunks: list[tuple[float, str]] | None = None
    chunks_base64: list[tuple[float, str]] | None = None
    first_byte_ms: float = 0.0
    total_ms: float = 0.0
    recorded_at: float = 0.0
    meta: dict[str, Any] = {}


class IndexLine(msgspec.Struct):
    """The part of a line that finding it needs; the rest is skipped without being built."""

    shape: str
    request: msgspec.Raw
    key: str = ""
    loose: str = ""


# Beyond 2^53 a float is not a number that somebody wrote as an integer.
_EXACT = 1 << 53
_encoder = msgspec.json.Encoder()
_sorted = msgspec.json.Encoder(order="sorted")
_line = msgspec.json.Decoder(Line)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def model_of(fields: Mapping[str, msgspec.Raw | bytes]) -> str:
    """The ``model`` field as text; empty when missing or not a string."""
    raw = fields.get("model")
    if raw is None:
        return ""
    try:
        return _text.decode(raw)
    except msgspec.DecodeError:
        return ""


def fields_of(body: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The top level of a request's body. Raises `MalformedRequest` when it is not a JSON object."""
    try:
        return _fields.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MalformedRequest("the request's body is not a JSON object") from fault


def keys_of(shape: str, fields: Mapping[str, msgspec.Raw | bytes], model: str | None = None) -> Keys:
    """The keys of a request: SHA-256 over its shape and its canonical JSON.

    Canonical: `TRANSPORT_FIELDS` left out, names sorted, whole floats as integers, ``max_completion_tokens`` under its older name
    ``max_tokens``, a message content of one plain text part as that text, secrets replaced; ``null`` and missing are the same at the top
    level. ``model`` replaces the field of that name. Raises `MalformedRequest` when a field is not JSON or nested too deeply.
    """
    exact: dict[str, Any] = {}
    loose: dict[str, Any] = {}
    try:
        for name, raw in fields.items():
            if name in TRANSPORT_FIELDS and not (name == "stream" and shape in AS_RECORDED):
                continue
            value = msgspec.json.decode(raw)
            if name == "stream" and value in (False, "false", "False"):
                continue
            if value is None:
                continue
            value = _canonical(value)
            if name not in SAMPLING_FIELDS:
                loose[name] = value
            exact["max_tokens" if name == "max_completion_tokens" else name] = value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise MalformedRequest("the request's body is not JSON, or nested too deeply") from fault
    if model is not None:
        exact["model"] = loose["model"] = model
    digest = _digest(shape, exact)
    return Keys(digest, digest if len(loose) == len(exact) else _digest(shape, loose))


def to_line(exchange: Exchange) -> bytes:
    """The exchange as one line with its line feed; secrets are out of the request and headers outside the allow-list are left out."""
    request = {name: msgspec.Raw(_clean(raw)) for name, raw in exchange.request.items()}
    keys = keys_of(exchange.shape, request)
    line = Line(
        shape=exchange.shape,
        request=request,
        key=keys.exact,
        loose=keys.loose if keys.loose != keys.exact else "",
        status=exchange.status,
        headers=kept_headers(exchange.headers),
        first_byte_ms=round(exchange.first_byte_ms, 3),
        total_ms=round(exchange.total_ms, 3),
        recorded_at=round(exchange.recorded_at, 3),
        meta=exchange.meta,
    )
    if exchange.body is not None:
        line.body = _as_text(exchange.body)
        if line.body is None:
            line.body_base64 = base64.b64encode(exchange.body).decode()
    else:
        pieces = exchange.chunks or []
        texts = [_as_text(data) for _, data in pieces]
        if None in texts:  # a character cut in two by the network: rare, and then the whole list is kept as bytes
            line.chunks_base64 = [(round(ms, 3), base64.b64encode(data).decode()) for ms, data in pieces]
        else:
            line.chunks = [(round(ms, 3), text or "") for (ms, _), text in zip(pieces, texts, strict=True)]
    return _encoder.encode(line) + b"\n"


def from_line(data: bytes) -> Exchange:
    """The exchange of one line. Raises `SettingsError` when the line is not one, for the file is the operator's."""
    try:
        line = _line.decode(data)
        body = line.body.encode() if line.body is not None else None
        if line.body_base64 is not None:
            body = base64.b64decode(line.body_base64, validate=True)
        chunks = None
        if line.chunks is not None:
            chunks = [(ms, text.encode()) for ms, text in line.chunks]
        elif line.chunks_base64 is not None:
            chunks = [(ms, base64.b64decode(text, validate=True)) for ms, text in line.chunks_base64]
        return Exchange(
            shape=line.shape,
            request=line.request,
            status=line.status,
            headers=line.headers,
            body=body,
            chunks=chunks,
            first_byte_ms=line.first_byte_ms,
            total_ms=line.total_ms,
            recorded_at=line.recorded_at,
            meta=line.meta,
        )
    except (ValueError, RecursionError) as fault:  # msgspec's and base64's faults are ValueErrors
        raise SettingsError(f"not a recorded exchange: {fault}") from fault


def kept_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """The reply headers on the allow-list, names in lower case, in their order."""
    kept: Headers = []
    for name, value in headers:
        lower = name.lower()
        if lower in KEPT_HEADERS or lower.startswith(KEPT_PREFIXES):
            kept.append((lower, value))
    return kept


def _as_text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _digest(shape: str, fields: dict[str, Any]) -> str:
    return hashlib.sha256(shape.encode() + b"\n" + _sorted.encode(fields)).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        made = {name: _secret(name, _canonical(v)) for name, v in members.items()}
        content = made.get("content")
        if "role" in made and isinstance(content, list):
            parts = cast("list[Any]", content)
            if len(parts) == 1 and isinstance(parts[0], dict):
                only = cast("dict[str, Any]", parts[0])
                if only.get("type") == "text" and len(only) == 2 and "text" in only:
                    made["content"] = only["text"]
        return made
    if isinstance(value, list):
        return [_canonical(v) for v in cast("list[Any]", value)]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    return value


def _secret(name: str, value: Any) -> Any:
    return REDACTED if isinstance(value, str) and name.lower() in SECRET_FIELDS else value


def _clean(raw: msgspec.Raw | bytes) -> bytes:
    """Compact JSON without secrets; left as written, apart from white space, when there is nothing to hide."""
    compact = msgspec.json.format(bytes(raw), indent=-1)
    lower = compact.lower()
    if not any(b'"%s"' % name.encode() in lower for name in SECRET_FIELDS):
        return compact
    return _encoder.encode(_walk(msgspec.json.decode(compact), _secret))


def _walk(value: Any, change: Callable[[str, Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: change(name, _walk(v, change)) for name, v in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_walk(v, change) for v in cast("list[Any]", value)]
    return value
