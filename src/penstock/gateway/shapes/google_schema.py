"""Google's Schema, a subset of OpenAPI 3.0's, as JSON Schema (https://ai.google.dev/api/caching#Schema).

The other way is not needed: Gemini takes JSON Schema itself, as ``parametersJsonSchema`` and ``responseJsonSchema``.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import Raw

from penstock.gateway.shapes.google_json import camel

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
# Says in which order a model shall write the properties; JSON Schema keeps the order of `properties` itself.
_ORDER = "propertyOrdering"


def to_json_schema(raw: Raw) -> Raw:
    """The same schema in JSON Schema's words. What JSON Schema calls the same is left as it is."""
    return Raw(msgspec.json.encode(_schema(msgspec.json.decode(raw))))


def _schema(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    out: dict[str, Any] = {}
    nullable = False
    for written, value in cast("dict[str, Any]", given).items():
        name = camel(written)
        if name == "type" and isinstance(value, str):
            if value != "TYPE_UNSPECIFIED":
                out[name] = value.lower()
        elif name == "nullable":
            nullable = value is True
        elif name in _COUNTS and isinstance(value, str) and value.isdecimal():
            out[name] = int(value)  # 64-bit numbers are strings in proto3's JSON
        elif name == "properties" and isinstance(value, dict):
            out[name] = {key: _schema(one) for key, one in cast("dict[str, Any]", value).items()}
        elif name in _LISTS and isinstance(value, list):
            out[name] = [_schema(one) for one in cast("list[Any]", value)]
        elif name in ("items", "additionalProperties"):
            out[name] = _schema(value)
        elif name != _ORDER:
            out[name] = value
    if nullable and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
        if isinstance(out.get("enum"), list):
            out["enum"] = [*out["enum"], None]
    return out
