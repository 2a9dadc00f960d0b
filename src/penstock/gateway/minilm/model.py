"""MiniLM at work: texts in, unit vectors out, on the CPU, with no network."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec

from penstock.gateway.minilm.cache import TOKENIZER_KEY, export, exported_path
from penstock.gateway.minilm.errors import ExportFailed, LocalExtraMissing
from penstock.gateway.minilm.files import locate
from penstock.gateway.minilm.graph import MAX_PIECES, WIDTH, Precision
from penstock.kernel.errors import MalformedRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A text is tokenised by its beginning, since 256 pieces of English are about 1,100 characters. When the first prefix does not settle
# which pieces count (long runs without a space, or of nothing but spaces), the second one must do: 50 MB without a space would
# otherwise keep the tokenizer busy for 100 s with 3 GB.
_PREFIXES: Final = (4_096, 65_536)


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """What `MiniLM.embed` found: row i of ``vectors`` and item i of ``tokens`` belong to text i.

    ``vectors``: float32 [n, 384], each of length 1. ``tokens``: word pieces that the model read, the opening and the closing marker
    included, so 2..256. ``truncated``: how many texts were cut because they have more pieces, or more than 65,536 characters.
    """

    vectors: NDArray[np.float32]
    tokens: list[int]
    truncated: int


class _Encoding(Protocol):
    """The part of `tokenizers.Encoding` that is used here; the package ships no usable types."""

    @property
    def ids(self) -> list[int]: ...
    @property
    def word_ids(self) -> list[int | None]: ...


class _Tokenizer(Protocol):
    def encode(self, sequence: str) -> _Encoding: ...
    def no_padding(self) -> None: ...
    def no_truncation(self) -> None: ...


class _Metadata(Protocol):
    custom_metadata_map: Mapping[str, str]


class _Session(Protocol):
    def run(self, output_names: None, input_feed: Mapping[str, NDArray[np.int64]]) -> list[NDArray[np.float32]]: ...
    def get_modelmeta(self) -> _Metadata: ...


class _Options(Protocol):
    intra_op_num_threads: int
    inter_op_num_threads: int
    log_severity_level: int

    def add_session_config_entry(self, key: str, value: str) -> None: ...


class _Runtime(Protocol):
    """The part of `onnxruntime` that is used here; the package ships no types."""

    def SessionOptions(self) -> _Options: ...
    def InferenceSession(self, path: str, options: _Options, *, providers: Sequence[str]) -> _Session: ...


class MiniLM:
    """all-MiniLM-L6-v2: English sentences to 384 dimensions, by the cosine of which related sentences are near each other.

    Safe to use from several threads, whose texts then run side by side. The same text gives the same vector, bit for bit, whatever it
    is sent along with, since every text runs by itself: see `penstock.gateway.minilm.graph` for why a batch would not be faster.
    """

    dimensions: Final = WIDTH
    max_tokens: Final = MAX_PIECES

    def __init__(self, directory: Path, threads: int = 1, precision: Precision = "int8") -> None:
        """Nothing is read yet. ``directory`` keeps the export; ``threads`` is how many cores one text may use (1 is right for a
        server that embeds several texts at once); fp32 is the yardstick: 1.5 to 2 times the time, 60 MB more memory.
        """
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self._directory = directory
        self._threads = threads
        self._precision: Precision = precision
        self._loading = threading.Lock()
        self._loaded: tuple[_Tokenizer, _Session] | None = None

    def load(self) -> None:
        """Open the model, exporting it first when this machine has not done so; blocks for up to a few seconds, later calls for none.

        Raises `LocalExtraMissing`, `ModelMissing`, `ModelAltered` or `ExportFailed`; after any of them it may be called again.
        """
        self._ready()

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors of ``texts``, in their order; loads the model if need be. Blocks, so call it in a thread.

        No text gives an empty [0, 384]; the empty text has a vector too (that of the two markers). Raises `MalformedRequest` for a text
        with a lone surrogate, which no encoding can carry, and whatever `load` raises.
        """
        tokenizer, session = self._ready()
        import numpy as np  # lazy: heavy, and only this capability needs it

        vectors = np.empty((len(texts), WIDTH), dtype=np.float32)
        tokens: list[int] = []
        truncated = 0
        for row, text in enumerate(texts):
            try:
                pieces, cut = word_pieces(tokenizer, text)
            except UnicodeEncodeError as error:
                raise MalformedRequest(f"text {row} is not valid Unicode: {error.reason} at character {error.start}") from None
            tokens.append(len(pieces))
            truncated += cut
            vectors[row] = session.run(None, {"input_ids": np.array(pieces, dtype=np.int64)})[0]
        return Embeddings(vectors=vectors, tokens=tokens, truncated=truncated)

    def _ready(self) -> tuple[_Tokenizer, _Session]:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = self._open()
        return self._loaded

    def _open(self) -> tuple[_Tokenizer, _Session]:
        path = exported_path(self._directory, self._precision)
        if not path.exists():
            path = export(locate(), self._directory, self._precision)
        session = _open_session(path, self._threads)
        definition = session.get_modelmeta().custom_metadata_map.get(TOKENIZER_KEY)
        if definition is None:  # it is written last, so this is what a file looks like that lost its end
            raise ExportFailed(f"the exported embedding model {path} is incomplete. Delete it: it is made again.")
        return _open_tokenizer(definition), session


def _open_session(path: Path, threads: int) -> _Session:
    try:
        runtime = cast("_Runtime", importlib.import_module("onnxruntime"))  # lazy: 0.2 s and 20 MB
    except ModuleNotFoundError as error:
        raise LocalExtraMissing("onnxruntime") from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: they come back as exceptions, and stderr belongs to the structured log
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads sleep: other work needs the cores
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base class, and all mean that this file is of no use
        raise ExportFailed(f"the exported embedding model {path} cannot be opened ({error}). Delete it: it is made again.") from error


def _open_tokenizer(definition: str) -> _Tokenizer:
    try:
        from tokenizers import Tokenizer  # lazy: a native library
    except ModuleNotFoundError as error:
        raise LocalExtraMissing("tokenizers") from error
    tokenizer = cast("_Tokenizer", Tokenizer.from_str(definition))
    tokenizer.no_padding()  # the definition pads and cuts to 128
    tokenizer.no_truncation()  # done below, where it can be reported
    return tokenizer


def word_pieces(tokenizer: _Tokenizer, text: str) -> tuple[list[int], bool]:
    """The ids of at most `MAX_PIECES` word pieces, both markers included, and whether there was more of the text."""
    ids: list[int] = []
    for length in _PREFIXES:
        prefix = text[:length]
        prefix.encode()  # tokenizers would answer a lone surrogate with "must be str"
        encoding = tokenizer.encode(prefix)
        ids, words = encoding.ids, encoding.word_ids
        whole = len(prefix) == len(text)
        if len(ids) <= MAX_PIECES:
            if whole:
                return ids, False
        elif whole or words[MAX_PIECES - 2] != words[-2]:
            break  # only the last word of a prefix can differ from the whole text's, and the pieces that count lie before it
    return [*ids[: MAX_PIECES - 1], ids[-1]] if len(ids) > MAX_PIECES else ids, True
