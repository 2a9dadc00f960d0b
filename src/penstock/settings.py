"""Settings: ``penstock.toml`` and the environment become one frozen tree; each capability declares its own slice.

A value is looked up in this order, the later winning: the default, ``penstock.toml``, the environment. The variable of ``[server] port`` is
``PENSTOCK_SERVER__PORT``: the path in upper case, parts joined by two underscores. Values from the environment are read as TOML when
they parse as such (``8080``, ``true``, ``["a"]``), otherwise as text. Unknown names are refused with the nearest known one.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

import msgspec
from msgspec import Meta, Struct

from penstock.kernel.errors import SettingsError

S = TypeVar("S", bound=Struct)

ENV_PREFIX = "PENSTOCK_"
ENV_CONFIG = "PENSTOCK_CONFIG"
DEFAULT_FILE = "penstock.toml"
NAMED = "NAMED"
"""The class attribute of a slice whose sub-tables are things by name (``[tasks.NAME]``): the field that holds them."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where Penstock listens and keeps its data."""

    host: Annotated[str, Meta(description="Address to listen on. Anything but loopback needs a key that you made yourself.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port; 0 takes a free one and prints it.")] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=64, description="Processes that serve the port together, on as many cores (docs/scaling.md); 1 is one process.")
    ] = 1
    data_dir: Annotated[str, Meta(description="Folder for embedded stores; created when missing.")] = "penstock-data"
    drain_seconds: Annotated[
        float, Meta(ge=0, description="How long calls in flight may still take after SIGTERM before they are cancelled.")
    ] = 30.0
    head_seconds: Annotated[
        float, Meta(gt=0, description="Longest time a client may take to send a request's head; then its connection is closed.")
    ] = 10.0
    backlog: Annotated[int, Meta(ge=16, description="Connections that may wait to be accepted.")] = 1024


class StorageSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which engine keeps what; a URL picks it."""

    records: Annotated[
        str,
        Meta(description="Records (keys, ledger, calls): empty for SQLite in the data folder, or a postgresql:// URL."),
    ] = ""
    blobs: Annotated[
        str,
        Meta(description="Blobs (the bytes of files): empty for the folder `blobs` in the data folder, or file:///path for another one."),
    ] = ""
    telemetry: Annotated[
        str,
        Meta(
            description="Spans: empty for the embedded store in the data folder, which needs the extra `telemetry`, or "
            "clickhouse://user@host:8123/database; `off` for none."
        ),
    ] = ""
    telemetry_engine: Annotated[
        str,
        Meta(
            pattern="^(apart|inside)$",
            description="Where the embedded store of spans has its engine: `apart`, in a process of its own that runs while there is work "
            "for it, or `inside` the process that serves calls.",
        ),
    ] = "apart"
    migrate_on_start: Annotated[
        bool | None,
        Meta(description="Bring the schema up to date at start. Default: yes for SQLite, no elsewhere (run `penstock migrate`)."),
    ] = None
    counters: Annotated[
        str,
        Meta(
            description="Counts behind limits: empty for memory that the workers of this machine share, or valkey://host:6379/0 "
            "(valkeys:// for TLS) for several machines."
        ),
    ] = ""
    counters_down: Annotated[
        Literal["share", "open", "closed"],
        Meta(
            description="Limits while that server does not answer: 'share' gives each process its part, 'open' limits nobody, "
            "'closed' refuses whoever has limits."
        ),
    ] = "share"


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Structured logs on standard error."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$", description="Least severe level that is written.")] = "info"
    format: Annotated[str, Meta(pattern="^(auto|json|text)$", description="json, text, or auto: text on a terminal, json otherwise.")] = (
        "auto"
    )


def reached(host: str, port: int) -> str:
    """The URL at which this machine reaches what listens on ``host``: every interface is what one listens on, not where one connects to."""
    host = local(host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def local(host: str) -> str:
    """The address at which this machine reaches what listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens, not where we do


BASE: Mapping[str, type[Struct]] = {"server": ServerSettings, "storage": StorageSettings, "log": LogSettings}


class Settings:
    """The frozen tree: `of(kind)` gives a slice by its type, ``sources`` tells where each explicit value came from."""

    def __init__(self, slices: Mapping[str, Struct], sources: Mapping[str, str], file: Path | None) -> None:
        self._by_type = {type(s): s for s in slices.values()}
        self.slices = dict(slices)
        self.sources = dict(sources)
        self.file = file

    def of(self, kind: type[S]) -> S:
        """The slice of this type; KeyError when no section declares it."""
        return cast("S", self._by_type[kind])


def load(
    kinds: Mapping[str, type[Struct]],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    others: bool = False,
) -> Settings:
    """Read and validate all sections of ``kinds`` (name to Struct type) on top of `BASE`.

    ``others`` passes over sections that are not among ``kinds``, for a capability's own commands, which know only their slice.
    ``file`` must exist when given; without it ``PENSTOCK_CONFIG``, then ``penstock.toml`` in the working folder, are tried. Raises
    `SettingsError` that names the setting, the source and the fault.
    """
    environ = os.environ if environ is None else environ
    sections = {**BASE, **kinds}
    path = _find_file(file, environ)
    tree: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if path is not None:
        tree = _read_toml(path)
        for name in _leaves(tree):
            sources[name] = str(path)
    for name, value, variable in _from_environment(environ, sections, others):
        _put(tree, name, value, variable)
        sources[".".join(name)] = variable
    unknown = [name for name in tree if name not in sections]
    if unknown and not others:
        raise SettingsError(_unknown(unknown[0], list(sections), "section", path), param=unknown[0])
    slices = {name: _convert(name, tree.get(name, {}), kind, sources) for name, kind in sections.items()}
    return Settings(slices, sources, path)


def describe(kind: type[Struct]) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and description of every field of a slice: what the settings page is generated from."""
    for field in msgspec.structs.fields(kind):
        annotation: Any = field.type
        description, shown = "", annotation
        if hasattr(annotation, "__metadata__"):
            shown = annotation.__origin__
            description = next((m.description for m in annotation.__metadata__ if isinstance(m, Meta) and m.description), None) or ""
        if field.default is not msgspec.NODEFAULT:
            default = _show(field.default)
        elif field.default_factory is not msgspec.NODEFAULT:
            default = _show(field.default_factory())
        else:
            default = "required"
        yield field.name, _type_name(shown), default, description


def _show(value: object) -> str:
    if isinstance(value, Struct):
        return "see below"
    return msgspec.json.encode(value).decode()


def _type_name(kind: object) -> str:
    if isinstance(kind, type) and not hasattr(kind, "__origin__"):
        return kind.__name__
    shown = str(kind).replace("typing.", "").replace("NoneType", "None")
    # Of a nested kind only its own name, and without the limits that its description says.
    return re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", re.sub(r"\bpenstock(\.\w+)*\.", "", shown))


def _find_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None or environ.get(ENV_CONFIG):
        path = file or Path(environ[ENV_CONFIG])
        if not path.is_file():
            raise SettingsError(f"settings file {path} does not exist; give another with --config or create it")
        return path
    path = Path(DEFAULT_FILE)
    return path if path.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{path}: not valid TOML: {fault}") from fault


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), f"{name}.")
        else:
            yield name


def _from_environment(
    environ: Mapping[str, str], sections: Mapping[str, type[Struct]], others: bool
) -> Iterator[tuple[list[str], object, str]]:
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or "__" not in variable:
            continue
        path = variable[len(ENV_PREFIX) :].lower().split("__")
        if path[0] not in sections:
            if others:
                continue
            raise SettingsError(_unknown(path[0], list(sections), "section", None, variable), param=path[0])
        text = environ[variable]
        try:
            value: object = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text
        yield path, value, variable


def _put(tree: dict[str, Any], path: list[str], value: object, variable: str) -> None:
    here = tree
    for part in path[:-1]:
        below = here.setdefault(part, {})
        if not isinstance(below, dict):
            raise SettingsError(f"{variable}: {part!r} holds a plain value in the settings file, not a section")
        here = cast("dict[str, Any]", below)
    here[path[-1]] = value


def _gathered(section: str, given: dict[str, Any], kind: type[Struct], named: str, sources: Mapping[str, str]) -> Struct:
    """A section whose sub-tables are things by name, beside its own settings: they come to the field ``named``, each checked by itself."""
    own = {field.name: field for field in msgspec.structs.fields(kind)}
    item = cast("type[Struct]", get_args(_plain(own.pop(named).type))[1])
    things: dict[str, object] = {name: value for name, value in given.items() if name not in own and isinstance(value, dict)}
    made = {name: _convert(f"{section}.{name}", value, item, sources) for name, value in things.items()}
    plain = _convert(section, {name: value for name, value in given.items() if name not in things}, kind, sources)
    return msgspec.structs.replace(plain, **{named: made})


def _plain(kind: Any) -> Any:
    return kind.__origin__ if hasattr(kind, "__metadata__") else kind


def _convert(name: str, tree: object, kind: type[Struct], sources: Mapping[str, str]) -> Struct:
    named: str | None = getattr(kind, NAMED, None)
    if named is not None and isinstance(tree, dict) and any(isinstance(value, dict) for value in cast("dict[str, Any]", tree).values()):
        return _gathered(name, cast("dict[str, Any]", tree), kind, named, sources)
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as fault:
        message, _, where = str(fault).partition(" - at `$")
        path = f"{name}{_found(where.rstrip('`'), tree, kind)}"
        if "unknown field" in message:
            field = message.rsplit("`", 2)[-2]
            known = [f.name for f in msgspec.structs.fields(kind)] if not where else []
            message = _unknown(field, known, "setting", None)
            path = f"{path}.{field}"
        source = sources.get(path) or next((s for n, s in sources.items() if n.startswith(path)), "defaults")
        raise SettingsError(f"{path}: {message} (from {source})", param=path) from fault


def _found(where: str, tree: Any, kind: type[Struct]) -> str:
    """The place of a fault with the names of things that stand in a table by name, which msgspec leaves out (``[...]``)."""
    before, among, after = where.partition("[...]")
    steps = before.strip(".").split(".")
    if not among or "[" in before:
        return where
    for thing in _at(tree, steps):
        try:
            msgspec.convert(_only(tree, steps, thing), kind)
        except msgspec.ValidationError as fault:
            if f"`${where}`" in str(fault):
                return f"{before}.{thing}{after}"
    return where


def _at(tree: Any, steps: list[str]) -> Any:
    for step in steps:
        tree = tree[step]
    return tree


def _only(tree: Any, steps: list[str], thing: str) -> Any:
    """The tree with this thing alone in the table."""
    return {**tree, steps[0]: _only(tree[steps[0]], steps[1:], thing)} if steps else {thing: tree[thing]}


def _unknown(name: str, known: list[str], what: str, path: Path | None, variable: str | None = None) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else (f"; known: {', '.join(sorted(known))}" if known else "")
    source = f"{variable}: " if variable else (f"{path}: " if path else "")
    return f"{source}unknown {what} {name!r}{hint}"
