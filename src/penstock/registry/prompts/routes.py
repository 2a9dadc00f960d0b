"""The JSON routes of prompts. ``{id}`` is a prompt's id or its name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.registry.prompts.difference import Difference, difference
from penstock.registry.prompts.model import Message, Name, Prompt, PromptVersion, Variable, VariableName
from penstock.registry.prompts.service import Content, Prompts

Note = Annotated[str, Meta(max_length=1000)]
Reference = Annotated[str, Meta(min_length=1, max_length=63, description="A number, a label, or `latest`.")]
Messages = Annotated[tuple[Message, ...], Meta(max_length=100)]
Variables = Annotated[dict[VariableName, Variable], Meta(max_length=100)]
Text = Annotated[str, Meta(max_length=100_000)]


class NewVersion(Struct, frozen=True, kw_only=True):
    """What a version says: ``messages``, or one ``text``; ``{{name}}`` stands for a declared variable."""

    messages: Messages = ()
    text: Text = ""
    variables: Variables = {}
    note: Note = ""


class NewPrompt(Struct, frozen=True, kw_only=True):
    """A prompt with its first version."""

    name: Name
    description: Annotated[str, Meta(max_length=2000)] = ""
    messages: Messages = ()
    text: Text = ""
    variables: Variables = {}
    note: Note = ""


class PromptQuery(Struct, frozen=True, kw_only=True):
    """A page of prompts."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class PromptPage(Struct, frozen=True, kw_only=True):
    """A page of prompts, newest first."""

    data: list[Prompt]
    next_cursor: str | None = None


class OnePrompt(Struct, frozen=True, kw_only=True):
    """A prompt with its versions, newest first."""

    prompt: Prompt
    versions: list[PromptVersion]


class Between(Struct, frozen=True, kw_only=True):
    """The two versions that are compared."""

    before: Reference
    after: Reference = "latest"


class Move(Struct, frozen=True, kw_only=True):
    """Where a label is to point, and why."""

    version: Reference
    reason: Note = ""


class Withdrawal(Struct, frozen=True, kw_only=True):
    """Why a version of a prompt is revoked."""

    reason: Note


class Filling(Struct, frozen=True, kw_only=True):
    """Values for a prompt's variables; without ``version``, the one labelled ``production``."""

    version: Reference | None = None
    variables: dict[str, Any] = {}


class Rendered(Struct, frozen=True, kw_only=True):
    """What a call would send with these variables, and of which version."""

    version: int
    digest: str
    messages: tuple[Message, ...]


def routes(prompts: Prompts) -> Sequence[Route]:
    """All routes of prompts."""

    async def listed(ask: Ask) -> PromptPage:
        query = ask.query(PromptQuery)
        data, cursor = await prompts.prompts(ask.principal, query.cursor, query.limit)
        return PromptPage(data=data, next_cursor=cursor)

    async def create(ask: Ask) -> OnePrompt:
        new = ask.body(NewPrompt)
        content = Content.of(new.messages, new.text, new.variables)
        prompt, version = await prompts.create(ask.principal, new.name, new.description, content, new.note)
        return OnePrompt(prompt=prompt, versions=[version])

    async def one(ask: Ask) -> OnePrompt:
        prompt, versions = await prompts.prompt(ask.principal, ask.path["id"])
        return OnePrompt(prompt=prompt, versions=versions)

    async def add(ask: Ask) -> PromptVersion:
        new = ask.body(NewVersion)
        return await prompts.add(ask.principal, ask.path["id"], Content.of(new.messages, new.text, new.variables), new.note)

    async def version(ask: Ask) -> PromptVersion:
        return (await prompts.version(ask.principal, ask.path["id"], ask.path["version"]))[1]

    async def diff(ask: Ask) -> Difference:
        query, id = ask.query(Between), ask.path["id"]
        _, before = await prompts.version(ask.principal, id, query.before)
        _, after = await prompts.version(ask.principal, id, query.after)
        return await asyncio.to_thread(difference, before, after)

    async def move(ask: Ask) -> Prompt:
        new = ask.body(Move)
        return await prompts.label(ask.principal, ask.path["id"], ask.path["label"], new.version, new.reason)

    async def unlabel(ask: Ask) -> Prompt:
        return await prompts.unlabel(ask.principal, ask.path["id"], ask.path["label"])

    async def revoke(ask: Ask) -> PromptVersion:
        return await prompts.revoke(ask.principal, ask.path["id"], ask.path["version"], ask.body(Withdrawal).reason)

    async def render(ask: Ask) -> Rendered:
        asked = ask.body(Filling)
        found, messages = await prompts.render(ask.principal, ask.path["id"], asked.version, asked.variables)
        return Rendered(version=found.number, digest=found.digest, messages=messages)

    read, admin, base, of = Scope.READ, Scope.ADMIN, "/v1/prompts", "/v1/prompts/{id}"
    return (
        Route(method="GET", path=base, handler=listed, summary="List prompts.", scope=read, query=PromptQuery, returns=PromptPage),
        Route(
            method="POST",
            path=base,
            handler=create,
            summary="Make a prompt with its first version.",
            scope=admin,
            body=NewPrompt,
            returns=OnePrompt,
            status=201,
        ),
        Route(method="GET", path=of, handler=one, summary="Show a prompt.", scope=read, returns=OnePrompt),
        Route(
            method="POST",
            path=f"{of}/versions",
            handler=add,
            summary="Add a version of a prompt; the newest again when it says the same.",
            scope=admin,
            body=NewVersion,
            returns=PromptVersion,
            status=201,
        ),
        Route(
            method="GET",
            path=f"{of}/versions/{{version}}",
            handler=version,
            summary="Show a version of a prompt, by number, label or `latest`.",
            scope=read,
            returns=PromptVersion,
        ),
        Route(
            method="POST",
            path=f"{of}/versions/{{version}}/revocation",
            handler=revoke,
            summary="Revoke a version of a prompt for good.",
            scope=admin,
            body=Withdrawal,
            returns=PromptVersion,
        ),
        Route(
            method="GET",
            path=f"{of}/diff",
            handler=diff,
            summary="Compare two versions of a prompt.",
            scope=read,
            query=Between,
            returns=Difference,
        ),
        Route(
            method="PUT",
            path=f"{of}/labels/{{label}}",
            handler=move,
            summary="Let a label point to a version.",
            scope=admin,
            body=Move,
            returns=Prompt,
        ),
        Route(method="DELETE", path=f"{of}/labels/{{label}}", handler=unlabel, summary="Take a label away.", scope=admin, returns=Prompt),
        Route(
            method="POST",
            path=f"{of}/render",
            handler=render,
            summary="Show what a call would send with these variables.",
            scope=read,
            body=Filling,
            returns=Rendered,
        ),
    )
