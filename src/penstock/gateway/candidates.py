"""What the gateway knows of the targets that calls can go to: the `Candidates` of tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection

from penstock.gateway.choose import Catalogue
from penstock.gateway.providers.abilities import abilities
from penstock.gateway.providers.profile import CHAT_SHAPES, COMPLETIONS, CONVERSE, EMBEDDINGS, TRANSCRIPTIONS
from penstock.gateway.providers.provider import Provider
from penstock.kernel.call import Target, Usage
from penstock.kernel.candidates import Kind, ModelFacts, Published, Registered, Traits
from penstock.kernel.errors import UnknownModel
from penstock.kernel.recall import Prices
from penstock.kernel.tasks import Place

_REMEMBERED = 10_000
_NOTHING = ModelFacts()
_GEOGRAPHIES = ("us", "eu", "apac", "jp", "au", "us-gov")
"""Bedrock's inference profiles: the first part of the model's name says within which regions it is served (https://docs.aws.amazon.com/
bedrock/latest/userguide/inference-profiles-support.html)."""
_A_TOKEN = Usage(input=1, output=1)


class KnownCandidates:
    """`Candidates` and `FreeProviders`. What was looked up is kept until a provider is added or what the registry knows has changed."""

    def __init__(self, catalogue: Catalogue, free: Collection[str] = ()) -> None:
        self._catalogue = catalogue
        self._free = free
        self._registered: Callable[[], Registered | None] = _nobody
        self._published: Callable[[], Published | None] = _nobody
        self._prices: Callable[[], Prices | None] = _nobody
        self._known: dict[tuple[str, str, str], Traits] = {}
        self._of = -1

    def open(
        self,
        registered: Callable[[], Registered | None],
        published: Callable[[], Published | None],
        prices: Callable[[], Prices | None],
    ) -> None:
        """Whom to ask for what the gateway does not know itself."""
        self._registered, self._published, self._prices = registered, published, prices

    def free(self) -> Collection[str]:
        """See `FreeProviders.free`."""
        return self._free

    @property
    def version(self) -> int:
        """See `Candidates.version`."""
        registered = self._registered()
        return self._catalogue.version + (registered.version if registered is not None else 0)

    def resolve(self, name: str) -> Target:
        """See `Candidates.resolve`."""
        found = self._catalogue.resolve(name)
        if len(found) > 1:
            raise UnknownModel(f"{name!r} leads to {len(found)} targets; a candidate is one: name it as provider/model", param="model")
        return next(iter(found))

    def traits(self, target: Target, organisation: str = "") -> Traits:
        """See `Candidates.traits`."""
        version = self.version
        if version != self._of or len(self._known) >= _REMEMBERED:  # callers choose names of models
            self._known, self._of = {}, version
        asked = (target.provider, target.model, organisation)
        found = self._known.get(asked)
        if found is None:
            found = self._known[asked] = self._look(target.provider, target.model, organisation)
        return found

    def _look(self, name: str, model: str, organisation: str) -> Traits:
        provider, registered, published, prices = self._catalogue.providers.get(name), self._registered(), self._published(), self._prices()
        facts = (registered.facts(name, model, organisation) if registered is not None else None) or _NOTHING
        place, region = ("vendor", "") if provider is None else where(provider, model)
        known = abilities(provider.profile.name) if provider is not None else None
        inputs = facts.inputs if facts.inputs is not None else (_inputs(provider) if provider is not None else None)
        return Traits(
            place=place,
            region=region,
            context=facts.context or (published.context(name, model) if published is not None else None),
            inputs=inputs,
            tools=facts.tools if facts.tools is not None else (known.tools if known is not None else None),
            json=facts.json,
            priced=prices is not None and prices.estimate(name, model, _A_TOKEN) is not None,
            version=facts.version,
        )


def where(provider: Provider, model: str) -> tuple[Place, str]:
    """Place and region of one of a provider's models."""
    geography = model.partition(".")[0] if provider.profile.name == "bedrock" and provider.place == "region" else ""
    if geography == "global":
        return "vendor", ""
    return provider.place, geography if geography in _GEOGRAPHIES else provider.region


def _inputs(provider: Provider) -> frozenset[Kind] | None:
    """What the provider's API carries, where that settles it: what takes no images takes text; what serves embeddings alone, too."""
    profile = provider.profile
    if profile.kind == "minilm" or not any(shape in profile.paths for shape in (*CHAT_SHAPES, CONVERSE, TRANSCRIPTIONS, COMPLETIONS)):
        return frozenset(("text",)) if EMBEDDINGS in profile.paths else None
    return frozenset(("text",)) if abilities(profile.name).images is False else None


def _nobody() -> None:
    return None
