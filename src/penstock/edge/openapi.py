"""The OpenAPI document, made from the same descriptions that the routes are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.kernel.web import Endpoint, Nothing, Route

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}
_JSON = "application/json"
_FAILURES = {
    "400": "The request is malformed.",
    "401": "No key, or one that is not valid.",
    "403": "The key may not do this.",
    "404": "There is no such thing.",
    "405": "The method is not allowed here.",
    "409": "The change clashes with what is stored.",
    "413": "The body is too large.",
    "429": "A limit or budget is reached.",
    "503": "Penstock cannot serve this now.",
}


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
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _raw(endpoint)
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
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }


def _operation(route: Route, by_kind: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _operation_id(route.method, route.path),
        "responses": _responses(
            str(204 if route.returns is Nothing else route.status), by_kind.get(id(route.returns)), _FAILURES, media=(route.media,)
        ),
    }
    parameters = [*_path_parameters(route.path), *_query_parameters(route.query)]
    if parameters:
        made["parameters"] = parameters
    if route.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": by_kind[id(route.body)]}}}
    return made


def _raw(endpoint: Endpoint) -> dict[str, Any]:
    failures = {**_FAILURES, "408": "The body did not arrive in time.", "502": "The provider failed.", "504": "The deadline passed."}
    made: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": _operation_id(endpoint.method, endpoint.path),
        "responses": _responses("200", {}, failures, errors={}, media=endpoint.answers),
    }
    if endpoint.request is not None:
        made["requestBody"] = {"required": True, "content": {endpoint.takes: {"schema": endpoint.request}}}
    return made


def _responses(
    status: str,
    schema: dict[str, Any] | None,
    failures: Mapping[str, str],
    errors: dict[str, Any] | None = None,
    media: Sequence[str] = (_JSON,),
) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done."}
    if schema is not None:
        raw = schema if errors is None else {"type": "object"}
        good["content"] = {one: {"schema": raw if one == _JSON or errors is None else {"type": "string"}} for one in media}
    # The gateway's endpoints answer errors in the called API's own shape.
    shape = errors if errors is not None else {"$ref": "#/components/schemas/Error"}
    bad = {s: {"description": d, "content": {"application/json": {"schema": shape}}} for s, d in failures.items()}
    return {status: good, **bad}


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
