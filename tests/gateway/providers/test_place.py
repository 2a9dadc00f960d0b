from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.gateway.providers.place import base_url, place_of, region, region_of
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError


def place(profile: str, environ: dict[str, str] | None = None, **terms: Any) -> str:
    return base_url("p", PROFILES[profile], msgspec.convert(terms, ProviderSettings), environ or {})


@pytest.mark.parametrize(
    ("profile", "where", "host"),
    [
        ("bedrock", "eu-central-1", "bedrock-runtime.eu-central-1.amazonaws.com"),
        ("vertex", "europe-west4", "europe-west4-aiplatform.googleapis.com/v1/projects/p-1/locations/europe-west4"),
        ("vertex", "global", "aiplatform.googleapis.com/v1/projects/p-1/locations/global"),
        ("vertex-anthropic", "eu", "aiplatform.eu.rep.googleapis.com/v1/projects/p-1/locations/eu"),
    ],
)
def test_a_region_and_a_project_make_an_address(profile: str, where: str, host: str) -> None:
    assert place(profile, region=where, project="p-1") == f"https://{host}"
    assert place(profile, region=where, project="p-1", base_url="https://own") == "https://own"


def test_they_may_stand_in_the_environment_or_in_the_credentials_file(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text(json.dumps({"project_id": "p-9"}))
    environ = {"GOOGLE_CLOUD_LOCATION": "global", "GOOGLE_APPLICATION_CREDENTIALS": str(file)}
    assert "/projects/p-9/locations/global" in place("vertex", environ)
    assert "/projects/p-2/" in place("vertex", {**environ, "GOOGLE_CLOUD_PROJECT": "p-2"})
    assert "/projects/p-9/" in place("vertex", {"CLOUD_ML_REGION": "global"}, credentials=str(file))
    assert region("p", PROFILES["bedrock"], ProviderSettings(), {"AWS_DEFAULT_REGION": "us-east-1"}) == "us-east-1"


@pytest.mark.parametrize(
    ("profile", "terms", "words"),
    [
        ("vertex", {}, "needs a region; give one, or set GOOGLE_CLOUD_LOCATION or CLOUD_ML_REGION"),
        ("vertex", {"region": "evil.example/x"}, "is no region"),
        ("vertex", {"region": "global"}, "needs a project"),
        ("vertex", {"region": "global", "project": "../x"}, "is no project's id"),
        ("vertex", {"region": "global", "credentials": "/nonexistent.json"}, "needs a project"),
        ("azure", {}, "has no common address; give yours"),
    ],
)
def test_what_is_missing_or_wrong_is_told(profile: str, terms: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        place(profile, **terms)


@pytest.mark.parametrize(
    ("profile", "url", "place"),
    [
        ("vllm", "http://127.0.0.1:8000/v1", "device"),
        ("vllm", "http://[::1]:8000/v1", "device"),
        ("vllm", "http://localhost:8000/v1", "device"),
        ("vllm", "http://[::ffff:10.0.0.1]:8000/v1", "own"),
        ("vllm", "http://10.1.2.3:8000/v1", "own"),
        ("vllm", "http://gpu-1:8000/v1", "own"),
        ("vllm", "http://vllm.models.svc.cluster.local/v1", "own"),
        ("vllm", "https://vllm.example.com/v1", "vendor"),
        ("vllm", "https://notlocalhost.example/v1", "vendor"),
        ("vllm", "http://8.8.8.8/v1", "vendor"),
        ("vllm", "http://0.0.0.0/v1", "vendor"),
        ("openai-compatible", "http://192.168.1.4/v1", "own"),
        ("openai", "http://127.0.0.1:9000/v1", "vendor"),
        ("openai", "https://api.openai.com/v1", "vendor"),
        ("modal", "https://x.modal.run/v1", "vendor"),
    ],
)
def test_whose_machine_it_is(profile: str, url: str, place: str) -> None:
    assert place_of(PROFILES[profile], url) == place


def test_a_vendor_that_names_its_region_keeps_to_it_but_global_is_none() -> None:
    assert place_of(PROFILES["vertex"], "https://x.googleapis.com", "europe-west4") == "region"
    assert place_of(PROFILES["vertex"], "https://x.googleapis.com", "global") == "vendor"
    assert region_of(PROFILES["bedrock"], ProviderSettings(), {"AWS_REGION": "eu-west-1"}) == "eu-west-1"
    assert region_of(PROFILES["openai"], ProviderSettings(), {"AWS_REGION": "eu-west-1"}) == ""
