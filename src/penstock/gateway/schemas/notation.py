"""A short way to write JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them)."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def obj(what: str = "", /, *, need: tuple[str, ...] = (), **fields: Schema) -> Schema:
    """An object with at least these fields; those named in ``need`` must be there."""
    return _told({"type": "object", "properties": fields, **({"required": list(need)} if need else {})}, what)


def text(what: str = "", /, **more: Any) -> Schema:
    """A string."""
    return _told({"type": "string", **more}, what)


def word(*values: str, what: str = "") -> Schema:
    """One of these strings."""
    return _told({"type": "string", "enum": list(values)}, what)


def whole(what: str = "", /, **more: Any) -> Schema:
    """An integer."""
    return _told({"type": "integer", **more}, what)


def number(what: str = "", /, **more: Any) -> Schema:
    """A number."""
    return _told({"type": "number", **more}, what)


def flag(what: str = "", /) -> Schema:
    """A boolean."""
    return _told({"type": "boolean"}, what)


def many(of: Schema, what: str = "", /, **more: Any) -> Schema:
    """An array."""
    return _told({"type": "array", "items": of, **more}, what)


def free(what: str = "", /) -> Schema:
    """An object of any fields."""
    return _told({"type": "object"}, what)


def one(*of: Schema, what: str = "") -> Schema:
    """Any of these."""
    return _told({"anyOf": list(of)}, what)


def maybe(of: Schema) -> Schema:
    """The same, or null, which reads as if the field were absent."""
    if "type" not in of or "enum" in of or "const" in of:
        return {"anyOf": [of, {"type": "null"}]}
    return {**of, "type": [of["type"], "null"]}


def ref(name: str) -> Schema:
    """A schema of `Description.schemas`, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def tagged(kind: str, what: str = "", /, *, need: tuple[str, ...] = (), **fields: Schema) -> Schema:
    """An object whose ``type`` says ``kind``."""
    return obj(what, need=("type", *need), type={"const": kind}, **fields)


def untagged(*kinds: str, what: str) -> Schema:
    """An object whose ``type`` is none of these."""
    return obj(what, need=("type",), type={"type": "string", "not": {"enum": list(kinds)}})


def _told(schema: Schema, what: str) -> Schema:
    return {**schema, "description": what} if what else schema
