"""What may be done with prompts, by whom, and what the trail says of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.registry import store as registry_store
from penstock.registry.model import Entry
from penstock.registry.prompts import store
from penstock.registry.prompts.model import LABEL, PRODUCTION, Kind, Message, Prompt, PromptVersion, Variable, resolved
from penstock.registry.prompts.template import Template
from penstock.registry.service import entry, people
from penstock.storage.records import Records

T = TypeVar("T")


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a version says: messages, or one text; with the variables that stand in it."""

    kind: Kind
    messages: tuple[Message, ...]
    variables: dict[str, Variable]

    @classmethod
    def of(cls, messages: tuple[Message, ...], text: str, variables: Mapping[str, Variable]) -> Content:
        """From what somebody wrote. Raises `RequestError` when it is both or neither, or no template."""
        if bool(messages) == bool(text):
            raise RequestError("give messages or text, one of them", param="messages")
        content = cls(kind="text" if text else "messages", messages=messages or (Message("user", text),), variables=dict(variables))
        Template(content.messages, content.variables)
        return content

    @property
    def digest(self) -> str:
        return sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Prompts:
    """Prompts and their versions. Every change is one transaction with its line in the registry's audit trail.

    ``two_people`` says that the label ``production`` is moved by somebody else than who made the version. ``changed`` is awaited after each
    change, so that this process acts on it before the caller is answered.
    """

    def __init__(
        self, records: Records, changed: Callable[[], Awaitable[None]], *, two_people: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._changed = changed
        self._two_people = two_people
        self._clock = clock

    # ---- reading

    async def prompts(self, actor: Principal, after: str | None, limit: int) -> tuple[list[Prompt], str | None]:
        """A page of prompts, newest first, and the cursor of the next."""
        found = await self._records.read(lambda c: store.prompts(c, actor.reach, after, limit + 1))
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    async def prompt(self, actor: Principal, id: str) -> tuple[Prompt, list[PromptVersion]]:
        """A prompt, by id or by name, and its versions, newest first. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[Prompt, list[PromptVersion]]:
            prompt = _there(connection, actor, id)
            return prompt, store.versions(connection, prompt.id)

        return await self._records.read(work)

    async def version(self, actor: Principal, id: str, version: str | None) -> tuple[Prompt, PromptVersion]:
        """One version, by number, label or ``latest``. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[Prompt, PromptVersion]:
            prompt = _there(connection, actor, id)
            return prompt, _numbered(connection, prompt, version)

        return await self._records.read(work)

    async def trail(self, actor: Principal, id: str) -> list[Entry]:
        """The lines about one prompt, oldest first."""
        return await self._records.read(lambda c: registry_store.trail(c, actor.reach, None, 0, 1000, model=_there(c, actor, id).id))

    async def render(
        self, actor: Principal, id: str, version: str | None, values: Mapping[str, Any]
    ) -> tuple[PromptVersion, tuple[Message, ...]]:
        """What a call would send with these variables. Raises `RequestError` as the call would."""
        _, found = await self.version(actor, id, version)
        return found, Template(found.messages, found.variables).render(values)

    # ---- making and changing

    async def create(self, actor: Principal, name: str, description: str, content: Content, note: str) -> tuple[Prompt, PromptVersion]:
        """A new prompt with its first version. Raises `Conflict` when the organisation has one of this name."""
        now = self._clock()
        prompt = Prompt(
            id=new_id("prm"),
            organisation=actor.organisation,
            name=name,
            description=description,
            labels={},
            newest=1,
            created_at=now,
            created_by=actor.key_id,
        )
        made = _made(actor, prompt, 1, content, note, now)

        def work(connection: Connection) -> None:
            registry_store.bump(connection)
            store.add_prompt(connection, prompt)
            store.add_version(connection, made)
            self._note(connection, actor, prompt, made, "prompt made", "", "1", note)

        try:
            await self._done(work)
        except Conflict as fault:
            raise Conflict(f"name: there is a prompt {name!r} already", param="name") from fault
        return prompt, made

    async def add(self, actor: Principal, id: str, content: Content, note: str) -> PromptVersion:
        """A new version; the newest one again when it says the same. Raises `NotFound`."""

        def work(connection: Connection) -> PromptVersion:
            registry_store.bump(connection)  # first: its row lock keeps two writers from the same number
            prompt = _there(connection, actor, id)
            newest = _numbered(connection, prompt, str(prompt.newest))
            if newest.digest == content.digest and newest.state == "live":
                return newest
            prompt = msgspec.structs.replace(prompt, newest=prompt.newest + 1)
            made = _made(actor, prompt, prompt.newest, content, note, self._clock())
            store.put_prompt(connection, prompt)
            store.add_version(connection, made)
            self._note(connection, actor, prompt, made, "version made", str(newest.number), str(made.number), note)
            return made

        return await self._done(work)

    async def label(self, actor: Principal, id: str, label: str, version: str, reason: str) -> Prompt:
        """Let ``label`` point to a version. Raises `NotFound`, `Conflict` for a revoked one, and `Forbidden` (``same_person``) when
        ``production`` is moved to what the actor made and two people are needed; `RequestError` for what is no label."""

        if LABEL.fullmatch(label) is None:
            raise RequestError("label: lower case letters, digits, dots and hyphens, beginning with a letter; not 'latest'", param="label")

        def work(connection: Connection) -> Prompt:
            registry_store.bump(connection)
            prompt = _there(connection, actor, id)
            found = _numbered(connection, prompt, version)
            if found.state == "revoked":
                raise Conflict(f"version {found.number} is revoked, for good; make a new version", code="version_revoked")
            if self._two_people and label == PRODUCTION and set(people(actor)) & set(found.makers):
                raise Forbidden("who made a version may not put it into production; another person must", code="same_person")
            before = prompt.labels.get(label)
            prompt = msgspec.structs.replace(prompt, labels={**prompt.labels, label: found.number})
            store.put_prompt(connection, prompt)
            self._note(connection, actor, prompt, found, f"label {label} moved", str(before or ""), str(found.number), reason)
            return prompt

        return await self._done(work)

    async def unlabel(self, actor: Principal, id: str, label: str) -> Prompt:
        """Take a label away. Raises `NotFound` when there is none."""

        def work(connection: Connection) -> Prompt:
            registry_store.bump(connection)
            prompt = _there(connection, actor, id)
            if label not in prompt.labels:
                raise NotFound(f"the prompt {prompt.name!r} has no label {label[:63]!r}")
            found = _numbered(connection, prompt, label)
            prompt = msgspec.structs.replace(prompt, labels={one: at for one, at in prompt.labels.items() if one != label})
            store.put_prompt(connection, prompt)
            self._note(connection, actor, prompt, found, f"label {label} taken away", str(found.number), "", "")
            return prompt

        return await self._done(work)

    async def revoke(self, actor: Principal, id: str, version: str, reason: str) -> PromptVersion:
        """No call may use the version any more, for good; labels stay where they are and their calls are refused."""

        def work(connection: Connection) -> PromptVersion:
            registry_store.bump(connection)
            prompt = _there(connection, actor, id)
            found = _numbered(connection, prompt, version)
            if found.state == "revoked":
                raise Conflict(f"version {found.number} is revoked already", code="version_revoked")
            store.set_state(connection, found.id, "revoked")
            self._note(connection, actor, prompt, found, "version revoked", "live", "revoked", reason)
            return msgspec.structs.replace(found, state="revoked")

        return await self._done(work)

    # ---- how

    def _note(
        self,
        connection: Connection,
        actor: Principal,
        prompt: Prompt,
        version: PromptVersion,
        action: str,
        before: str,
        after: str,
        why: str,
    ) -> None:
        now = self._clock()
        registry_store.note(connection, entry(actor, prompt.id, version.id, action, before, after, why, now, prompt.organisation))

    async def _done(self, work: Callable[[Connection], T]) -> T:
        made = await self._records.write(work)
        await self._changed()
        return made


def _there(connection: Connection, actor: Principal, id: str) -> Prompt:
    found = store.prompt(connection, actor.reach, actor.organisation, id)
    if found is None:
        raise NotFound(f"there is no prompt {id[:100]!r}")
    return found


def _numbered(connection: Connection, prompt: Prompt, version: str | None) -> PromptVersion:
    found = store.version(connection, prompt.id, resolved(prompt.name, prompt.labels, prompt.newest, version))
    assert found is not None  # versions are never deleted
    return found


def _made(actor: Principal, prompt: Prompt, number: int, content: Content, note: str, now: float) -> PromptVersion:
    return PromptVersion(
        id=new_id("prmver"),
        prompt=prompt.id,
        organisation=prompt.organisation,
        number=number,
        state="live",
        kind=content.kind,
        messages=content.messages,
        variables=content.variables,
        digest=content.digest,
        note=note,
        makers=people(actor),
        created_at=now,
    )
