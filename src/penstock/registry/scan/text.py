"""Configuration, vocabularies, licences and readmes: plain text that names no code to load.

What a loader imports because a configuration says so is refused: transformers' ``auto_map``, Hydra's ``_target_`` (CVE-2025-23304), Keras'
modules and classes (CVE-2025-1550, CVE-2025-8747, CVE-2025-9906), the libraries that PEFT, sentence-transformers and diffusers are told.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import PurePosixPath
from typing import Any, NoReturn, cast

from penstock.registry.scan.pickles import imports
from penstock.registry.scan.report import Refused
from penstock.registry.scan.templates import read_template

MAX_BYTES = 256 * 1024 * 1024
SUFFIXES = frozenset({".json", ".jsonl", ".txt", ".md", ".yaml", ".yml", ".toml", ".jinja", ".vocab", ".tsv", ".csv"})
NAMES = frozenset({"MLmodel", "LICENSE", "LICENCE", "NOTICE", "README", "USE_POLICY", "COPYING", ".gitattributes", ".gitignore"})
_CODE = frozenset({"auto_map", "custom_pipelines", "_target_", "py/object", "py/reduce", "py/function", "__reduce__", "pickled"})
"""Keys by which a loader is told to import code (transformers, Hydra as in NeMo, jsonpickle)."""
_TRUE = frozenset({True, "true", "True", "1"})
_YAML_TAG = re.compile(r"(?:^|[\s\[{,:-])!(?:!|<|[A-Za-z])")
CODE_WORDS = re.compile(r"(?<![\w/])(auto_map|custom_pipelines|_target_|trust_remote_code|py/object|py/reduce|py/function)(?![\w/])")
"""Keys that make a loader run code, wherever they stand: for texts in which keys are written in many ways."""
_ESCAPED = re.compile(r"\\(?:x[2-7][0-9a-fA-F]|u00[2-7][0-9a-fA-F]|U000000[2-7][0-9a-fA-F])")
_LOADER = re.compile(r"loader_module")
_LOADER_OF_MLFLOW = re.compile(r"(?m)^\s*loader_module: mlflow\.[\w.]+[ \t]*$")
_MLFLOW_CODE = re.compile(r"""\b(code|code_paths?|model_code_path)["']?\s*:(?!\s*null\b)""")
_COMPLEX_KEY = re.compile(r"(?m)^[\s-]*\?\s")
_LAMBDAS = frozenset({"Lambda", "TFOpLambda", "SlicingOpLambda", "__lambda__", "function"})
_KERAS = re.compile(r"(?:tf_)?keras(?:_hub|_nlp|_cv)?(?:\.(?!(?:src\.)?(?:utils|saving|config|export|backend|tree)\b)\w+)*")
_PEFT = frozenset({"transformers", "diffusers", "timm", "peft", "sentence_transformers"})
_NO_PARTS = sys.stdlib_module_names | {"dill", "joblib", "cloudpickle", "pip", "setuptools", "torch", "numpy", "keras", "tensorflow"}


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
            found = _json(text)
            _walk(found, 0)
            _parts(path.name, found)
        case ".jsonl":
            for line in text.splitlines():
                if line.strip():
                    _walk(_json(line), 0)
        case _ if path.name == "MLmodel":
            _yaml(text)
            _mlmodel(text)
        case ".yaml" | ".yml":
            _yaml(text)
        case ".toml":
            try:
                _walk(tomllib.loads(text), 0)
            except (tomllib.TOMLDecodeError, RecursionError) as fault:
                raise Refused("config_malformed", f"it is no TOML: {str(fault)[:120]}") from fault
        case ".jinja":
            read_template(text)
        case _:
            pass


def _yaml(text: str) -> None:
    if _YAML_TAG.search(text):
        raise Refused("config_code", "it uses YAML tags, by which loaders make objects")
    named = CODE_WORDS.search(text)
    if named:
        raise Refused("config_code", f"{named[1]!r} tells a loader to run code that comes with the model")
    if _ESCAPED.search(text):
        raise Refused("config_code", "it hides plain letters behind escapes")


def _mlmodel(text: str) -> None:
    """Raise `Refused` unless MLflow loads the model with a module of its own and no code beside it."""
    loaders = len(_LOADER.findall(text))
    if loaders != len(_LOADER_OF_MLFLOW.findall(text)):
        raise Refused("config_code", "'loader_module' tells MLflow to import a module that is not its own")
    named = _MLFLOW_CODE.search(text)
    if named is not None or _COMPLEX_KEY.search(text):
        raise Refused("config_code", f"{named[1] if named is not None else 'a key'!r} tells MLflow to run code that comes with the model")


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
            if key == "class_name":
                _keras(inner, cast("dict[str, object]", value).get("module"))
            if key == "parent_library" and isinstance(inner, str) and inner.partition(".")[0] not in _PEFT:
                raise Refused("config_code", f"'parent_library' tells a loader to import {inner[:80]!r}")
            _walk(inner, depth + 1)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            _walk(inner, depth + 1)


def _keras(name: object, module: object) -> None:
    if isinstance(name, str) and name in _LAMBDAS:
        raise Refused("config_code", f"a layer {name!r} holds Python code, or names some")
    if isinstance(module, str) and _KERAS.fullmatch(module) is None:
        raise Refused("config_code", f"'module' tells Keras to import {module[:80]!r}")


def _parts(name: str, found: object) -> None:
    """Raise `Refused` for libraries that whole models are put together from, as sentence-transformers and diffusers list them."""
    if name == "modules.json" and isinstance(found, list):
        for one in cast("list[object]", found):
            kind = cast("dict[str, object]", one).get("type") if isinstance(one, dict) else None
            if isinstance(kind, str) and not kind.startswith("sentence_transformers."):
                raise Refused("config_code", f"'type' tells a loader to import {kind[:80]!r}")
    if name == "model_index.json" and isinstance(found, dict):
        for key, value in cast("dict[str, object]", found).items():
            first = cast("list[object]", value)[0] if isinstance(value, list) and value else None
            if isinstance(first, str) and first.partition(".")[0] in _NO_PARTS:
                raise Refused("config_code", f"{key!r} tells a loader to import {first[:80]!r}")


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
