"""ONNX: its protocol buffer is walked field by field without loading it.

Refused are operators of domains that bring their own code, operators that run Python, and external data outside the model's folder or
behind a link (CVE-2022-25882, CVE-2024-27318, CVE-2026-27489, CVE-2026-34446), or described by words that are not ONNX's
(CVE-2026-34445). Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NoReturn

from penstock.registry.scan.report import Refused

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc"})
"""Domains whose operators ONNX and ONNX Runtime themselves bring."""
_PYTHON = frozenset({"PyOp", "PythonOp", "PythonOpGrad", "ATen", "TorchScriptOp", "CustomOp"})
_PLACES = frozenset({"location", "offset", "length", "checksum"})
_DEEPEST = 64
_MAX_FIELDS = 20_000_000


def read_onnx(file: BinaryIO, size: int, folder: Path) -> tuple[str, ...]:
    """Raise `Refused` for what must not be loaded; the external files that the model refers to, relative to ``folder``."""
    if size > 2**31:
        _no("a model of more than 2 GiB is no protocol buffer; keep its weights in files beside it")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
        reader = _Reader(view, folder)
        reader.model(0, size)
        return tuple(sorted(reader.external))


class _Reader:
    def __init__(self, view: memoryview, folder: Path) -> None:
        self.view = view
        self.folder = folder
        self.external: set[str] = set()
        self.functions: set[tuple[str, str]] = set()
        self.nodes: set[tuple[str, str]] = set()
        self.fields = 0

    def model(self, at: int, end: int) -> None:
        graphs = 0
        version = 0
        for number, kind, begin, stop in self._walk(at, end):
            if number == 1 and kind == 0:
                version = begin
            elif number == 7:
                graphs += 1
                self._graph(begin, stop, 0)
            elif number == 20:
                for field, _, a, b in self._walk(begin, stop):
                    if field in (1, 2):
                        self._graph(a, b, 0)
            elif number == 25:
                self._function(begin, stop)
            elif number > 26:
                _no(f"field {number} is none of a model's")
        if graphs != 1 or not 1 <= version <= 64:
            _no("it has no graph or no version")
        for domain, name in sorted(self.nodes - self.functions):
            if name in _PYTHON:
                raise Refused("onnx_operator", f"the operator {name!r} runs code from outside the model")
            if domain not in DOMAINS:
                raise Refused(
                    "onnx_operator", f"the operator {name[:80]!r} of domain {domain[:80]!r} needs code that is not ONNX Runtime's"
                )

    def _function(self, at: int, end: int) -> None:
        name = domain = ""
        for number, _, begin, stop in self._walk(at, end):
            if number == 1:
                name = self._text(begin, stop)
            elif number == 10:
                domain = self._text(begin, stop)
            elif number == 7:
                self._node(begin, stop, 0)
        self.functions.add((domain, name))

    def _graph(self, at: int, end: int, depth: int) -> None:
        if depth > _DEEPEST:
            _no("its graphs are nested too deep")
        for number, _, begin, stop in self._walk(at, end):
            if number == 1:
                self._node(begin, stop, depth)
            elif number == 5:
                self._tensor(begin, stop)
            elif number == 15:
                self._sparse(begin, stop)

    def _node(self, at: int, end: int, depth: int) -> None:
        name = domain = ""
        for number, _, begin, stop in self._walk(at, end):
            if number == 4:
                name = self._text(begin, stop)
            elif number == 7:
                domain = self._text(begin, stop)
            elif number == 5:
                for field, _, a, b in self._walk(begin, stop):
                    if field in (5, 10):
                        self._tensor(a, b)
                    elif field in (6, 11):
                        self._graph(a, b, depth + 1)
                    elif field in (22, 23):
                        self._sparse(a, b)
        self.nodes.add((domain, name))

    def _sparse(self, at: int, end: int) -> None:
        for number, _, begin, stop in self._walk(at, end):
            if number in (1, 2):
                self._tensor(begin, stop)

    def _tensor(self, at: int, end: int) -> None:
        told: dict[str, str] = {}
        outside = False
        for number, kind, begin, stop in self._walk(at, end):
            if number == 13:
                pair = ["", ""]
                for field, _, a, b in self._walk(begin, stop):
                    if field in (1, 2):
                        pair[field - 1] = self._text(a, b)
                if pair[0] in told:
                    _no("external data is described twice")
                told[pair[0]] = pair[1]
            elif number == 14 and kind == 0:
                outside = begin == 1
        if outside or told:
            self._beside(told)

    def _beside(self, told: dict[str, str]) -> None:
        strange = sorted(told.keys() - _PLACES)
        if strange:
            raise Refused("onnx_external", f"external data is described by {strange[0][:80]!r}, which is none of its words")
        place = told.get("location", "")
        path = PurePosixPath(place)
        if not place or path.is_absolute() or ".." in path.parts or "\\" in place or ":" in place or "\0" in place:
            raise Refused("onnx_external", f"external data at {place[:120]!r} lies outside the model's folder")
        file = self.folder / path
        linked = any((self.folder / part).is_symlink() for part in (path, *path.parents[:-1]))
        if linked or not file.is_file() or file.stat().st_nlink > 1:
            raise Refused("onnx_external", f"external data at {place[:120]!r} is not beside the model, or a link")
        try:
            offset, length = int(told.get("offset") or 0), int(told.get("length") or 0)
        except ValueError:
            _no("external data has no proper place in its file")
        if offset < 0 or length < 0 or offset + length > file.stat().st_size:
            raise Refused("onnx_external", f"external data at {place[:120]!r} ends behind its file")
        self.external.add(str(path))

    # ---- the wire

    def _walk(self, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """Fields of a message: number, wire type, and where its bytes begin and end; for a varint its value and 0."""
        while at < end:
            self.fields += 1
            if self.fields > _MAX_FIELDS:
                _no("it has more fields than any model")
            tag, at = self._varint(at, end)
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                value, at = self._varint(at, end)
                yield number, 0, value, 0
                continue
            if kind == 2:
                length, at = self._varint(at, end)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                _no(f"a field of wire type {kind}")
            if number == 0 or length > end - at:
                _no("a field is longer than what holds it")
            yield number, kind, at, at + length
            at += length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            if at >= end or shift > 63:
                _no("it is no protocol buffer")
            byte = self.view[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7

    def _text(self, begin: int, stop: int) -> str:
        if stop - begin > 100_000:
            _no("a name is longer than any name")
        return bytes(self.view[begin:stop]).decode("utf-8", "replace")


def _no(message: str) -> NoReturn:
    raise Refused("onnx_malformed", message)
