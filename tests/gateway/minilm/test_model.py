from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.gateway.minilm import Embeddings, MiniLM, ModelFiles, ModelMissing
from penstock.gateway.minilm.graph import MAX_PIECES
from penstock.gateway.minilm.model import word_pieces
from penstock.kernel.errors import MalformedRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

pytestmark = pytest.mark.timeout(60)

RELATED = [
    ("how do I reset my password?", "I forgot my login credentials", "the recipe needs two eggs"),
    ("the cat sat on the mat", "a kitten is resting on the rug", "quarterly revenue grew by nine percent"),
    ("the parcel never arrived", "my delivery is lost", "my account was charged twice"),
    ("python raises a KeyError", "a dictionary lookup fails with an exception", "the snake shed its skin"),
    ("Is it going to rain tomorrow?", "weather forecast for the next day", "train strike announced for Monday"),
]


def test_related_sentences_are_nearer_than_unrelated_ones(int8: MiniLM) -> None:
    for anchor, near, far in RELATED:
        first, second, third = int8.embed([anchor, near, far]).vectors
        assert float(first @ second) > float(first @ third) + 0.15, anchor


def test_every_vector_has_length_one(int8: MiniLM) -> None:
    found = int8.embed(["", "x", "a longer sentence than the others", "🙂", "\u0000\u200b", " \n\t "])
    assert found.vectors.shape == (6, 384)
    assert found.vectors.dtype == "float32"
    assert (found.vectors**2).sum(axis=1).tolist() == pytest.approx([1.0] * 6, abs=1e-5)


def test_no_text_gives_no_vector(int8: MiniLM) -> None:
    found = int8.embed([])
    assert found.vectors.shape == (0, 384)
    assert (found.tokens, found.truncated) == ([], 0)


def test_the_empty_text_is_its_two_markers(int8: MiniLM) -> None:
    found = int8.embed(["", "   "])
    assert found.tokens == [2, 2]
    assert (found.vectors[0] == found.vectors[1]).all()


def test_tokens_are_counted_as_the_model_reads_them(int8: MiniLM) -> None:
    assert int8.embed(["hello world", "Hello, world!", "embeddings"]).tokens == [4, 6, 6]  # em ##bed ##ding ##s


def test_case_and_accents_do_not_matter_to_this_model(int8: MiniLM) -> None:
    first, second = int8.embed(["Café CRÈME", "cafe creme"]).vectors
    assert (first == second).all()


def test_long_texts_are_cut_at_256_pieces_and_counted(int8: MiniLM) -> None:
    fits, cut = "word " * 254, "word " * 255
    found = int8.embed([fits, cut, cut + "of which the end is not read"])
    assert found.tokens == [256, 256, 256]
    assert found.truncated == 2
    assert (found.vectors[0] == found.vectors[1]).all()
    assert (found.vectors[1] == found.vectors[2]).all()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["a" * 20_000_000, "word " * 4_000_000, " " * 20_000_000, "é" * 10_000_000, "[SEP]" * 4_000_000])
def test_a_text_of_20_megabytes_costs_no_more_than_its_beginning(int8: MiniLM, text: str) -> None:
    assert int8.embed([text]).truncated == 1


def test_a_vector_does_not_depend_on_its_company(int8: MiniLM) -> None:
    alone = int8.embed(["short"]).vectors[0]
    for company in (["short", "word " * 300], ["a", "b", "short"], ["short"] * 3):
        found = int8.embed(company)
        assert (found.vectors[company.index("short")] == alone).all()


def test_a_lone_surrogate_is_a_bad_request_that_names_the_text(int8: MiniLM) -> None:
    with pytest.raises(MalformedRequest, match="text 1 is not valid Unicode: surrogates not allowed at character 3"):
        int8.embed(["fine", "abc\ud800"])


def test_threads_share_one_model(cache: Path, int8: MiniLM) -> None:
    """Eight threads meet an unloaded model: one opens it, and everyone gets the vectors that a single thread gets."""
    texts = [f"sentence number {number} about {topic}" for number, topic in enumerate(["rivers", "gates", "pipes", "turbines"] * 3)]
    expected = int8.embed(texts).vectors
    model, start = MiniLM(cache), threading.Barrier(8)
    found: list[Embeddings] = []

    def work() -> None:
        start.wait()
        found.append(model.embed(texts))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((each.vectors == expected).all() for each in found)


def test_more_threads_give_the_same_meaning(cache: Path, int8: MiniLM) -> None:
    texts = ["how do I reset my password?", "word " * 200]
    cosines = (MiniLM(cache, threads=2).embed(texts).vectors * int8.embed(texts).vectors).sum(axis=1)
    assert cosines.min() > 0.9999


def test_no_threads_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MiniLM(tmp_path, threads=0)


def test_loading_may_be_tried_again_after_a_failure(files: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MiniLM(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("sys.path", [str(tmp_path)])
        with pytest.raises(ModelMissing):
            model.load()
    model.load()
    assert model.embed(["now it works"]).tokens == [5]


@pytest.fixture(scope="module")
def tokenizers(files: ModelFiles) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizer as the model uses it, uncut, and as its library would: the whole text, cut by the library."""
    from tokenizers import Tokenizer

    uncut, cutting = (Tokenizer.from_file(str(files.tokenizer)) for _ in range(2))
    for tokenizer in (uncut, cutting):
        tokenizer.no_padding()
    uncut.no_truncation()
    cutting.enable_truncation(MAX_PIECES)
    return uncut, cutting


WORDS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=60, deadline=None)
@given(words=st.lists(WORDS, max_size=40), repeat=st.integers(1, 50), gap=st.sampled_from(["", " ", "\n", ", "]))
def test_reading_only_the_beginning_changes_no_piece(
    tokenizers: tuple[Tokenizer, Tokenizer], words: list[str], repeat: int, gap: str
) -> None:
    uncut, cutting = tokenizers
    text = gap.join(words) * repeat
    expected = cutting.encode(text)
    assert word_pieces(uncut, text) == (expected.ids, bool(expected.overflowing))
