"""The OpenAPI document, made from the same descriptions that the routes are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.kernel.web import Description, Endpoint, Nothing, Route

_ERROR = {
    "type": "object",
    "description": "A failure of Penstock's own API.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "param"],
            "properties": {
                "code": {"type": "string", "description": "Stable; docs/errors.md lists all."},
                "message": {"type": "string", "description": "What is wrong, where, and what to do."},
                "param": {"type": ["string", "null"], "description": "The parameter or field that is wrong."},
            },
        }
    },
}
_KEYS: dict[str, dict[str, Any]] = {
    "key": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "As Anthropic's SDK sends it."},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key", "description": "As Azure's SDK sends it."},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key", "description": "As Google's SDK sends it."},
}
_RETRY = {"retry-after": {"description": "Seconds after which trying again makes sense.", "schema": {"type": "integer", "minimum": 1}}}
_LATER = ("429", "503")
"""Statuses that may say when to try again."""


def document(routes: Sequence[Route], endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """OpenAPI 3.1 for all routes and endpoints; keys are sorted so that the document only changes when the API does."""
    kinds = [k for r in routes for k in (r.returns, r.body) if k is not None and k is not Nothing]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    by_kind = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        # Starlette's word for a parameter that may hold slashes; OpenAPI has none.
        path = route.path.replace(":path}", "}")
        paths.setdefault(path, {})[route.method.lower()] = _operation(msgspec.structs.replace(route, path=path), by_kind)
    for endpoint in endpoints:
        if endpoint.method == "OPTIONS":  # a browser's own question, which no client asks
            continue
        told = endpoint.describe()
        methods = paths.setdefault(endpoint.path, {})
        method = endpoint.method.lower()
        if endpoint.when is None:
            methods[method] = _raw(endpoint, told)
        elif method in methods:
            _add(methods[method], _raw(endpoint, told))
        for name, schema in told.schemas.items():
            if components.setdefault(name, dict(schema)) != schema:
                raise RuntimeError(f"two schemas are named {name}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Ask for a task, get the cheapest approved model that is good enough, with proof.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": _KEYS,
        },
    }


def _operation(route: Route, by_kind: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    status = str(204 if route.returns is Nothing else route.status)
    good: dict[str, Any] = {"description": "Done."}
    schema = by_kind.get(id(route.returns))
    if schema is not None:
        files = {media: {"schema": {"type": "string", "format": "binary"}} for media in route.files}
        good["content"] = {route.media: {"schema": schema}} | files
    made: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route.method, route.path),
        "responses": {status: good, **_bad(_failures(route), {"$ref": "#/components/schemas/Error"})},
        "security": _security(route.scope.value),
    }
    parameters = [*_path_parameters(route.path), *_query_parameters(route.query)]
    if parameters:
        made["parameters"] = parameters
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_kind[id(route.body)]}}}
    return made


def _failures(route: Route) -> dict[str, str]:
    found = {
        "400": "The request is malformed.",
        "401": "No key, or one that is not valid.",
        "403": "The key may not do this.",
        "500": "A fault of Penstock's; the operator finds it in the log.",
        "503": "The database does not answer.",
    }
    if route.body is not None or "{" in route.path:
        found["404"] = "There is no such thing, or not for this key."
    if route.method != "GET":
        found["409"] = "The change clashes with what is stored."
    if route.body is not None:
        found["413"] = "The body is larger than 1 MiB."
    return dict(sorted({**found, **route.failures}.items()))


def _raw(endpoint: Endpoint, told: Description) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": told.reply}} if told.reply is not None else {}
    if told.event is not None:
        # OpenAPI 3.2 has `itemSchema` for this; in 3.1 it is an extension of ours. No type: some readers hold each event against it.
        stream = {"description": f"Server-sent events with JSON as their data. {told.ending}"}
        content["text/event-stream"] = {"schema": stream, "x-itemSchema": told.event}
    content |= {media: {"schema": {"type": "string", "format": "binary"}} for media in told.others}
    headers = {name: {"schema": schema} for name, schema in told.reply_headers.items()}
    parameters = list(_path_parameters(endpoint.path))
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in told.query.items()]
    parameters += [{"name": name, "in": "header", "schema": schema} for name, schema in told.headers.items()]
    made: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint.method, endpoint.path),
        "parameters": parameters,
        "responses": {told.good: {"description": "Done.", "headers": headers, "content": content}, **_bad(told.failures, told.error)},
        "security": _security("call"),
    }
    if told.request is not None:
        made["requestBody"] = {"required": True, "content": {told.takes: {"schema": told.request}}}
    return made


def _add(operation: dict[str, Any], other: dict[str, Any]) -> None:
    """Say that some requests to a route are answered as ``other`` is."""
    operation["parameters"] = [*operation.get("parameters", ()), *(p for p in other["parameters"] if p["in"] == "query")]
    for status, answer in other["responses"].items():
        known = operation["responses"].setdefault(status, answer)
        for media, content in answer["content"].items() if known is not answer else ():
            schema = known["content"][media]["schema"]
            known["content"][media] = {"schema": {"anyOf": [schema, content["schema"]]}}


def _bad(failures: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        status: {
            "description": what,
            **({"headers": _RETRY} if status in _LATER else {}),
            "content": {"application/json": {"schema": schema}},
        }
        for status, what in failures.items()
    }


def _security(scope: str) -> list[dict[str, list[str]]]:
    # In OpenAPI 3.1 the list beside a key names what its holder must be allowed to do.
    return [{name: [scope]} for name in _KEYS]


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"{(\w+)}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameters(kind: type[Any]) -> Iterable[dict[str, Any]]:
    if kind is Nothing:
        return
    (_,), components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    schema = components[kind.__name__]
    required = schema.get("required", [])
    for name, described in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": {k: v for k, v in described.items() if k != "description"},
            "description": described.get("description", ""),
        }


def _operation_id(method: str, path: str) -> str:
    return method.lower() + re.sub(r"\W+", "_", path).rstrip("_")
