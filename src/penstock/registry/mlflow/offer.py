"""What a Penstock has registered, in MLflow's words. States are told in tags: MLflow's stages promise something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.registry.mlflow.adopt import VARIABLES_TAG, Penstock, pages
from penstock.registry.mlflow.shape import IS_PROMPT, PROMPT_TEXT, PROMPT_TYPE, ModelVersion, RegisteredModel

_ALIAS = re.compile(r"(?!latest$|[vV][0-9]+$)[A-Za-z0-9_-]{1,255}")
_NOT_IN_NAMES = re.compile(r"[/\\:%\x00-\x1f]")
_SOURCE_OF_PROMPTS = "prompt-template"


def offered(penstock: Penstock) -> Iterator[RegisteredModel]:
    """All models and prompts that the key reaches. Revoked versions are among them, and say so."""
    taken: set[str] = set()
    for model in pages(penstock, "/v1/registry/models"):
        versions = penstock.ask("GET", f"/v1/registry/models/{model['id']}")["versions"]
        yield RegisteredModel(
            name=_name(model["name"], taken),
            description=model["description"],
            tags={"penstock.name": model["name"]},
            versions=tuple(_version(one) for one in reversed(versions)),
        )
    for prompt in pages(penstock, "/v1/prompts"):
        versions = penstock.ask("GET", f"/v1/prompts/{prompt['id']}")["versions"]
        dotted = sorted(label for label in prompt["labels"] if _ALIAS.fullmatch(label) is None)
        yield RegisteredModel(
            name=_name(prompt["name"], taken),
            description=prompt["description"],
            tags={IS_PROMPT: "true", **({"penstock.labels": msgspec.json.encode(dotted).decode()} if dotted else {})},
            aliases={label: number for label, number in prompt["labels"].items() if label not in dotted},
            versions=tuple(_prompt_version(one) for one in reversed(versions)),
        )


def _name(name: str, taken: set[str]) -> str:
    """A name that MLflow and its folder take, and no other has; the real one stands in a tag."""
    plain = _NOT_IN_NAMES.sub("-", name).strip(". ")[:180] or "model"
    number, found = 1, plain
    while found.lower() in taken:
        number += 1
        found = f"{plain}-{number}"
    taken.add(found.lower())
    return found


def _version(version: dict[str, Any]) -> ModelVersion:
    facts = version["facts"]
    tags = {
        "penstock.version": version["id"],
        "penstock.state": version["state"],
        "penstock.origin": facts["origin"],
        "penstock.digest": version["digest"],
        "penstock.targets": ", ".join(facts.get("targets", ())),
        "penstock.base_model": facts.get("base_model", ""),
        "licence": facts.get("licence", ""),
        "penstock.approvals": msgspec.json.encode(version["approvals"]).decode() if version["approvals"] else "",
        "penstock.evidence": msgspec.json.encode(version["evidence"]).decode() if version["evidence"] else "",
        **facts.get("notes", {}),
    }
    return ModelVersion(
        number=version["number"],
        source=facts.get("source") or facts.get("path") or version["id"],
        status="READY",
        created=int(version["created_at"] * 1000),
        tags={key: value for key, value in tags.items() if value},
    )


def _prompt_version(version: dict[str, Any]) -> ModelVersion:
    text = version["kind"] == "text"
    told = version["messages"][0]["content"] if text else msgspec.json.encode(version["messages"]).decode()
    return ModelVersion(
        number=version["number"],
        description=version["note"],
        source=_SOURCE_OF_PROMPTS,
        status="READY",
        created=int(version["created_at"] * 1000),
        tags={
            IS_PROMPT: "true",
            PROMPT_TYPE: "text" if text else "chat",
            PROMPT_TEXT: told,
            VARIABLES_TAG: msgspec.json.encode(version["variables"]).decode(),
            "penstock.state": version["state"],
            "penstock.digest": version["digest"],
        },
    )
