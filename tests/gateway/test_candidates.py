"""What the gateway knows of candidates, and what it takes over from others."""

from __future__ import annotations

import pytest

from penstock.gateway.candidates import KnownCandidates
from penstock.gateway.choose import Catalogue
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ModelSettings, ProviderSettings
from penstock.kernel.call import Target, Usage
from penstock.kernel.candidates import ModelFacts
from penstock.kernel.errors import UnknownModel


def provider(name: str, profile: str, **given: object) -> HttpProvider:
    return HttpProvider(name, PROFILES[profile], ProviderSettings(**given), {})  # type: ignore[arg-type]


class Registry:
    version = 0

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str], ModelFacts] = {}

    def facts(self, provider: str, model: str, organisation: str) -> ModelFacts | None:
        return self.known.get((provider, model, organisation))


class Lists:
    def context(self, provider: str, model: str) -> int | None:
        return {"gpt-4o": 128_000}.get(model)

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return 1 if provider == "openai" else None


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def candidates(registry: Registry) -> KnownCandidates:
    catalogue = Catalogue(
        {
            "openai": provider("openai", "openai", api_key="k"),
            "box": provider("box", "vllm"),
            "deepseek": provider("deepseek", "deepseek", api_key="k"),
            "aws": provider("aws", "bedrock", region="eu-west-1", api_key="k"),
        },
        {"small": ModelSettings(targets=("box/qwen",)), "both": ModelSettings(targets=("box/qwen", "openai/gpt-4o"))},
    )
    made, lists = KnownCandidates(catalogue), Lists()
    made.open(lambda: registry, lambda: lists, lambda: lists)
    return made


def test_a_candidate_is_one_target(candidates: KnownCandidates) -> None:
    assert candidates.resolve("small") == Target("box", "qwen", "small")
    assert candidates.resolve("openai/gpt-4o") == Target("openai", "gpt-4o", "openai/gpt-4o")
    with pytest.raises(UnknownModel, match="leads to 2 targets; a candidate is one"):
        candidates.resolve("both")
    with pytest.raises(UnknownModel, match="did you mean 'small'"):
        candidates.resolve("smal")


def test_what_profiles_lists_and_prices_tell(candidates: KnownCandidates) -> None:
    vendor = candidates.traits(candidates.resolve("openai/gpt-4o"))
    assert (vendor.place, vendor.region, vendor.context, vendor.tools, vendor.priced) == ("vendor", "", 128_000, True, True)
    assert vendor.inputs is None, "its API takes images, and whether the model does nobody said"
    own = candidates.traits(candidates.resolve("small"))
    assert (own.place, own.context, own.json, own.priced) == ("device", None, None, False)
    assert candidates.traits(Target("deepseek", "deepseek-chat", "x")).inputs == {"text"}


def test_a_provider_that_is_gone_is_a_vendor_of_whom_nothing_is_known(candidates: KnownCandidates) -> None:
    assert candidates.traits(Target("nobody", "m", "m")).place == "vendor"


@pytest.mark.parametrize(
    ("model", "where"),
    [
        ("anthropic.claude-x", ("region", "eu-west-1")),
        ("eu.anthropic.claude-x", ("region", "eu")),
        ("us.anthropic.claude-x", ("region", "us")),
        ("global.anthropic.claude-x", ("vendor", "")),
    ],
)
def test_bedrocks_profiles_say_where_they_are_served(candidates: KnownCandidates, model: str, where: tuple[str, str]) -> None:
    found = candidates.traits(Target("aws", model, model))
    assert (found.place, found.region) == where


def test_what_the_registry_says_comes_first_and_at_once(candidates: KnownCandidates, registry: Registry) -> None:
    target = candidates.resolve("openai/gpt-4o")
    before = candidates.version
    assert candidates.traits(target, "acme").context == 128_000
    registry.known["openai", "gpt-4o", "acme"] = ModelFacts(context=9, inputs=frozenset({"text", "image"}))
    registry.version = 1
    assert candidates.version > before
    assert (candidates.traits(target, "acme").context, candidates.traits(target, "acme").inputs) == (9, {"text", "image"})
    assert candidates.traits(target, "other").context == 128_000
