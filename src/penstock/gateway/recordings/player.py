"""Finding recorded exchanges again: an index in memory, the exchanges themselves left on disk."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock.gateway.recordings.exchange import (
    Exchange,
    Header,
    IndexLine,
    fields_of,
    from_line,
    keys_of,
    model_of,
)
from penstock.gateway.recordings.reading import Source
from penstock.kernel.errors import PenstockError, UnknownModel

MISS = "recording_miss"

_log = logging.getLogger("penstock.gateway.recordings")
_index_line = msgspec.json.Decoder(IndexLine)
_NAMED = 5


class _Asked(msgspec.Struct):
    model: Any = ""


_asked = msgspec.json.Decoder(_Asked)


class Player:
    """Exchanges of one recording, found by request. The file is indexed when the player is made; what is appended later is not seen.

    An index entry costs about 250 bytes and no body is kept. ``speed`` is for those who play what was found: 1 as recorded, 20 twenty times
    faster, 0 without waiting. ``models`` are the names asked for in the file, in the order of their first appearance; ``shapes`` the wire
    shapes; ``count`` the exchanges; ``damaged`` the lines and gzip members that could not be read and were left out.
    Raises `SettingsError` when the file is missing, is no recording, or was made by a newer version.
    """

    def __init__(self, path: str | Path, speed: float = 1.0) -> None:
        self.path = Path(path)
        self.speed = speed
        self.count = 0
        self._source = Source(path)
        self.header: Header = self._source.header
        self.damaged = 0
        self._exact: dict[bytes, _Places] = {}
        # Only exchanges with sampling knobs; one without has the same loose key as exact key.
        self._loose: dict[bytes, _Places] = {}
        self._turn: dict[bytes, int] = {}
        models: dict[str, None] = {}
        shapes: dict[str, None] = {}
        try:
            for offset, line in self._source.lines():
                try:
                    model, shape = self._index(offset, line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PenstockError):
                    self.damaged += 1
                else:
                    models[model] = shapes[shape] = None
        except BaseException:
            self.close()
            raise
        self.damaged += self._source.torn
        models.pop("", None)
        self.models = list(models)
        self.shapes = frozenset(shapes)
        if self.damaged:
            _log.warning("recording has unreadable lines, left out", extra={"file": str(self.path), "damaged": self.damaged})

    def find(self, shape: str, fields: Mapping[str, msgspec.Raw | bytes], model: str | None = None) -> Exchange:
        """The recorded exchange for a request in ``shape`` with the top level ``fields``.

        An exchange of exactly this request is preferred, then one of the same conversation under other sampling knobs (temperature, output
        cap, seed ...). Several of them take turns in the order of the file, so the nth same question always gets the same reply. ``model``
        replaces the model named in ``fields``. Raises `UnknownModel` with code ``recording_miss`` when there is none,
        `MalformedRequest` when a field is not JSON.
        """
        keys = keys_of(shape, fields, model)
        exact, loose = bytes.fromhex(keys.exact), bytes.fromhex(keys.loose)
        key, places = exact, _places(self._exact, exact)
        if not places:
            # Marked, since the same bytes may also be the exact key of others with turns of their own.
            key, places = b"loose" + loose, (*_places(self._exact, loose), *_places(self._loose, loose))
        if not places:
            raise self._miss(shape, model if model is not None else model_of(fields))
        turn = 0
        if len(places) > 1:
            turn = self._turn.get(key, 0)
            self._turn[key] = (turn + 1) % len(places)
        offset, length = divmod(places[turn], _SHIFT)
        return from_line(self._source.at(offset, length))

    def close(self) -> None:
        """Give the file back; nothing can be found afterwards. A second time does nothing."""
        self._source.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _index(self, offset: int, line: bytes) -> tuple[str, str]:
        entry = _index_line.decode(line)
        if not entry.key:
            keys = keys_of(entry.shape, fields_of(entry.request))
            entry.key, entry.loose = keys.exact, keys.loose
        try:
            exact, loose = bytes.fromhex(entry.key), bytes.fromhex(entry.loose)
        except ValueError as fault:
            raise msgspec.DecodeError("a key is not hexadecimal") from fault
        if not line.endswith(b"\n"):
            from_line(line)  # the last line: whole when it reads to its end, torn otherwise
        place = offset * _SHIFT + len(line)
        _put(self._exact, exact, place)
        if loose and loose != exact:
            _put(self._loose, loose, place)
        self.count += 1
        model = _asked.decode(entry.request).model
        return model if isinstance(model, str) else "", entry.shape

    def _miss(self, shape: str, model: str) -> UnknownModel:
        how = "record it with a provider of profile `recording` (docs/recordings.md)"
        if model in self.models:
            what = f"{self.path.name} holds no reply of {model!r} to this {shape} request"
        else:
            near = difflib.get_close_matches(model, self.models, n=1, cutoff=0.5)
            named = ", ".join(self.models[:_NAMED]) + (" ..." if len(self.models) > _NAMED else "")
            hint = f"; the nearest is {near[0]!r}" if near else (f"; it holds {named}" if named else "; it is empty")
            what = f"{self.path.name} holds nothing of model {model[:200]!r}{hint}"
        return UnknownModel(f"{what}; {how}", code=MISS, param="model")


# A place in the file is one integer, offset and length together: half the memory of a pair. Most keys have one place.
_SHIFT = 1 << 32
_Places = int | list[int]


def _put(index: dict[bytes, _Places], key: bytes, place: int) -> None:
    held = index.setdefault(key, place)
    if isinstance(held, list):
        held.append(place)
    elif held != place:
        index[key] = [held, place]


def _places(index: dict[bytes, _Places], key: bytes) -> Sequence[int]:
    held = index.get(key)
    return () if held is None else (held,) if isinstance(held, int) else held


def models(path: str | Path) -> list[str]:
    """Names of the models in a recording, in the order in which they appear. Raises as `Player` does."""
    with Player(path) as player:
        return player.models
