"""Cohere's own SDK, unmodified, against a real Penstock process: reranking by a provider of its shape and by one of Jina's.

Wants an environment of its own (``make test-compatibility``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.compatibility.conftest import Rig

cohere = pytest.importorskip("cohere", reason="make test-compatibility installs it")
httpx = pytest.importorskip("httpx")  # comes with it
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]

DOCUMENTS = [
    "Carson City is the capital of Nevada.",
    "Saipan is the capital of the Northern Mariana Islands.",
    "Washington, D.C. is the capital.",
]


@pytest.fixture
def web() -> Iterator[Any]:
    """Connections that are closed; the SDK leaves its own open."""
    with httpx.Client() as client:
        yield client


@pytest.mark.parametrize("model", ["rerank-v4.0-pro", "m"])
def test_rerank(rig: Rig, web: Any, model: str) -> None:
    sdk = cohere.ClientV2(api_key=rig.key, base_url=rig.url, httpx_client=web)
    found = sdk.rerank(model=model, query="What is the capital of the United States?", documents=DOCUMENTS, top_n=2)
    assert [one.index for one in found.results] == [2, 1]
    assert found.results[0].relevance_score == 0.9
    assert rig.model.asked[-1]["model"] == model
    assert rig.model.asked[-1]["top_n"] == 2
    if model == "m":
        assert rig.model.asked[-1]["return_documents"] is False


@pytest.mark.parametrize("model", ["rerank-v4.0-pro", "m"])
def test_rerank_of_the_first_version(rig: Rig, web: Any, model: str) -> None:
    sdk = cohere.Client(api_key=rig.key, base_url=rig.url, httpx_client=web)
    found = sdk.rerank(model=model, query="capital?", documents=[{"text": text} for text in DOCUMENTS], return_documents=True)
    assert [one.index for one in found.results] == [2, 1, 0]
    if model != "m":  # the other provider is asked in its own words, and answers as it likes
        assert found.results[0].document.text == DOCUMENTS[2]


def test_errors_are_the_sdks_own(rig: Rig, web: Any) -> None:
    with pytest.raises(cohere.UnauthorizedError):
        cohere.ClientV2(api_key="psk_wrong", base_url=rig.url, httpx_client=web).rerank(model="m", query="x", documents=["a"])
    sdk = cohere.ClientV2(api_key=rig.key, base_url=rig.url, httpx_client=web)
    with pytest.raises(cohere.NotFoundError):
        sdk.rerank(model="nobody", query="x", documents=["a"])
    # A field that only one of the shapes has is named when the other one serves.
    with pytest.raises(cohere.BadRequestError, match="max_tokens_per_doc"):
        sdk.rerank(model="m", query="x", documents=["a"], max_tokens_per_doc=100)
    sdk.rerank(model="rerank-v4.0-pro", query="x", documents=["a"], max_tokens_per_doc=100)


def test_search_units_are_charged(rig: Rig, web: Any) -> None:
    cohere.ClientV2(api_key=rig.key, base_url=rig.url, httpx_client=web).rerank(model="rerank-v4.0-pro", query="x", documents=["a"])
    rows = web.get(f"{rig.url}/v1/ledger?limit=50", headers={"authorization": f"Bearer {rig.admin}"}).json()["data"]
    row: dict[str, Any] = next(row for row in rows if row["operation"] == "rerank")
    assert (row["amount"], row["usage"]["searches"], row["prices"]) == (2500, 1, {"searches": 2_500_000_000})
