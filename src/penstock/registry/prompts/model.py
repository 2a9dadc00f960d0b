"""What a prompt is: its versions, which never change, and the labels that move between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from penstock.kernel.errors import NotFound

Role = Literal["system", "user", "assistant"]
Type = Literal["string", "integer", "number", "boolean", "list", "json"]
Kind = Literal["messages", "text"]
State = Literal["live", "revoked"]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^(?!pmpt_|prm_)[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Letters, digits, dots, hyphens, underscores.",
    ),
]
LABEL = re.compile(r"(?!latest$)[a-z][a-z0-9._-]{0,62}")
VariableName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]

PRODUCTION = "production"
"""The label that a call means which names no version; the one whose moves may need a second person."""
LATEST = "latest"
"""Always the newest version; nobody moves it."""


class Message(Struct, frozen=True):
    """One message of a template, or a rendered one."""

    role: Role
    content: Annotated[str, Meta(max_length=100_000)]


class Variable(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What may stand for ``{{name}}``. One with a ``default`` is never missing; one that is not ``required`` is empty when missing.

    ``enum`` lists the values that may be given; ``max_length`` counts characters of strings and of JSON, and items of lists.
    """

    type: Type = "string"
    required: bool = True
    default: Any = None
    enum: Annotated[tuple[Any, ...], Meta(max_length=1000)] = ()
    max_length: Annotated[int, Meta(ge=1)] | None = None
    description: Annotated[str, Meta(max_length=500)] = ""


class Prompt(Struct, frozen=True, kw_only=True):
    """A name under which versions are kept. ``labels`` are numbers of versions by label, ``newest`` is the number of the last one."""

    id: str
    organisation: str
    name: str
    description: str
    labels: dict[str, int]
    newest: int
    created_at: float
    created_by: str


class PromptVersion(Struct, frozen=True, kw_only=True):
    """One version; nothing of it changes but that it may be revoked.

    A ``text`` prompt has one user message. ``digest`` is SHA-256 over kind, messages and variables; ``makers`` are the key and the person
    who made it.
    """

    id: str
    prompt: str
    organisation: str
    number: int
    state: State
    kind: Kind
    messages: tuple[Message, ...]
    variables: dict[VariableName, Variable]
    digest: str
    note: str
    makers: tuple[str, ...]
    created_at: float


class Known(Struct, frozen=True):
    """What is held in memory of a version: enough to find it and to know whether it may be used."""

    id: str
    name: str
    number: int
    state: State


def resolved(name: str, labels: Mapping[str, int], newest: int, version: str | None) -> int:
    """The number that ``version`` means: a number, a label, ``latest``; ``production`` where None.

    Raises `NotFound`, saying what there is.
    """
    wanted = PRODUCTION if version is None else version
    if wanted == LATEST:
        return newest
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10:
        if 1 <= int(wanted) <= newest:
            return int(wanted)
    elif wanted in labels:
        return labels[wanted]
    there = ", ".join((f"1 to {newest}" if newest > 1 else "1", LATEST, *sorted(labels)))
    what = f"no version {wanted[:63]!r}" if version is not None else f"no version labelled {PRODUCTION!r}; name one or move the label"
    raise NotFound(f"the prompt {name!r} has {what}; there are {there}", code="prompt_not_found", param="prompt.version")
