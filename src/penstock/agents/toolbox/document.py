"""An OpenAPI document: reading it, following its references, and its schemas as JSON Schema."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from penstock.kernel.errors import SettingsError

MOST = 16 * 2**20
DEEPEST = 60
SCHEMAS = "#/components/schemas/"
DEFS = "#/$defs/"
OF_30 = ("nullable", "example", "discriminator", "xml", "externalDocs")
"""Words of OpenAPI 3.0's schemas that JSON Schema does not know, or that only cost tokens."""


class Document:
    """A document, and the ``address`` that it came from."""

    def __init__(self, tree: dict[str, Any], address: str = "") -> None:
        self.tree = tree
        self.address = address
        self._defs: dict[str, Any] = {}

    def followed(self, node: Any) -> dict[str, Any]:
        """The node, or the one that it refers to within the document. Raises `SettingsError` for a reference that leads elsewhere."""
        for _ in range(DEEPEST):
            if not isinstance(node, dict):
                return {}
            node = cast("dict[str, Any]", node)
            ref = node.get("$ref")
            if not isinstance(ref, str):
                return node
            node = self._at(ref)
        raise SettingsError("openapi: its references lead in a circle", param="spec")

    def schema(self, node: Any) -> dict[str, Any]:
        """A schema as JSON Schema; the schemas that it names are kept for `used`."""
        found = self._schema(node, 0)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def used(self, properties: Any) -> dict[str, Any]:
        """Definitions that these schemas need, with those that they need in turn."""
        found: dict[str, Any] = {}
        waiting = _names(properties)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = self._defs[name]
                waiting |= _names(found[name])
        return {name: found[name] for name in sorted(found)}

    def _schema(self, node: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise SettingsError(f"openapi: a schema is nested deeper than {DEEPEST}", param="spec")
        if isinstance(node, list):
            return [self._schema(one, depth + 1) for one in cast("list[Any]", node)]
        if not isinstance(node, dict):
            return node
        node = cast("dict[str, Any]", node)
        ref = node.get("$ref")
        if isinstance(ref, str):
            if not ref.startswith(SCHEMAS):
                return self._schema(self._at(ref), depth + 1)
            name = ref.removeprefix(SCHEMAS).replace("~1", "_").replace("/", "_")
            if name not in self._defs:
                self._defs[name] = {}  # a schema may name itself
                self._defs[name] = self._schema(self._at(ref), depth + 1)
            return {"$ref": DEFS + name}
        found = {key: self._kept(key, value, depth) for key, value in node.items() if key not in OF_30 and not key.startswith("x-")}
        for limit, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
            if isinstance(found.get(exclusive), bool) and found.pop(exclusive) and limit in found:
                found[exclusive] = found.pop(limit)
        if node.get("nullable") is True:
            if isinstance(found.get("type"), str):
                found["type"] = [found["type"], "null"]
                if "enum" in found and None not in found["enum"]:
                    found["enum"] = [*found["enum"], None]
            else:
                return {"anyOf": [found, {"type": "null"}]}
        return found

    def _kept(self, key: str, value: Any, depth: int) -> Any:
        if key in ("enum", "const", "default", "required", "examples"):
            return value  # data, not schemas
        if key in ("properties", "patternProperties", "$defs") and isinstance(value, dict):
            return {name: self._schema(one, depth + 1) for name, one in cast("dict[str, Any]", value).items()}
        return self._schema(value, depth + 1)

    def _at(self, ref: str) -> Any:
        if not ref.startswith("#/"):
            raise SettingsError(f"openapi: {ref[:200]!r} leads out of the document; put it into one file first", param="spec")
        node: Any = self.tree
        for part in ref[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            node = cast("dict[str, Any]", node).get(name) if isinstance(node, dict) else None
        if node is None:
            raise SettingsError(f"openapi: there is nothing at {ref[:200]!r}", param="spec")
        return node


def read_document(spec: str | Mapping[str, Any]) -> Document:
    """Read a document of OpenAPI 3 from a mapping, a file or an ``http(s)://`` address. Raises `SettingsError`."""
    if isinstance(spec, str):
        address = spec if spec.startswith(("https://", "http://")) else ""
        tree = _parsed(_fetched(address) if address else _file(spec), spec)
    else:
        address, tree = "", msgspec.to_builtins(spec)
    if not isinstance(tree, dict):
        raise SettingsError("openapi: the document is no mapping", param="spec")
    tree = cast("dict[str, Any]", tree)
    version = str(tree.get("openapi", ""))
    if not version.startswith("3."):
        said = f"version {version}" if version else "Swagger 2" if "swagger" in tree else "something else"
        raise SettingsError(f"openapi: the document is {said}; OpenAPI 3.0 and 3.1 are read", param="spec")
    return Document(tree, address)


def _file(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return _small(file.read(MOST + 1))
    except OSError as fault:
        raise SettingsError(f"openapi: {path}: {fault.strerror or type(fault).__name__}", param="spec") from fault


def _fetched(address: str) -> bytes:
    # Named by whoever declares the agent, and read while that is being done, where no loop runs.
    try:
        with urllib.request.urlopen(address, timeout=20) as reply:  # noqa: S310 - http(s) was looked for
            return _small(reply.read(MOST + 1))
    except (OSError, ValueError) as fault:
        code = f" {fault.code}" if isinstance(fault, urllib.error.HTTPError) else ""
        raise SettingsError(f"openapi: the document cannot be fetched: {type(fault).__name__}{code}", param="spec") from fault


def _small(data: bytes) -> bytes:
    if len(data) > MOST:
        raise SettingsError(f"openapi: the document has more than {MOST} bytes", param="spec")
    return data


def _parsed(data: bytes, spec: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        pass  # then it is YAML
    try:
        import yaml  # of the extra `mlflow` or `journal`; JSON needs none
    except ImportError:
        raise SettingsError("openapi: reading YAML needs PyYAML (pip install pyyaml); JSON needs nothing", param="spec") from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as fault:
        raise SettingsError(f"openapi: {spec[:200]} is neither JSON nor YAML", param="spec") from fault


def _names(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for one in cast("list[Any]", node) for name in _names(one)}
    if not isinstance(node, dict):
        return set()
    found: set[str] = set()
    for key, value in cast("dict[str, Any]", node).items():
        if key == "$ref" and isinstance(value, str) and value.startswith(DEFS):
            found.add(value.removeprefix(DEFS))
        else:
            found |= _names(value)
    return found
