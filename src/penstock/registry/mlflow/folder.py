"""MLflow's registry as files: ``models/NAME/meta.yaml``, ``version-N/meta.yaml``, and a file for each tag and alias.

It is what an MLflow without a database keeps below ``mlruns``, and what its own ``mlflow migrate-filestore`` takes into a database. What is
written here is JSON, which every reader of YAML takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from penstock.kernel.errors import RequestError, Unavailable
from penstock.registry.mlflow.shape import (
    Alias,
    MLmodel,
    ModelVersion,
    RegisteredModel,
    Tag,
    WireModel,
    WireVersion,
    read_model,
    read_version,
)

T = TypeVar("T")
_META = "meta.yaml"
LARGEST = 16 * 1024 * 1024


def read_folder(folder: Path) -> Iterator[RegisteredModel]:
    """All registered models below ``folder``, which is the one that holds ``models``, or ``models`` itself.

    Raises `RequestError` naming the file that is not what it should be.
    """
    root = folder / "models" if (folder / "models").is_dir() else folder
    found = sorted(place for place in root.iterdir() if (place / _META).is_file()) if root.is_dir() else []
    if not found:
        raise RequestError(f"there are no registered models (models/NAME/{_META}) in {folder}", param="from")
    for place in found:
        versions = [_version(one) for one in place.glob("version-*") if (one / _META).is_file()]
        told = _meta(place / _META)
        told.pop("aliases", None)
        wire = _as(place / _META, {**told, "name": told.get("name") or place.name}, WireModel)
        aliases = [Alias(alias, text.strip()) for alias, text in _files(place / "aliases").items() if text.strip().isdecimal()]
        tags = [Tag(key, value) for key, value in _files(place / "tags").items()]
        yield read_model(msgspec.structs.replace(wire, tags=tags, aliases=aliases), versions)


def about_weights(source: Path) -> dict[str, str]:
    """What the ``MLmodel`` file in a folder of weights says of them: flavors, size, MLflow's version; nothing where there is none.

    Raises `RequestError` for one that is no such file.
    """
    file = source / "MLmodel"
    if not file.is_file():
        return {}
    told = _as(file, _meta(file), MLmodel)
    said = {
        "mlflow.flavors": ", ".join(sorted(told.flavors)),
        "mlflow.model_size_bytes": told.model_size_bytes,
        "mlflow.by": told.mlflow_version,
    }
    return {name: str(value) for name, value in said.items() if value}


def write_folder(folder: Path, models: Iterable[RegisteredModel]) -> int:
    """Write models below ``folder / "models"``, which must not be there yet; how many there were."""
    root = folder / "models"
    try:
        root.mkdir(parents=True, exist_ok=False)
    except FileExistsError:
        raise RequestError(f"{root} is there already; name a folder without it", param="to") from None
    count = 0
    for model in models:
        count += 1
        place = root / _safe(model.name)
        created = min((version.created for version in model.versions), default=0)
        changed = max((version.created for version in model.versions), default=0)
        meta = {"name": model.name, "description": model.description, "creation_timestamp": created, "last_updated_timestamp": changed}
        _write(place, meta, model.tags)
        for alias, number in model.aliases.items():
            (place / "aliases").mkdir(exist_ok=True)
            (place / "aliases" / _safe(alias)).write_text(str(number), "utf-8")
        for version in model.versions:
            _write(place / f"version-{version.number}", _told(model.name, version), version.tags)
    return count


def _told(name: str, version: ModelVersion) -> dict[str, Any]:
    return {
        "name": name,
        "version": version.number,
        "description": version.description,
        "current_stage": version.stage or "None",
        "source": version.source,
        "storage_location": version.source,
        "run_id": version.run or None,
        "run_link": None,
        "status": version.status or "READY",
        "status_message": None,
        "user_id": None,
        "creation_timestamp": version.created,
        "last_updated_timestamp": version.created,
    }


def _write(place: Path, meta: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    place.mkdir()
    (place / _META).write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if tags:
        (place / "tags").mkdir()
    for key, value in tags.items():
        (place / "tags" / _safe(key)).write_text(value, "utf-8")


def _safe(name: str) -> str:
    if not name or name in (".", "..") or len(name) > 200 or any(one in name for one in "/\\%\0"):
        raise RequestError(f"{name[:100]!r} cannot be the name of a file, as MLflow's folder wants it", param="to")
    return name


def _version(place: Path) -> ModelVersion:
    told = _meta(place / _META)
    told["tags"] = [{"key": key, "value": value} for key, value in _files(place / "tags").items()]
    if told.get("source") is None:
        told["source"] = told.get("storage_location")
    return read_version(_as(place / _META, told, WireVersion))


def _files(folder: Path) -> dict[str, str]:
    return {one.name: _text(one) for one in sorted(folder.iterdir()) if one.is_file()} if folder.is_dir() else {}


def _text(file: Path) -> str:
    if file.stat().st_size > LARGEST:
        raise RequestError(f"{file} is longer than {LARGEST} bytes", param="from")
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as fault:
        raise RequestError(f"{file} is not UTF-8", param="from") from fault


def _meta(file: Path) -> dict[str, Any]:
    text = _text(file)
    try:
        told = json.loads(text)  # as it is written here
    except (ValueError, RecursionError):
        told = _yaml(file, text)
    if not isinstance(told, dict):
        raise RequestError(f"{file} holds no names with values", param="from")
    return cast("dict[str, Any]", told)


def _yaml(file: Path, text: str) -> object:
    try:
        # Of the extra 'mlflow', since nothing else here reads YAML.
        import yaml
    except ImportError as fault:
        raise Unavailable(f"{file} is YAML; reading it needs the extra 'mlflow': pip install 'penstock[mlflow]'") from fault
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as fault:
        raise RequestError(f"{file} is not YAML: {str(fault)[:200]}", param="from") from fault


def _as(file: Path, told: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as fault:
        raise RequestError(f"{file} is not MLflow's: {fault}", param="from") from fault
