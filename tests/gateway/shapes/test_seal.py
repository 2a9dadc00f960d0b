"""Signatures survive any client's API and come back to none but the vendor that made them."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway.shapes import seal

signatures = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(max_examples=80, derandomize=True)
@given(signatures, st.sampled_from(["google", "anthropic"]), st.sampled_from(["google", "anthropic"]))
def test_there_and_back_through_any_api(signature: str, maker: str, client: str) -> None:
    shown = seal.to_client(seal.named(maker, signature), client)
    back = seal.from_client(shown, client)
    assert back == seal.named(maker, signature)
    assert seal.to_provider(back, maker) == signature
    assert seal.to_provider(back, "somebody else") is None
    if maker != client:
        # Google's SDK takes the field for bytes: it decodes them and writes them anew.
        raw = base64.urlsafe_b64decode(shown)
        assert seal.from_client(base64.b64encode(raw).decode(), client) == back
        assert seal.from_client(shown.rstrip("="), client) == back


def test_what_only_looks_wrapped_is_the_clients_own() -> None:
    for text in ("cGVuc3RvY2s6", "cGVuc3RvY2s6!!!", "cGVuc3RvY2s6/w=="):
        assert seal.to_provider(seal.from_client(text, "google"), "google") in (text, None)
