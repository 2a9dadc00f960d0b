"""What MLflow has registered, taken into a Penstock: as drafts, whatever stage or alias it had there.

Nothing that MLflow says approves anything here: a version that stood in ``Production`` arrives as a draft whose notes say so, and its
weights are scanned, signed and approved like all others. An alias ``production`` of a prompt arrives as ``mlflow-production``, for
somebody to move.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import msgspec
from msgspec import Struct

from penstock.kernel.errors import PenstockError, RequestError
from penstock.registry.mlflow.folder import about_weights
from penstock.registry.mlflow.shape import PROMPT_TEXT, PROMPT_TYPE, ModelVersion, RegisteredModel
from penstock.registry.prompts.model import PRODUCTION, Message

VARIABLES_TAG = "penstock.prompt.variables"
_VARIABLE = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}")
_LICENCES = ("licence", "license")
_NOTE = 500
_NOTES = 100


class Penstock(Protocol):
    """A running Penstock, asked over its API. Raises what the answer says is wrong, as `PenstockError`."""

    def ask(self, method: str, path: str, body: object = None) -> Any: ...


class Told(Struct, frozen=True):
    """What became of one thing: ``adopted``, ``there already``, or ``not adopted`` and why."""

    what: str
    became: str
    why: str = ""


class Adoption:
    """Takes registered models into a Penstock. A second time, what is there already stays as it is.

    ``origin`` says where they come from. With ``weights``, which must be what ``registry.weights`` names there, the files of versions whose
    source is a folder of this machine are copied into it.
    """

    def __init__(self, penstock: Penstock, origin: str, weights: Path | None = None) -> None:
        self._penstock = penstock
        self._origin = origin
        self._weights = weights

    def adopt(self, models: Iterable[RegisteredModel]) -> Iterator[Told]:
        """What became of each version and alias, as it happens."""
        held = {one["name"]: one["id"] for one in pages(self._penstock, "/v1/registry/models")}
        for model in models:
            try:
                yield from self._prompt(model) if model.is_prompt else self._model(model, held)
            except PenstockError as fault:
                yield Told(model.name, "not adopted", fault.message)

    # ---- models

    def _model(self, model: RegisteredModel, held: dict[str, str]) -> Iterator[Told]:
        id = held.get(model.name)
        if id is None:
            made = self._penstock.ask("POST", "/v1/registry/models", {"name": model.name, "description": model.description[:2000]})
            id = held[model.name] = made["id"]
        known = {
            one["facts"]["notes"]["mlflow.version"]
            for one in self._penstock.ask("GET", f"/v1/registry/models/{id}")["versions"]
            if one["facts"].get("notes", {}).get("mlflow.origin") == self._origin
        }
        for version in model.versions:
            what = f"{model.name} {version.number}"
            if str(version.number) in known:
                yield Told(what, "there already")
                continue
            try:
                copied = self._copy(model, version)
                self._penstock.ask("POST", f"/v1/registry/models/{id}/versions", self._facts(model, version, copied))
            except PenstockError as fault:
                yield Told(what, "not adopted", fault.message)
            else:
                yield Told(
                    what, "adopted", f"a draft; its weights are at registry.weights/{copied}" if copied else _weights_missing(version)
                )

    def _facts(self, model: RegisteredModel, version: ModelVersion, path: str) -> dict[str, Any]:
        said = {
            "mlflow.origin": self._origin,
            "mlflow.version": str(version.number),
            "mlflow.stage": version.stage,
            "mlflow.aliases": ", ".join(model.aliases_of(version.number)),
            "mlflow.run_id": version.run,
            "mlflow.status": version.status,
            "mlflow.description": version.description,
            **(about_weights(source) if (source := local(version.source)) is not None else {}),
            **{f"tag.{key}": value for key, value in {**model.tags, **version.tags}.items()},
        }
        notes = {key[:200]: value[:_NOTE] for key, value in said.items() if value}
        tags = {key.lower(): value for key, value in {**model.tags, **version.tags}.items()}
        return {
            "origin": "trained" if version.run else "file",
            "source": (version.source or f"mlflow {model.name} {version.number}")[:500],
            "path": path,
            "licence": next((tags[name] for name in _LICENCES if name in tags), "")[:200],
            "notes": dict(list(notes.items())[:_NOTES]),
        }

    def _copy(self, model: RegisteredModel, version: ModelVersion) -> str:
        """The path below ``registry.weights`` to which the version's files were copied; empty where they are not of this machine."""
        source = local(version.source)
        if self._weights is None or source is None:
            return ""
        mark = sha256(f"{self._origin}\0{model.name}".encode()).hexdigest()[:8]  # two names may look the same as a folder
        path = f"mlflow/{re.sub(r'[^A-Za-z0-9_-]', '_', model.name)[:100]}-{mark}/{version.number}"
        place = self._weights / path
        try:
            if not place.exists():
                draft = place.with_name(place.name + ".part")
                shutil.rmtree(draft, ignore_errors=True)
                shutil.copytree(source, draft, symlinks=True)  # the scan refuses links; following them could copy anything
                draft.rename(place)
        except (OSError, shutil.Error) as fault:
            raise RequestError(f"its files cannot be copied from {source}: {str(fault)[:200]}") from fault
        return path

    # ---- prompts

    def _prompt(self, model: RegisteredModel) -> Iterator[Told]:
        there = {one["name"]: one["id"] for one in pages(self._penstock, "/v1/prompts")}
        path = f"/v1/prompts/{quote(there[model.name])}" if model.name in there else ""
        held: list[dict[str, Any]] = self._penstock.ask("GET", path)["versions"] if path else []
        numbers: dict[int, int] = {}
        for version in model.versions:
            what = f"prompt {model.name} {version.number}"
            try:
                content = content_of(version)
                same = next((one["number"] for one in held if said(one) == said(content)), None)
                if same is not None:
                    numbers[version.number] = same
                    yield Told(what, "there already")
                    continue
                body = {**content, "note": f"from {self._origin}, version {version.number}: {version.description}"[:1000]}
                if path:
                    made = self._penstock.ask("POST", f"{path}/versions", body)
                else:
                    new = {**body, "name": model.name, "description": model.description[:2000]}
                    answer = self._penstock.ask("POST", "/v1/prompts", new)
                    path, made = f"/v1/prompts/{answer['prompt']['id']}", answer["versions"][0]
                held.append(made)
                numbers[version.number] = made["number"]
                yield Told(what, "adopted", f"as version {made['number']}")
            except PenstockError as fault:
                yield Told(what, "not adopted", fault.message)
        for alias, number in model.aliases.items():
            if number in numbers:
                yield self._label(model, path, alias, numbers[number])

    def _label(self, model: RegisteredModel, path: str, alias: str, number: int) -> Told:
        label = f"mlflow-{PRODUCTION}" if alias.lower() == PRODUCTION else alias.lower()
        what = f"prompt {model.name} alias {alias}"
        try:
            labels = self._penstock.ask("GET", path)["prompt"]["labels"]
            if labels.get(label) == number:
                return Told(what, "there already")
            body = {"version": str(number), "reason": f"alias {alias} in {self._origin}"[:1000]}
            self._penstock.ask("PUT", f"{path}/labels/{quote(label, safe='')}", body)
        except PenstockError as fault:
            return Told(what, "not adopted", fault.message)
        return Told(
            what, "adopted", f"as the label {label}" + (", which somebody may move to production" if label != alias.lower() else "")
        )


def pages(penstock: Penstock, path: str) -> Iterator[dict[str, Any]]:
    """Everything that a list of the API holds, page by page."""
    cursor = ""
    while True:
        page = penstock.ask("GET", f"{path}?limit=1000{cursor}")
        yield from page["data"]
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def content_of(version: ModelVersion) -> dict[str, Any]:
    """What a version of MLflow's prompt says, in our words; variables are strings, or what an export of ours said they are.

    Raises `RequestError` for what is no prompt.
    """
    text = version.tags.get(PROMPT_TEXT)
    if not text:
        raise RequestError(f"it has no tag {PROMPT_TEXT}")
    try:
        if version.tags.get(PROMPT_TYPE) == "chat":
            messages = msgspec.json.decode(text, type=list[Message])
            content: dict[str, Any] = {"messages": msgspec.to_builtins(messages)}
        else:
            content = {"text": text}
        declared = version.tags.get(VARIABLES_TAG)
        content["variables"] = msgspec.json.decode(declared, type=dict[str, Any]) if declared else {n: {} for n in _VARIABLE.findall(text)}
    except msgspec.MsgspecError as fault:
        raise RequestError(f"it cannot be read: {fault}") from fault
    return content


def said(version: dict[str, Any]) -> tuple[Any, Any]:
    """What two versions of a prompt have in common when they say the same."""
    messages = [(one["role"], one["content"]) for one in version.get("messages") or [{"role": "user", "content": version.get("text")}]]
    full = {name: {"type": "string", **variable} for name, variable in version["variables"].items()}
    return messages, full


def local(source: str) -> Path | None:
    """The folder of this machine that a source names; None where it is elsewhere or not there."""
    parts = urlsplit(source)
    path = Path(unquote(parts.path)) if parts.scheme == "file" and parts.netloc in ("", "localhost") else Path(source)
    return path if (parts.scheme in ("", "file")) and path.is_absolute() and path.is_dir() else None


def _weights_missing(version: ModelVersion) -> str:
    return f"a draft; put its weights ({version.source[:200] or 'no source is named'}) below registry.weights and name them as its path"
