"""That what is said of providers is said of such as there are; that it is true, ``test_conformance`` shows with samples."""

from __future__ import annotations

from penstock.gateway.providers.abilities import ABILITIES, Abilities, abilities
from penstock.gateway.providers.profile import CHAT_SHAPES, CONVERSE
from penstock.gateway.providers.profiles import PROFILES


def test_only_known_profiles_have_abilities_and_all_others_depend() -> None:
    assert set(ABILITIES) <= set(PROFILES)
    assert abilities("openai-compatible") == Abilities()


def test_who_holds_no_conversation_calls_no_tools() -> None:
    for name, profile in PROFILES.items():
        if not set(profile.paths) & {*CHAT_SHAPES, CONVERSE}:
            assert not abilities(name).tools, name
            assert not abilities(name).images, name
