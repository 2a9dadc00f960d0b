"""What can be asked to do a task, and what is known of each: where it stands, how long an input it takes, what it is able to do.

The gateway answers for all rooms (`Candidates`), from its providers' profiles and settings, what the registry says of versions
(`Registered`) and what is published about vendors' models (`Published`). What nobody knows is None, and is not guessed.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from penstock.kernel.call import Target
from penstock.kernel.errors import UnknownModel
from penstock.kernel.tasks import DataClass, Place, Task

Kind: TypeAlias = Literal["text", "image", "audio", "video", "file"]

TRUST: dict[Place, int] = {"vendor": 0, "region": 1, "own": 2, "device": 3}
"""Places by how little leaves the house; what is sent to one may also be sent to a higher one."""


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a target.

    ``place`` is where data goes that is sent there, ``region`` the region of a vendor's or an own machine's, empty where nobody said.
    ``context`` is the most tokens that an input and its answer may have together, ``inputs`` the kinds of content it takes, ``tools``
    whether it calls tools, ``json`` whether it can be held to a JSON schema; None where it is not known. ``priced`` says whether tokens
    have a known price there, nothing included. ``version`` is the id of the registered version behind it, empty where none is.
    """

    place: Place
    region: str = ""
    context: int | None = None
    inputs: frozenset[Kind] | None = None
    tools: bool | None = None
    json: bool | None = None
    priced: bool = False
    version: str = ""


class Candidates(Protocol):
    """Names that tasks give to what may do their work; from memory, in microseconds."""

    @property
    def version(self) -> int:
        """Grows whenever an answer below may have changed, so that what was derived from them can be kept until then."""
        ...

    def resolve(self, name: str) -> Target:
        """The one target of a name (``provider/model``, or an alias of one target), under that name.

        Raises `UnknownModel` for a name that leads nowhere, with the nearest known one, or to several targets.
        """
        ...

    def traits(self, target: Target, organisation: str = "") -> Traits:
        """What is known of a target of `resolve`, or of any call; what ``organisation`` registered about it comes first."""
        ...


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote down about a model; None where nothing stands there."""

    context: int | None = None
    inputs: frozenset[Kind] | None = None
    tools: bool | None = None
    json: bool | None = None
    version: str = ""
    """The id of the registered version that this was written down about."""


class Registered(Protocol):
    """What the registry says of a model. From memory."""

    @property
    def version(self) -> int:
        """Grows whenever an answer may have changed."""
        ...

    def facts(self, provider: str, model: str, organisation: str) -> ModelFacts | None:
        """Facts of the live version that has this name; None where there is none. The same object until they change."""
        ...


class Published(Protocol):
    """What vendors publish of their models. From memory, after the first question."""

    def context(self, provider: str, model: str) -> int | None:
        """The context in tokens; None where nobody published it."""
        ...


class FreeProviders(Protocol):
    """Providers that are said to cost nothing where they are declared. The gateway provides it."""

    def free(self) -> Collection[str]:
        """Their names."""
        ...


ALLOWED: dict[DataClass, tuple[Place, ...]] = {
    "public": ("device", "own", "region", "vendor"),
    "internal": ("device", "own", "region", "vendor"),
    "confidential": ("device", "own"),
    "restricted": ("device", "own"),
}
"""Where data of a class may go while its task names no places. Confidential data may go to vendors that a task names, restricted never."""


def places_of(data_class: DataClass, places: Sequence[Place], regions: Sequence[str]) -> tuple[Place, ...]:
    """Where data of the class may go at all, given the places and regions of a task: regions alone mean vendors in them, beside the
    own machines."""
    named: tuple[Place, ...] = tuple(places) or (("device", "own", "region") if regions else ALLOWED[data_class])
    return tuple(one for one in named if one in ALLOWED["restricted"]) if data_class == "restricted" else named


def misplaced(task: Task, traits: Traits) -> str | None:
    """Why the task's data may not go to a target with these traits; None when it may.

    A ``region`` endpoint is a vendor's that keeps to its region, so it is also allowed wherever vendors are. Where regions are listed,
    every target whose region is known must be in one of them, and a vendor's region must be known.
    """
    allowed, place = places_of(task.data_class, task.places, task.regions), traits.place
    if place not in allowed and not (place == "region" and "vendor" in allowed):
        return f"{task.data_class} data of the task {task.name!r} may go to {_listed(allowed)}, and this is {_SAID[place]}"
    if task.regions and not within(traits.region, task.regions) and (traits.region or place in ("region", "vendor")):
        where = f"in {traits.region}" if traits.region else "in a region that nobody named (gateway.providers.NAME.region)"
        return f"data of the task {task.name!r} may go to the regions {', '.join(task.regions)}, and this is {where}"
    return None


def within(region: str, regions: Sequence[str]) -> bool:
    """Whether a region is one of those listed: by its name, as a part of one (``eu`` holds ``eu-west-1``), or by a pattern with ``*``."""
    return any(region == one or region.startswith(f"{one}-") or fnmatch.fnmatchcase(region, one) for one in regions if region)


def in_order(task: Task, candidates: Candidates, organisation: str) -> tuple[list[Target], dict[str, str]]:
    """Who serves a task while no evidence chooses: the default, then those that may stand in for it in the order of the task, as one
    fallback chain; and by candidate, why the others are not among them.

    What is less trusted than the default's place is no fallback: a failure must not send data further away than success does.
    """
    chain: list[Target] = []
    left: dict[str, str] = {}
    least = 0
    for name in dict.fromkeys((task.default, *task.candidates)):
        try:
            target = candidates.resolve(name)
        except UnknownModel as fault:
            left[name] = fault.message
            continue
        traits = candidates.traits(target, organisation)
        refused = misplaced(task, traits)
        if name == task.default:
            least = TRUST[traits.place]
        if refused is not None:
            left[name] = refused
        elif TRUST[traits.place] < least:
            left[name] = f"no fallback: it stands at {_SAID[traits.place]}, less trusted than the default {task.default}"
        else:
            chain.append(Target(target.provider, target.model, name, rank=len(chain)))
    return chain, left


_SAID: dict[Place, str] = {"device": "this machine", "own": "an own machine", "region": "a vendor's region", "vendor": "a vendor"}


def _listed(places: Sequence[Place]) -> str:
    return " or ".join(places) if places else "no place at all"


__all__ = [
    "ALLOWED",
    "TRUST",
    "Candidates",
    "FreeProviders",
    "Kind",
    "ModelFacts",
    "Published",
    "Registered",
    "Traits",
    "in_order",
    "misplaced",
    "places_of",
    "within",
]
