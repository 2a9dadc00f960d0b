"""Configuration, vocabularies, licences and readmes: plain text that names no code to load."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any, NoReturn, cast

from penstock.registry.scan.pickles import imports
from penstock.registry.scan.report import Refused
from penstock.registry.scan.templates import read_template

MAX_BYTES = 256 * 1024 * 1024
SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".toml", ".jinja", ".vocab", ".tsv", ".csv"})
NAMES = frozenset({"LICENSE", "LICENCE", "NOTICE", "README", "USE_POLICY", "COPYING", ".gitattributes", ".gitignore"})
_CODE = frozenset({"auto_map", "custom_pipelines", "_target_", "py/object", "py/reduce", "py/function", "__reduce__", "pickled"})
"""Keys by which a loader is told to import code (transformers, Hydra as in NeMo, jsonpickle)."""
_TRUE = frozenset({True, "true", "True", "1"})
_YAML_TAG = re.compile(r"(?:^|[\s\[{,:-])!(?:!|<|[A-Za-z])")
_YAML_KEY = re.compile(r"(?m)^[\s\-{]*[\"']?(auto_map|custom_pipelines|_target_|trust_remote_code|py/object|py/reduce)[\"']?\s*:")


def is_text_name(path: PurePosixPath) -> bool:
    """Whether a file of this name may lie beside weights."""
    return path.suffix.lower() in SUFFIXES or path.stem.upper() in NAMES or path.name in NAMES


def read_text(path: PurePosixPath, raw: bytes) -> None:
    """Raise `Refused` for what is no text, hides a pickle, or tells a loader to run code."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise Refused("text_not_text", "it is not UTF-8, so it is no text") from fault
    if "\0" in text:
        raise Refused("text_not_text", "it holds zero bytes, so it is no text")
    if imports(raw):
        raise Refused("text_pickle", "it is a pickle under the name of a text")
    match path.suffix.lower():
        case ".json":
            _walk(_json(text), 0)
        case ".jsonl":
            for line in text.splitlines():
                if line.strip():
                    _walk(_json(line), 0)
        case ".yaml" | ".yml" | ".toml":
            if _YAML_TAG.search(text) and path.suffix.lower() != ".toml":
                raise Refused("config_code", "it uses YAML tags, by which loaders make objects")
            found = _YAML_KEY.search(text)
            if found:
                raise Refused("config_code", f"{found[1]!r} tells a loader to run code that comes with the model")
        case ".jinja":
            read_template(text)
        case _:
            pass


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_constant)
    except (ValueError, RecursionError) as fault:
        raise Refused("config_malformed", f"it is no plain JSON: {str(fault)[:120]}") from fault


def _walk(value: object, depth: int) -> None:
    if depth > 100:
        raise Refused("config_malformed", "it is nested too deep")
    if isinstance(value, dict):
        for key, inner in cast("dict[str, object]", value).items():
            if key in _CODE and inner:
                raise Refused("config_code", f"{key!r} tells a loader to run code that comes with the model")
            if key == "trust_remote_code" and isinstance(inner, str | bool | int) and inner in _TRUE:
                raise Refused("config_code", "'trust_remote_code' tells a loader to run code that comes with the model")
            if key == "chat_template":
                _templates(inner)
            if key == "class_name" and inner in ("Lambda", "TFOpLambda", "SlicingOpLambda"):
                raise Refused("config_code", f"a layer {inner!r} holds Python code")
            _walk(inner, depth + 1)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            _walk(inner, depth + 1)


def _templates(value: object) -> None:
    if isinstance(value, str):
        read_template(value)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            _templates(cast("dict[str, object]", one).get("template") if isinstance(one, dict) else one)
    elif isinstance(value, dict):
        for one in cast("dict[str, object]", value).values():
            _templates(one)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
