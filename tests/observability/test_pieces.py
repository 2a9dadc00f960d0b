"""Pieces are what a store takes, hold everything once and in order, and are the same for the same spans."""

from __future__ import annotations

from itertools import chain

import pytest
from tests.storage.telemetry.conftest import a_span, said

from penstock.observability import pieces as module
from penstock.observability.pieces import pieces, size_of


def test_spans_are_cut_into_pieces_by_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 5000)
    spans = [a_span(payload=said("x" * (200 * n), "y")) for n in range(20)]
    made = list(pieces(spans))
    assert list(chain.from_iterable(made)) == spans
    assert all(sum(map(size_of, piece[:-1])) <= 5000 for piece in made)
    assert 1 < len(made) < 20
    assert list(pieces(spans)) == made


def test_what_all_spans_of_a_program_have_in_common_counts_for_each() -> None:
    # So much of it is written out for each: a store refuses the whole batch where it is too large.
    spans = [a_span(resource="r" * 8000, links="l" * 1000) for _ in range(1000)]
    assert max(sum(len(span.resource) + len(span.links) for span in piece) for piece in pieces(spans)) < module.PIECE + 10_000


def test_nothing_makes_no_piece_and_one_that_is_too_large_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 5000)
    assert list(pieces([])) == []
    assert [len(piece) for piece in pieces([a_span(payload=said("x" * 9000)), a_span()])] == [1, 1]
