"""Registered models and their versions as MLflow tells them (https://mlflow.org/docs/latest/api_reference/rest-api.html).

Prompts are registered models, too: with a tag that says so, and their text in tags of their versions.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

IS_PROMPT = "mlflow.prompt.is_prompt"
PROMPT_TEXT = "mlflow.prompt.text"
PROMPT_TYPE = "_mlflow_prompt_type"
STAGES = ("Staging", "Production", "Archived")
"""MLflow's older words for where a version stands; ``None`` is none of them."""


class Tag(Struct, frozen=True):
    """One tag on the wire."""

    key: str
    value: str = ""


class Alias(Struct, frozen=True):
    """One alias of a registered model on the wire."""

    alias: str
    version: str | int


class WireVersion(Struct, frozen=True, kw_only=True):
    """A model version on the wire, or in its ``meta.yaml``."""

    version: str | int
    description: str | None = None
    current_stage: str | None = None
    source: str | None = None
    run_id: str | None = None
    status: str | None = None
    creation_timestamp: int | None = None
    tags: list[Tag] = []


class WireModel(Struct, frozen=True, kw_only=True):
    """A registered model on the wire."""

    name: str
    description: str | None = None
    tags: list[Tag] = []
    aliases: list[Alias] = []


class MLmodel(Struct, frozen=True, kw_only=True):
    """The file of this name beside weights that MLflow has saved."""

    flavors: dict[str, object] = {}
    model_size_bytes: int | None = None
    mlflow_version: str | None = None


class ModelVersion(Struct, frozen=True, kw_only=True):
    """One version of a registered model. ``created`` is Unix milliseconds, 0 where nobody said."""

    number: int
    description: str = ""
    stage: str = ""
    source: str = ""
    run: str = ""
    status: str = ""
    created: int = 0
    tags: dict[str, str] = {}


class RegisteredModel(Struct, frozen=True, kw_only=True):
    """A registered model or a prompt with its versions, oldest first. ``aliases`` are numbers of versions by name."""

    name: str
    description: str = ""
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    versions: tuple[ModelVersion, ...] = ()

    @property
    def is_prompt(self) -> bool:
        return self.tags.get(IS_PROMPT, "").lower() == "true"

    def aliases_of(self, number: int) -> list[str]:
        """The names that point to a version."""
        return sorted(alias for alias, at in self.aliases.items() if at == number)


def read_version(wire: WireVersion) -> ModelVersion:
    """What the wire says of a version; the stage ``None`` is none."""
    stage = wire.current_stage or ""
    return ModelVersion(
        number=int(wire.version),
        description=wire.description or "",
        stage=stage if stage in STAGES else "",
        source=wire.source or "",
        run=wire.run_id or "",
        status=wire.status or "",
        created=wire.creation_timestamp or 0,
        tags={tag.key: tag.value for tag in wire.tags},
    )


def read_model(wire: WireModel, versions: Iterable[ModelVersion]) -> RegisteredModel:
    """What the wire says of a registered model, with its versions put in order."""
    return RegisteredModel(
        name=wire.name,
        description=wire.description or "",
        tags={tag.key: tag.value for tag in wire.tags},
        aliases={alias.alias: int(alias.version) for alias in wire.aliases},
        versions=tuple(sorted(versions, key=lambda version: version.number)),
    )
