"""Larger detectors: a token classifier, exported to ONNX, that marks what in a reply its context does not carry.

The shape is that of LettuceDetect's models (arXiv:2502.17125; MIT): a pair of sequences, context then reply, and two logits a token, the
second for "unsupported". A folder holds ``model.onnx`` and ``tokenizer.json``; nothing in it is executed, and it is loaded only when
whoever wires it has the registry's scan accept it (`Inspect`).
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from penstock.kernel.errors import Unavailable
from penstock.quality.grounded.judgement import Judgement, Limits, Span, not_judged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
UNSUPPORTED = 1
"""The label, by its place among the logits, of a token that nothing supports."""

AT_ONCE = 2
"""Replies that are judged side by side; each keeps its cores for a while, which calls of people need too."""

Inspect = Callable[[Path], tuple[str, Sequence[str]]]
"""Digest of a folder, and what speaks against loading it; `penstock.registry.scan.scan` as the wiring hands it over."""


class DetectorUnavailable(Unavailable):
    """A detector cannot be loaded: files or packages are missing, or the scan refuses what is there. The message says which."""

    default_code = "detector_unavailable"


class _Encoding(Protocol):
    """The part of `tokenizers.Encoding` that is used here; the package ships no usable types."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def offsets(self) -> list[tuple[int, int]]: ...
    @property
    def sequence_ids(self) -> list[int | None]: ...


class _Tokenizer(Protocol):
    def encode(self, sequence: str, pair: str | None = None, *, add_special_tokens: bool = True) -> _Encoding: ...
    def no_padding(self) -> None: ...
    def no_truncation(self) -> None: ...


class _Input(Protocol):
    name: str


class _Session(Protocol):
    def run(self, output_names: None, input_feed: Mapping[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]: ...
    def get_inputs(self) -> Sequence[_Input]: ...


class TokenDetector:
    """A token classifier from a folder; loaded with the first reply, used from a thread."""

    def __init__(self, folder: Path, inspect: Inspect, *, limits: Limits | None = None, most: int = 4096, threads: int = 1) -> None:
        """``most``: how many tokens the model reads at once; a longer context is read in pieces. ``threads``: cores for a reply."""
        self._folder, self._inspect = folder, inspect
        self._limits = limits or Limits(low=0.5, high=0.5)
        self._most, self._threads = most, threads
        self._loading = threading.Lock()
        self._loaded: tuple[_Tokenizer, _Session] | None = None
        self._digest = ""
        self._turn = asyncio.Semaphore(AT_ONCE)

    @property
    def id(self) -> str:
        """The folder's name and, once loaded, the digest of what is in it."""
        return f"{self._folder.name}/tokens" + (f"/{self._digest[:12]}" if self._digest else "")

    async def judge(self, context: Sequence[str], reply: str) -> Judgement:
        """See `Detector.judge`. Raises `DetectorUnavailable`. A token counts as supported when any piece of the context supports it."""
        async with self._turn:
            return await asyncio.to_thread(self._judge, context, reply)

    def load(self) -> None:
        """Inspect and open the files; blocks, later calls for nothing. Raises `DetectorUnavailable`, after which it may be called again."""
        self._ready()

    def _judge(self, context: Sequence[str], reply: str) -> Judgement:
        if (nothing := not_judged(self.id, context, reply)) is not None:
            return nothing
        tokenizer, session = self._ready()
        whole = "\n".join(context)
        # Four places are left for the markers around the two sequences, of which models have two to four.
        room = self._most - len(tokenizer.encode(reply, add_special_tokens=False).ids) - 4
        if room < self._most // 8:
            why = f"The reply leaves no room for its context: the model reads {self._most:,} tokens."
            return Judgement(verdict="not_judged", detector=self.id, why=why)
        best: list[tuple[int, int, float]] = []
        for piece in _pieces(tokenizer, whole, room):
            marked = _marked(tokenizer, session, piece, reply)
            best = [(a, b, min(p, q)) for (a, b, p), (_, _, q) in zip(best, marked, strict=True)] if best else marked
        if not best:
            return Judgement(verdict="not_judged", detector=self.id, why="The reply holds no tokens.")
        score = max(chance for _, _, chance in best)
        return Judgement(verdict=self._limits.verdict(score), detector=self.id, score=score, spans=_spans(best))

    def _ready(self) -> tuple[_Tokenizer, _Session]:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._open()
        return self._loaded

    def _open(self) -> tuple[_Tokenizer, _Session]:
        for name in (MODEL, TOKENIZER):
            if not (self._folder / name).is_file():
                raise DetectorUnavailable(f"the detector's folder {self._folder.name} has no {name}")
        digest, faults = self._inspect(self._folder)
        if faults:
            raise DetectorUnavailable(f"the scan refuses the detector's folder {self._folder.name}: {'; '.join(faults[:3])}")
        # Lazy: heavy native libraries, which only a larger detector needs.
        tokenizers, runtime = _package("tokenizers"), _package("onnxruntime")
        try:
            tokenizer = cast("_Tokenizer", tokenizers.Tokenizer.from_file(str(self._folder / TOKENIZER)))
            options = runtime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.log_severity_level = 3  # errors only: they come back as exceptions
            session = cast("_Session", runtime.InferenceSession(str(self._folder / MODEL), options, providers=["CPUExecutionProvider"]))
        except Exception as error:  # neither library has an exception class of its own; all mean that these files are of no use
            raise DetectorUnavailable(f"the detector in {self._folder.name} cannot be opened: {error}") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()  # context is read in pieces instead
        self._digest = digest
        return tokenizer, session


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise DetectorUnavailable(
            f"the Python package {name!r}, which detectors in ONNX need, is missing: pip install 'penstock[local]'"
        ) from error


def _pieces(tokenizer: _Tokenizer, text: str, room: int) -> list[str]:
    """The text in pieces of at most about ``room`` tokens each; a piece's own tokens may differ by one or two at its ends."""
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    if len(offsets) <= room:
        return [text]
    step = room - 2
    return [text[offsets[at][0] : offsets[min(at + step, len(offsets)) - 1][1]] for at in range(0, len(offsets), step)]


def _marked(tokenizer: _Tokenizer, session: _Session, context: str, reply: str) -> list[tuple[int, int, float]]:
    """Each token of the reply: its offsets, and how likely it is unsupported."""
    import numpy as np  # lazy: the extra `local`

    encoding = tokenizer.encode(context, reply)
    ids = np.array([encoding.ids], dtype=np.int64)
    sequences = encoding.sequence_ids
    known = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.array([[sequence or 0 for sequence in sequences]], dtype=np.int64),
    }
    wanted = [one.name for one in session.get_inputs()]
    if strange := [name for name in wanted if name not in known]:
        raise DetectorUnavailable(f"the detector's model asks for {', '.join(strange)}, which a token classifier is not given")
    try:
        logits = session.run(None, {name: known[name] for name in wanted})[0]
    except Exception as error:  # onnxruntime's have no class of their own; a model that reads fewer tokens than it is given is one
        raise DetectorUnavailable(f"the detector's model cannot read {ids.shape[1]:,} tokens: {str(error)[:300]}") from error
    if logits.shape != (1, ids.shape[1], 2):
        raise DetectorUnavailable(f"the detector's model answers in the shape {logits.shape}, not with two logits a token")
    chances = 1 / (1 + np.exp(-(logits[0, :, UNSUPPORTED] - logits[0, :, 1 - UNSUPPORTED]).astype(np.float64)))
    found = zip(encoding.offsets, sequences, chances.tolist(), strict=True)
    return [(start, end, chance) for (start, end), sequence, chance in found if sequence == 1 and end > start]


def _spans(tokens: Sequence[tuple[int, int, float]], threshold: float = 0.5) -> tuple[Span, ...]:
    """Runs of tokens at or above the threshold, each with its highest score."""
    runs: list[list[tuple[int, int, float]]] = []
    for index, token in enumerate(tokens):
        if token[2] < threshold:
            continue
        if runs and index and tokens[index - 1][2] >= threshold:
            runs[-1].append(token)
        else:
            runs.append([token])
    return tuple(Span(kind="tokens", start=run[0][0], end=run[-1][1], score=max(token[2] for token in run)) for run in runs)
