"""What holds for every profile."""

from __future__ import annotations

import fnmatch
from urllib.parse import urlsplit

import pytest

from penstock.gateway.providers.profile import REALTIME, Profile
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.shapes import SHAPES

ALL = pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)


@ALL
def test_a_profile_is_complete(profile: Profile) -> None:
    assert profile.name == profile.name.lower()
    assert profile.title
    assert set(profile.paths) <= {*SHAPES, REALTIME}, "a shape that nobody speaks"
    assert profile.kind in ("http", "minilm", "replay", "recording")
    if profile.kind == "http":
        assert all(path.startswith("/") for path in profile.paths.values())
        assert profile.models_path is None or profile.models_path.startswith("/")
    if profile.key_needed:
        assert profile.key_env, "a key is needed and nobody knows its variable"
        assert profile.reference.startswith("https://")


@ALL
def test_a_key_leaves_this_machine_only_encrypted(profile: Profile) -> None:
    if profile.base_url is not None:
        address = urlsplit(profile.base_url)
        assert address.scheme == "https" or address.hostname == "127.0.0.1"
        assert profile.local == (address.hostname == "127.0.0.1")


def test_no_model_is_claimed_by_two() -> None:
    patterns = [(profile.name, pattern) for profile in PROFILES.values() for pattern in profile.patterns]
    for owner, pattern in patterns:
        sample = pattern.replace("*", "x-1")
        assert {name for name, other in patterns if fnmatch.fnmatchcase(sample, other)} == {owner}


def test_variables_of_keys_are_told_apart() -> None:
    owners = [variable for profile in PROFILES.values() for variable in profile.key_env]
    assert len(owners) == len(set(owners))
