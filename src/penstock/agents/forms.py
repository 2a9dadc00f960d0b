"""A form made from a JSON Schema, and the value that is read from it: what starts an agent in the console.

Objects of simple properties have a field each. Whatever is not simple, the whole of it or a property, is written as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from penstock.kernel.errors import MalformedRequest, RequestError
from penstock.kernel.wording import as_text

WHOLE = "input"
"""Name of the field where there is one for all."""
PREFIX = "input."
MOST_NOTE = 4096
"""Characters in which somebody says why."""
SIMPLE = {"string": "text", "integer": "number", "number": "number", "boolean": "checkbox"}

Control = Literal["area", "text", "number", "checkbox", "select", "json"]


class Field(Struct, frozen=True, kw_only=True):
    """One field. ``value`` is what stands in it at first; ``whole`` says that numbers in it have no fraction."""

    name: str
    label: str
    control: Control
    help: str = ""
    required: bool = False
    value: str = ""
    options: tuple[str, ...] = ()
    whole: bool = False


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """The fields for a value of this schema."""
    top = _resolved(schema, schema)
    if top.get("type") == "string" and "enum" not in top:
        return [Field(name=WHOLE, label="Input", control="area", required=True, help=str(top.get("description", "")))]
    properties = top.get("properties")
    if top.get("type") != "object" or not isinstance(properties, dict) or not properties:
        return [Field(name=WHOLE, label="Input", control="json", required=True, help="JSON, as the schema says.")]
    required = set(top.get("required", ()))
    return [_field(name, _resolved(one, schema), name in required) for name, one in cast("dict[str, Any]", properties).items()]


def read(schema: Mapping[str, Any], form: Mapping[str, str]) -> Any:
    """The value that stands in the fields. A field that is empty and need not be is left out. Raises `RequestError`, which names the
    field; whether the value is of the schema is for whoever takes it."""
    wanted = fields(schema)
    if len(wanted) == 1 and wanted[0].name == WHOLE:
        return _value(wanted[0], form.get(WHOLE, ""))
    found: dict[str, Any] = {}
    for one in wanted:
        given = form.get(one.name, "")
        if one.control == "checkbox":
            found[one.label] = given == "on"
        elif given or one.required:
            found[one.label] = _value(one, given)
    return found


def note(given: object) -> str:
    """What somebody wrote into the field that asks why; empty where there is none. Raises `MalformedRequest`."""
    text = str(given or "").strip()
    if len(text) > MOST_NOTE:
        raise MalformedRequest(f"note: at most {MOST_NOTE} characters", param="note")
    return text


def _field(name: str, schema: Mapping[str, Any], required: bool) -> Field:
    default = schema.get("default")
    kind = str(schema.get("type", ""))
    options = tuple(str(one) for one in schema.get("enum", ()) if isinstance(one, str)) if kind in ("", "string") else ()
    control = cast("Control", "select" if options else SIMPLE.get(kind, "json"))
    if control == "text" and int(schema.get("maxLength", 1000)) >= 1000:
        control = "area"
    return Field(
        name=PREFIX + name,
        label=name,
        control=control,
        help=str(schema.get("description", "")),
        required=required,
        value="" if default is None else as_text(default),
        options=options if required else ("", *options),
        whole=kind == "integer",
    )


def _value(field: Field, given: str) -> Any:
    match field.control:
        case "number":
            try:
                return int(given) if field.whole else float(given)
            except ValueError as fault:
                raise RequestError(
                    f"{field.label}: {given[:100]!r} is no {'whole ' if field.whole else ''}number", param=field.name
                ) from fault
        case "json":
            try:
                return msgspec.json.decode(given)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                raise RequestError(f"{field.label}: this is not JSON: {fault}", param=field.name) from fault
        case _:
            return given.replace("\r\n", "\n")


def _resolved(schema: Mapping[str, Any], top: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema that a reference means; one that leads nowhere, or in a circle, is anything."""
    found: Any = schema
    for _ in range(8):
        name = found.get("$ref")
        if name is None:
            return found
        found = top
        for part in str(name).removeprefix("#/").split("/"):
            found = cast("Any", found).get(part, {}) if isinstance(found, Mapping) else {}
    return {}
