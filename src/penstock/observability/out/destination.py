"""Destinations as the settings and the environment say them, with their secrets looked up."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from penstock.kernel.errors import SettingsError
from penstock.kernel.principal import allows
from penstock.observability.settings import ObservabilitySettings, OtelDestination, OtelSettings
from penstock.storage.telemetry.span import Span

TRACES = "/v1/traces"
DEFAULT = "default"
_SHARES = 1 << 56


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. ``url`` is where exports go: with its path for HTTP, ``host:port`` for gRPC, by TLS where ``secure``.

    ``headers`` hold secrets.
    """

    name: str
    url: str
    secure: bool
    headers: dict[str, str]
    terms: OtelDestination

    def wants(self, span: Span) -> bool:
        """Whether the span is among those that are sent there."""
        terms = self.terms
        if terms.organisations and span.organisation not in terms.organisations:
            return False
        if terms.tasks and not (span.task and allows(tuple(terms.tasks), span.task)):
            return False
        # By the trace id's random part, as OpenTelemetry's consistent samplers do: every machine chooses the same traces.
        # https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
        return terms.sample >= 1 or int(span.trace_id[-14:], 16) >= (1 - terms.sample) * _SHARES


def destinations(settings: ObservabilitySettings, environ: Mapping[str, str]) -> list[Destination]:
    """All of them, the default one first. Raises `SettingsError` for one that cannot work, which names the setting and no secret."""
    found: list[Destination] = []
    own = _default(settings.otel, environ)
    if own is not None:
        exact = not settings.otel.endpoint and own.protocol != "grpc"
        found.append(_destination(DEFAULT, "observability.otel", own, settings.payloads, environ, exact=exact))
    for name, terms in settings.otel.destinations.items():
        where = f"observability.otel.destinations.{name}"
        if name == DEFAULT and own is not None:
            raise SettingsError(f"{where}: [observability.otel] has an endpoint and is {DEFAULT!r} already; name it otherwise", param=where)
        if not terms.endpoint:
            raise SettingsError(f"{where}.endpoint: a destination needs one", param=f"{where}.endpoint")
        found.append(_destination(name, where, terms, settings.payloads, environ))
    return found


def _default(settings: OtelSettings, environ: Mapping[str, str]) -> OtelDestination | None:
    """[observability.otel] as a destination, with what OpenTelemetry's own variables say where the settings are silent."""
    get = environ.get
    changes: dict[str, object] = {}
    if not settings.endpoint:
        traces, base = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""), get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        if not traces and not base:
            return None
        protocol = get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or get("OTEL_EXPORTER_OTLP_PROTOCOL") or settings.protocol
        if protocol not in ("http/protobuf", "grpc"):
            raise SettingsError(f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol[:40]!r} is not spoken here; there are http/protobuf and grpc")
        # Of the specific variable the path is taken as it is: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
        changes |= {"endpoint": traces or f"{base.rstrip('/')}{TRACES if protocol != 'grpc' else ''}", "protocol": protocol}
    if not (settings.headers or settings.headers_env or settings.bearer_env or settings.basic_env):
        told = get("OTEL_EXPORTER_OTLP_TRACES_HEADERS") or get("OTEL_EXPORTER_OTLP_HEADERS") or ""
        pairs = (pair.partition("=") for pair in told.split(",") if "=" in pair)
        changes["headers"] = {unquote(name.strip()).lower(): unquote(value.strip()) for name, _, value in pairs}
    if not settings.ca:
        changes["ca"] = get("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE") or get("OTEL_EXPORTER_OTLP_CERTIFICATE") or ""
    return msgspec.structs.replace(settings, **changes)


def _destination(
    name: str, where: str, terms: OtelDestination, kept: str, environ: Mapping[str, str], *, exact: bool = False
) -> Destination:
    parts = urlsplit(terms.endpoint if "://" in terms.endpoint else f"http://{terms.endpoint}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"{where}.endpoint: give http:// or https:// with a host, and credentials in headers", param=f"{where}.endpoint"
        )
    secure = parts.scheme == "https"
    if terms.protocol == "grpc":
        url = parts.netloc if _port(parts.netloc) else f"{parts.netloc}:{443 if secure else 4317}"
    else:
        base = parts.geturl() if exact else parts.geturl().rstrip("/")
        url = base if exact or base.endswith(TRACES) else f"{base}{TRACES}"
    if terms.payloads != "none" and kept == "none":
        raise SettingsError(
            f'{where}.payloads: nothing of prompts and replies is kept (observability.payloads = "none"), so they cannot be sent',
            param=f"{where}.payloads",
        )
    if terms.ca and not Path(terms.ca).is_file():
        raise SettingsError(f"{where}.ca: there is no file {terms.ca}", param=f"{where}.ca")
    return Destination(name=name, url=url, secure=secure, headers=_headers(where, terms, environ), terms=terms)


def _port(netloc: str) -> bool:
    return netloc.rpartition("]")[2].rpartition(":")[2].isdecimal() and ":" in netloc.rpartition("]")[2]


def _headers(where: str, terms: OtelDestination, environ: Mapping[str, str]) -> dict[str, str]:
    def secret(variable: str, setting: str) -> str:
        value = environ.get(variable, "").strip()
        if not value:
            raise SettingsError(f"{where}.{setting}: the environment variable {variable} is not set", param=f"{where}.{setting}")
        return value

    headers = {name.lower(): value for name, value in terms.headers.items()}
    headers |= {name.lower(): secret(variable, "headers_env") for name, variable in terms.headers_env.items()}
    if terms.bearer_env:
        headers["authorization"] = f"Bearer {secret(terms.bearer_env, 'bearer_env')}"
    if terms.basic_env:
        if len(terms.basic_env) != 2:
            raise SettingsError(f"{where}.basic_env: name two variables, for user and password", param=f"{where}.basic_env")
        user, password = (secret(variable, "basic_env") for variable in terms.basic_env)
        headers["authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    for name, value in headers.items():
        if not name.isascii() or not value.isprintable() or any(c in name for c in "\r\n: "):
            raise SettingsError(f"{where}.headers: the header {name[:40]!r} cannot be sent", param=f"{where}.headers")
    return headers
