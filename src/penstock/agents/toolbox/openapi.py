"""An API's own description as tools: one for each operation, with the arguments, the effect and the sign-in that it declares."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, urljoin

import msgspec
from msgspec import Struct

from penstock.agents.toolbox.document import Document, read_document
from penstock.agents.toolbox.web import Answer, Auth, Web
from penstock.agents.tools import Effect, Tool, ToolContext
from penstock.kernel.errors import SettingsError
from penstock.kernel.wording import as_text

METHODS = ("get", "put", "post", "delete", "head", "patch")
EFFECTS: Mapping[str, Effect] = {"get": "read", "head": "read", "put": "write", "patch": "write"}
"""By method, where nothing else is said; what is not named here cannot be undone."""
KEY_HEADER = "idempotency-key"
BODIES = ("application/json", "application/x-www-form-urlencoded")
LONGEST_TOLD = 1000
LOG = logging.getLogger("penstock.agents")


class Place(Struct, frozen=True):
    """An argument: its ``name`` for the API, and where in a request it goes."""

    name: str
    where: str
    explode: bool
    deep: bool


class Operation(Struct, frozen=True, kw_only=True):
    """One operation, as it is called. ``arguments`` are by the names that the model uses; ``body`` is its media type, empty for none."""

    method: str
    path: str
    arguments: dict[str, Place]
    body: str
    auth: tuple[Auth, ...]


def openapi(
    spec: str | Mapping[str, Any],
    *,
    auth: Mapping[str, str] | None = None,
    server: str = "",
    operations: Sequence[str] = (),
    effects: Mapping[str, Effect] | None = None,
    honours_key: Sequence[str] = (),
    prefix: str = "",
    private: bool = False,
    seconds: float = 30.0,
    most_bytes: int = 65_536,
) -> list[Tool[..., Any]]:
    """Tools of an OpenAPI 3 document, which is given as such, as a file, or as an ``https://`` address.

    ``auth`` gives each security scheme of the document its secret, as ``env:NAME`` or ``file:/path``. ``operations`` picks some by their
    id; ``effects`` corrects what a method says (GET reads, PUT and PATCH write, POST and DELETE cannot be undone). An operation honours
    keys that declares a header ``Idempotency-Key``, and those of ``honours_key``; PUT may be repeated by its nature.

    Raises `SettingsError`.
    """
    document = read_document(spec)
    base = _base(document, server)
    web = Web(seconds=seconds, most_bytes=most_bytes, private=private, hosts=[_host(base)])
    found: dict[str, Tool[..., Any]] = {}
    known: set[str] = set()
    for path, given in _dict(document.tree.get("paths")).items():
        item = document.followed(given)
        for method in METHODS:
            if method not in item:
                continue
            operation = _dict(item[method])
            id = str(operation.get("operationId") or f"{method}_{path}")
            known.add(id)
            if operations and id not in operations:
                continue
            name = _name(prefix + id)
            try:
                made = _tool(document, web, base, path, method, item, operation, auth or {}, name, (effects or {}).get(id), honours_key, id)
            except _Unusable as fault:
                if operations:
                    raise SettingsError(f"openapi: {id}: {fault}", param="operations") from fault
                LOG.warning("an operation of an OpenAPI document is no tool", extra={"operation": id, "why": str(fault)})
                continue
            if name in found:
                raise SettingsError(f"openapi: two operations are named {name}; pick some with operations=", param="operations")
            found[name] = made
    lost = sorted({*operations, *(effects or {}), *honours_key} - known)
    if lost:
        raise SettingsError(
            f"openapi: there is no operation {', '.join(lost)}; there are {', '.join(sorted(known))[:2000]}", param="operations"
        )
    return list(found.values())


class _Unusable(Exception):
    """An operation that cannot be called from here."""


def _tool(
    document: Document,
    web: Web,
    base: str,
    path: str,
    method: str,
    item: dict[str, Any],
    declared: dict[str, Any],
    auth: Mapping[str, str],
    name: str,
    effect: Effect | None,
    honoured: Sequence[str],
    id: str,
) -> Tool[..., Any]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    places: dict[str, Place] = {}
    keyed = False
    for one in _parameters(document, item, declared):
        if one["in"] == "header" and str(one["name"]).lower() == KEY_HEADER:
            keyed = True
            continue
        if one["in"] == "cookie" or (one["in"] == "header" and str(one["name"]).lower() in ("accept", "content-type", "authorization")):
            continue
        argument = _argument(str(one["name"]), str(one["in"]), places)
        packed = _dict(next(iter(_dict(one.get("content")).values()), one))
        shape = document.schema(packed.get("schema", {}))
        properties[argument] = _told(shape, one.get("description"))
        places[argument] = Place(str(one["name"]), str(one["in"]), bool(one.get("explode", True)), one.get("style") == "deepObject")
        if one.get("required") or one["in"] == "path":
            required.append(argument)
    media = ""
    if "requestBody" in declared:
        body = document.followed(declared["requestBody"])
        content = _dict(body.get("content"))
        media = next((kind for kind in content if kind.partition(";")[0].lower() in BODIES or kind.endswith("+json")), "")
        if not media:
            raise _Unusable(f"its body is {' or '.join(content) or 'nothing'}, and only JSON and plain forms are sent")
        argument = _argument("body", "body", places)
        properties[argument] = _told(document.schema(_dict(content[media]).get("schema", {})), body.get("description"))
        places[argument] = Place("body", "body", False, False)
        if body.get("required"):
            required.append(argument)
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    if used := document.used(properties):
        schema["$defs"] = used
    operation = Operation(method=method.upper(), path=path, arguments=places, body=media, auth=_auths(document, declared, auth, id))
    does = effect or EFFECTS.get(method, "irreversible")
    told = str(declared.get("description") or declared.get("summary") or f"{method.upper()} {path}")

    async def call(arguments: dict[str, Any], context: ToolContext) -> Answer:
        url, headers, body = request(base, operation, arguments)
        key = "" if does == "read" else context.key
        return await web.send(operation.method, url, auth=operation.auth, headers=headers, body=body, key=key, follow=does == "read")

    return Tool.of_schema(
        call,
        schema,
        name=name,
        description=" ".join(told.split())[:LONGEST_TOLD],
        effect=does,
        honours_key=keyed or id in honoured or method == "put",
        seconds=web.seconds + 10.0,
        most_bytes=2 * web.most_bytes + 4096,
        told_by="the document of the API",
    )


def request(base: str, operation: Operation, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str], bytes | None]:
    """The address, the headers and the body of a call. Raises ValueError for a value that would lead to another path."""
    path = operation.path
    headers: dict[str, str] = {}
    query: list[tuple[str, str]] = []
    body: bytes | None = None
    for argument, value in arguments.items():
        place = operation.arguments[argument]
        match place.where:
            case "path":
                text = _joined(value)
                if text in ("", ".", ".."):
                    raise ValueError(f"{argument}: {text!r} cannot stand in a path")
                path = path.replace("{" + place.name + "}", quote(text, safe=""))
            case "query":
                query += _pairs(place, value)
            case "header":
                headers[place.name.lower()] = _joined(value).replace("\r", " ").replace("\n", " ")
            case _ if operation.body == "application/x-www-form-urlencoded":
                whole = [("", value)] if not isinstance(value, dict) else cast("dict[str, Any]", value).items()
                pairs = [pair for name, one in whole for pair in _pairs(Place(name, "query", True, False), one)]
                body = _form(pairs).encode()
            case _:
                body = msgspec.json.encode(value)
    if body is not None:
        headers["content-type"] = operation.body
    return base.rstrip("/") + path + ("?" + _form(query) if query else ""), headers, body


def _form(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)


def _pairs(place: Place, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        parts = [as_text(one) for one in cast("list[Any]", value)]
        return [(place.name, one) for one in parts] if place.explode else [(place.name, ",".join(parts))]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return [(f"{place.name}[{key}]" if place.deep else key, as_text(one)) for key, one in items]
    return [(place.name, as_text(value))]


def _joined(value: Any) -> str:
    return ",".join(as_text(one) for one in cast("list[Any]", value)) if isinstance(value, list) else as_text(value)


def _parameters(document: Document, item: dict[str, Any], declared: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the path and of the operation, which count more."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for given in [*_list(item.get("parameters")), *_list(declared.get("parameters"))]:
        one = document.followed(given)
        if not {"name", "in"} <= one.keys():
            raise _Unusable("a parameter has no name or place")
        found[str(one["name"]), str(one["in"])] = one
    return list(found.values())


def _argument(name: str, where: str, taken: Mapping[str, Place]) -> str:
    plain = re.sub(r"[^a-zA-Z0-9_.-]", "_", name)[:64] or where
    return plain if plain not in taken else f"{where}_{plain}"[:64]


def _told(schema: dict[str, Any], description: Any) -> dict[str, Any]:
    return {**schema, "description": str(description)[:LONGEST_TOLD]} if description and "description" not in schema else schema


def _auths(document: Document, declared: dict[str, Any], given: Mapping[str, str], id: str) -> tuple[Auth, ...]:
    """How the operation signs in: the first way for which there are all secrets. Raises `SettingsError` where there is none."""
    ways = [_dict(one) for one in _list(declared.get("security", document.tree.get("security", [])))]
    if not ways or {} in ways:
        ways.append({})
    for way in ways:
        if all(name in given for name in way):
            return tuple(_auth(document, name, given[name]) for name in way)
    wanted = " or ".join("+".join(way) for way in ways)
    raise SettingsError(f"openapi: {id} needs the security scheme {wanted}: give its secret as auth={{...: 'env:NAME'}}", param="auth")


def _auth(document: Document, name: str, secret: str) -> Auth:
    scheme = document.followed(_dict(_dict(document.tree.get("components")).get("securitySchemes")).get(name, {}))
    match scheme.get("type"), str(scheme.get("scheme", "")).lower(), scheme.get("in"):
        case ("http", "basic", _):
            return Auth(secret=secret, kind="basic")
        case ("http", "bearer", _) | ("oauth2" | "openIdConnect", _, _):
            return Auth(secret=secret)
        case ("apiKey", _, "header"):
            return Auth(secret=secret, kind="header", name=str(scheme.get("name")))
        case ("apiKey", _, "query"):
            return Auth(secret=secret, kind="query", name=str(scheme.get("name")))
        case _:
            raise SettingsError(f"openapi: the security scheme {name} is none that can be used here", param="auth")


def _base(document: Document, server: str) -> str:
    if not server:
        first = _dict(next(iter(_list(document.tree.get("servers"))), None))
        server = str(first.get("url", "/"))
        for name, variable in _dict(first.get("variables")).items():
            server = server.replace("{" + name + "}", str(_dict(variable).get("default", "")))
        server = urljoin(document.address, server) if document.address else server
    if not server.startswith(("https://", "http://")):
        raise SettingsError("openapi: the document does not say where its server is; give server='https://...'", param="server")
    return server


def _host(base: str) -> str:
    from yarl import URL  # as Web reads it

    return URL(base).host or ""


def _name(id: str) -> str:
    plain = re.sub(r"[^a-zA-Z0-9_-]+", "_", id).strip("_")[:64]
    return plain if plain[:1].isalpha() else f"op_{plain}"[:64]


def _dict(given: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def _list(given: Any) -> list[Any]:
    return cast("list[Any]", given) if isinstance(given, list) else []
