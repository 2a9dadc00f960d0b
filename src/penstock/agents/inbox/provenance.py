"""Where what a run is about to do comes from: what it has read, and which of that stands word for word in the arguments of a call.

A validator is told this instead of the text itself: free text may hold words that are meant for the validator.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from penstock.agents.inbox.model import Leaf, Proposal, Source, Sum
from penstock.kernel.wording import as_text

WORD = re.compile(r"[A-Za-z0-9_.@:+-]{1,64}")
"""What may be shown to a machine as it is: an id, an address, a date, and nothing that holds a sentence."""
SHORT = 3
"""Characters below which a value stands in nearly every text, so that this says nothing of where it is from."""
MOST = 200
"""Values that are looked at one by one."""
REMEMBERED = "remembered"
TOLD: Mapping[Literal["thread", "event", "answer"], str] = {"thread": REMEMBERED, "event": "event", "answer": "answered"}
"""Labels of what was said earlier in a thread, came with an event, or was answered by people."""


class Origin(Struct, frozen=True, kw_only=True):
    """Who wants to make a call, and what they have read so far, with its text. ``labels`` are the run's own, as ``name=value``."""

    agent: str = ""
    owner: str = ""
    key: str = ""
    person: str = ""
    labels: tuple[str, ...] = ()
    read: tuple[tuple[Source, str], ...] = ()


class Began(Protocol):
    """What a run began with, by whom and for whom; ``labels`` are those of what whoever handed it on had read."""

    @property
    def input(self) -> Any: ...
    @property
    def key(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...


class Reading:
    """What one run reads, as it reads it."""

    def __init__(self, *, agent: str, start: Began, labels: Mapping[str, str]) -> None:
        text = as_text(start.input)
        self._read = [(Source(kind="input", name="input", labels=start.labels), text)]
        told = tuple(f"{name}={value}" for name, value in sorted(labels.items()))
        self._origin = Origin(agent=agent, key=start.key, person=start.person, labels=told)

    def owned(self, by: str) -> None:
        """Who owns what is run, where its tools say nothing else."""
        self._origin = structs.replace(self._origin, owner=by)

    def call(self, key: str, tool: str, labels: Sequence[str], text: str) -> None:
        """What a call of a tool returned."""
        self._read.append((Source(kind="call", name=tool, key=key, labels=tuple(labels)), text))

    def agent(self, name: str, labels: Sequence[str], text: str) -> None:
        """What another agent answered."""
        self._read.append((Source(kind="agent", name=name, labels=tuple(labels)), text))

    def told(self, kind: Literal["thread", "event", "answer"], name: str, text: str) -> None:
        """What came in from elsewhere; its label says how (`TOLD`), since nobody declares one for it."""
        self._read.append((Source(kind=kind, name=name, labels=(TOLD[kind],)), text))

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of what was read."""
        return tuple(sorted({label for source, _ in self._read for label in source.labels}))

    def origin(self) -> Origin:
        """As it stands; it does not change with what is read later."""
        return structs.replace(self._origin, read=tuple(self._read))


def proposal(
    origin: Origin,
    *,
    run: str,
    organisation: str,
    call: str,
    tool: str,
    effect: str,
    owner: str,
    arguments: Mapping[str, Any],
    amount: Sum | None,
) -> Proposal:
    """The call as a policy looks at it; `traced` adds what people and validators are shown."""
    given: dict[str, Any] = msgspec.to_builtins(arguments)
    labelled = [(source, text) for source, text in origin.read if source.labels]
    inside: set[str] = set()
    if labelled:
        words = [word for _, value in _leaves(given, "") if (word := _word(value))]
        inside = {label for source, text in labelled if any(word in text for word in words) for label in source.labels}
    return Proposal(
        run=run,
        organisation=organisation,
        call=call,
        agent=origin.agent,
        tool=tool,
        effect=effect,
        arguments=given,
        owner=owner or origin.owner,
        key=origin.key,
        person=origin.person,
        amount=amount,
        labels=tuple(sorted({*origin.labels, *(label for source, _ in labelled for label in source.labels)})),
        argument_labels=tuple(sorted(inside)),
    )


def traced(call: Proposal, origin: Origin) -> Proposal:
    """The call with where each of its values stands in what the run has read."""
    found: list[Leaf] = []
    for path, value in _leaves(call.arguments, ""):
        if len(found) == MOST:
            break
        word = _word(value)
        sources = tuple(n for n, (_, text) in enumerate(origin.read) if word and word in text)
        text = value if isinstance(value, str) else None
        shown = value if text is None or WORD.fullmatch(text) else None
        hidden = text is not None and shown is None
        found.append(
            Leaf(
                path=path,
                shown=shown,
                characters=len(text) if hidden and text is not None else None,
                digest=_digest(text) if hidden and text is not None else "",
                sources=sources,
            )
        )
    sources = tuple(structs.replace(source, digest=_digest(text)) for source, text in origin.read)
    return structs.replace(call, leaves=tuple(found), sources=sources)


def shown(call: Proposal, rules: tuple[str, ...], description: str) -> str:
    """The proposal as a validator is told it: no free text of the arguments, and none of what was read. ``description`` says what
    the tool does, as `does` tells it."""
    told = {
        "tool": call.tool,
        "what_it_does": description,
        "effect": call.effect,
        "owner": call.owner,
        "agent": call.agent,
        "amount": call.amount,
        "labels": call.labels,
        "argument_labels": call.argument_labels,
        "arguments": [
            {
                "path": leaf.path,
                **({"value": leaf.shown} if leaf.characters is None else {"withheld": f"free text of {leaf.characters} characters"}),
                "stands_in": list(leaf.sources) or "nothing that was read: the model wrote it",
            }
            for leaf in call.leaves
        ],
        "read": [
            {"number": n, "kind": one.kind, "name": one.name, "call": one.key, "labels": one.labels} for n, one in enumerate(call.sources)
        ],
        "rules": rules,
        "digest": call.digest,
    }
    return msgspec.json.encode(told).decode()


def does(description: str, told_by: str) -> str:
    """What a tool does, for a validator: its description, unless a stranger wrote that, whose words may be meant for the validator too."""
    return f"withheld: {len(description)} characters that {told_by} wrote" if told_by else description


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            name = str(key)  # pyright: ignore[reportUnknownArgumentType]
            name = name if WORD.fullmatch(name) else f"[a name of {len(name)} characters]"
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for n, inner in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _leaves(inner, f"{path}[{n}]")
    else:
        yield path, value


def _word(value: Any) -> str:
    """A value as it would stand in a text; empty for what would stand in nearly every one."""
    if isinstance(value, bool) or value is None:
        return ""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) >= SHORT else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
