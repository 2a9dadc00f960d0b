"""Reads a pickle opcode by opcode and never runs it: refuses whatever the writers of weights do not write.

`pickletools` splits the stream; this file follows what each opcode would put on the stack, so that the callable of every call and the
target of every fill is known. What cannot be followed is refused. That settles whole classes of evasion at once: names put together on
the stack or swapped through the memo, a stream that breaks after its payload, a second stream behind the first, opcodes that only
attackers use.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from penstock.registry.scan.allowed import ALLOWED
from penstock.registry.scan.report import Refused

MAX_BYTES = 256 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_NUMERIC = re.compile(r"[<>=|]?(?:[biufc](?:1|2|4|8|16)|[SUa]\d{1,9}|\?)", re.ASCII)


class Global:
    """An import that the allow-list knows, and the use it allows."""

    __slots__ = ("module", "name", "use")

    def __init__(self, module: str, name: str, use: str) -> None:
        self.module, self.name, self.use = module, name, use

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Made:
    """What a call of an allowed import returned."""

    __slots__ = ("by",)

    def __init__(self, by: Global) -> None:
        self.by = by


class Filled:
    """A dict, list or set of the stream itself; of a dict the keys that are texts, ``None`` standing for all others."""

    __slots__ = ("keys", "kind")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.keys: set[str | None] = set()


_MARK = object()
_DATA = object()
"""Numbers, bytes and whatever else is nothing but data."""

_PLAIN = frozenset(
    {
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "FLOAT",
        "BINFLOAT",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
    }
)
_TEXT = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"})
_EMPTY = {"EMPTY_DICT": "dict", "EMPTY_LIST": "list", "EMPTY_SET": "set"}
_REFUSED = {
    "EXT1": "an import through the extension registry, whose name the file does not say",
    "EXT2": "an import through the extension registry, whose name the file does not say",
    "EXT4": "an import through the extension registry, whose name the file does not say",
    "INST": "an opcode for classes of Python 2 that no writer of weights uses",
    "OBJ": "an opcode for classes of Python 2 that no writer of weights uses",
    "NEWOBJ_EX": "an opcode that no writer of weights uses",
    "PERSID": "a reference to something outside the file",
    "NEXT_BUFFER": "a reference to something outside the file",
    "READONLY_BUFFER": "a reference to something outside the file",
    "DUP": "an opcode that no writer of weights uses",
    "POP": "an opcode that no writer of weights uses",
    "POP_MARK": "an opcode that no writer of weights uses",
}


def read_pickle(data: bytes, *, storages: frozenset[str] | None = None) -> None:
    """Raise `Refused` unless ``data`` is exactly one pickle of weights.

    ``storages`` are the names of the storages beside it in a torch archive, to which alone it may refer; None when it stands alone.
    """
    if len(data) > MAX_BYTES:
        raise Refused("pickle_too_large", f"a pickle of {len(data)} bytes is not read; {MAX_BYTES} are the most. Use safetensors")
    _Reader(data, storages).read()


def imports(data: bytes) -> bool:
    """Whether ``data`` holds a pickle, whole or broken, that imports something: what a text file must not be."""
    found = False
    try:
        for opcode, _, _ in pickletools.genops(data):
            found = found or opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
            if found and opcode.name in ("REDUCE", "BUILD", "NEWOBJ", "OBJ", "INST", "STOP"):
                return True
    except Exception:  # pickletools raises whatever it stumbles over; a text is no pickle from there on
        return False
    return False


class _Reader:
    def __init__(self, data: bytes, storages: frozenset[str] | None) -> None:
        self.data = data
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.at = 0

    def read(self) -> None:
        stream = io.BytesIO(self.data)
        steps: Mapping[str, Callable[[Any], None]] = self._steps()
        try:
            for opcode, argument, position in pickletools.genops(stream):
                self.at = cast("int", position)
                name = opcode.name
                if name == "STOP":
                    break
                if name in _PLAIN:
                    self.stack.append(_DATA)
                elif name in _TEXT:
                    self.stack.append(argument if isinstance(argument, str) else _DATA)
                elif name in _EMPTY:
                    self.stack.append(Filled(_EMPTY[name]))
                elif name in _REFUSED:
                    raise self._no("pickle_opcode", f"{name}: {_REFUSED[name]}")
                elif name in steps:
                    steps[name](argument)
                else:
                    raise self._no("pickle_opcode", f"{name} is not an opcode that weights need")
                if len(self.stack) > 50_000_000:
                    raise self._no("pickle_broken", "more values than any weights have")
        except Refused:
            raise
        except Exception as fault:  # pickletools and the stack raise whatever they stumble over; a stream that breaks is refused
            raise self._no("pickle_broken", f"the stream is broken: {str(fault)[:160] or type(fault).__name__}") from fault
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise self._no("pickle_broken", f"{len(self.stack)} values are on the stack at the end, one belongs there")
        rest = len(self.data) - stream.tell()
        if rest:
            raise self._no("pickle_trailing", f"{rest} bytes follow the end of the pickle; a second one may hide there")

    def _no(self, code: str, message: str) -> Refused:
        return Refused(code, f"at byte {self.at}: {message}")

    def _steps(self) -> Mapping[str, Callable[[Any], None]]:
        return {
            "PROTO": self._proto,
            "FRAME": self._frame,
            "MARK": lambda _: self.stack.append(_MARK),
            "GLOBAL": self._global,
            "STACK_GLOBAL": self._stack_global,
            "REDUCE": self._reduce,
            "NEWOBJ": self._reduce,
            "BUILD": self._build,
            "BINPERSID": self._storage,
            "TUPLE": lambda _: self.stack.append(tuple(self._to_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "EMPTY_TUPLE": lambda _: self.stack.append(()),
            "LIST": lambda _: self._collect("list"),
            "DICT": lambda _: self._collect("dict"),
            "FROZENSET": lambda _: self._collect("frozenset"),
            "APPEND": lambda _: self._fill("list", [self._pop()]),
            "APPENDS": lambda _: self._fill("list", self._to_mark()),
            "ADDITEMS": lambda _: self._fill("set", self._to_mark()),
            "SETITEM": lambda _: self._fill("dict", list(reversed([self._pop(), self._pop()]))),
            "SETITEMS": lambda _: self._fill("dict", self._to_mark()),
            "PUT": self._put,
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "MEMOIZE": lambda _: self._put(len(self.memo)),
            "GET": self._get,
            "BINGET": self._get,
            "LONG_BINGET": self._get,
        }

    # ---- the stack

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise self._no("pickle_broken", "the stack is empty")
        return self.stack.pop()

    def _to_mark(self) -> list[Any]:
        for depth in range(len(self.stack) - 1, -1, -1):
            if self.stack[depth] is _MARK:
                taken = self.stack[depth + 1 :]
                del self.stack[depth:]
                return taken
        raise self._no("pickle_broken", "there is no mark")

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def _collect(self, kind: str) -> None:
        items = self._to_mark()
        made = Filled(kind)
        if kind == "dict":
            _note_keys(made, items)
        self._only_data(items)
        self.stack.append(made)

    def _fill(self, kind: str, items: list[Any]) -> None:
        target = self.stack[-1] if self.stack else _MARK
        fits = isinstance(target, Filled) and target.kind == kind
        fits = fits or (kind == "dict" and isinstance(target, Made) and target.by.use == "dict")
        if not fits:
            raise self._no("pickle_fill", f"items are put into something that is no {kind}")
        if kind == "dict":
            if len(items) % 2:
                raise self._no("pickle_broken", "a key has no value")
            if isinstance(target, Filled):
                _note_keys(target, items)
        self._only_data(items)

    def _only_data(self, items: Iterable[Any]) -> None:
        for item in items:
            if isinstance(item, Global) and item.use != "constant":
                raise self._no("pickle_import", f"{item} is kept as a value, where only weights belong")

    # ---- memo

    def _put(self, index: Any) -> None:
        if not self.stack or self.stack[-1] is _MARK:
            raise self._no("pickle_broken", "there is nothing to remember")
        if int(index) in self.memo:
            raise self._no("pickle_memo", f"memo {index} is written twice, which only serves to hide what is meant")
        self.memo[int(index)] = self.stack[-1]

    def _get(self, index: Any) -> None:
        if int(index) not in self.memo:
            raise self._no("pickle_memo", f"memo {index} is read and was never written")
        self.stack.append(self.memo[int(index)])

    # ---- what matters

    def _proto(self, version: Any) -> None:
        if self.at != 0:
            raise self._no("pickle_protocol", "the protocol is named again inside the stream")
        if int(version) > 5:
            raise self._no("pickle_protocol", f"protocol {version} does not exist")

    def _frame(self, length: Any) -> None:
        if int(length) > len(self.data) - self.at - 9:
            raise self._no("pickle_broken", "a frame is longer than the file")

    def _import(self, module: object, name: object) -> Global:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self._no("pickle_import", "what is imported cannot be told: its name is not a text of the stream")
        shown = f"{module[:80]}.{name[:80]}".encode("unicode_escape").decode("ascii")
        if not (_NAME.fullmatch(module) and _NAME.fullmatch(name)):
            raise self._no("pickle_import", f"it imports {shown}, which is no name")
        use = ALLOWED.get((module, name))
        if use is None:
            raise self._no("pickle_import", f"it imports {shown}, which is not on the allow-list")
        return Global(module, name, use)

    def _global(self, _: Any) -> None:
        # pickletools joins module and name with a space, so that a space in either would move the border between them.
        first = self.data.index(b"\n", self.at + 1)
        second = self.data.index(b"\n", first + 1)
        module, name = self.data[self.at + 1 : first], self.data[first + 1 : second]
        self.stack.append(self._import(module.decode("utf-8", "replace"), name.decode("utf-8", "replace")))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self.stack.append(self._import(module, name))

    def _reduce(self, _: Any) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, Global) or called.use == "constant":
            shown = str(called) if isinstance(called, Global) else "something that is not an import of the allow-list"
            raise self._no("pickle_call", f"it calls {shown}")
        if not isinstance(arguments, tuple):
            raise self._no("pickle_call", f"it calls {called} with arguments that are no tuple")
        given = cast("tuple[Any, ...]", arguments)
        fault = _misuse(called, given)
        if fault:
            raise self._no("pickle_call", f"it calls {called} with {fault}")
        self.stack.append(Made(called))

    def _build(self, _: Any) -> None:
        state = self._pop()
        target = self.stack[-1] if self.stack else _MARK
        use = target.by.use if isinstance(target, Made) else None
        if use == "dict" and isinstance(state, Filled) and state.kind == "dict" and state.keys <= {"_metadata"}:
            return
        if use == "dtype" and isinstance(state, tuple) and _flat(cast("tuple[Any, ...]", state)):
            return
        parts = cast("tuple[Any, ...]", state) if isinstance(state, tuple) else ()
        if use == "array" and len(parts) == 5 and isinstance(parts[2], Made) and parts[2].by.use == "dtype":
            data = parts[4]
            if data is _DATA or isinstance(data, str) or (isinstance(data, Made) and data.by.use == "latin1"):
                return
            raise self._no("pickle_build", "an array of objects; only arrays of numbers are weights")
        raise self._no("pickle_build", "the state of an object is set; only that of numpy arrays and the metadata of a state dict may be")

    def _storage(self, _: Any) -> None:
        given = self._pop()
        if self.storages is None:
            raise self._no("pickle_reference", "a reference to something outside the file")
        items = cast("tuple[Any, ...]", given) if isinstance(given, tuple) else ()
        if len(items) != 5 or items[0] != "storage" or not isinstance(items[1], Global) or "Storage" not in items[1].name:
            raise self._no("pickle_reference", "a reference that is not to a storage of this archive")
        if not isinstance(items[2], str) or items[2] not in self.storages:
            raise self._no("pickle_reference", "a reference to a storage that is not in this archive")
        if not isinstance(items[3], str) or items[4] is not _DATA:
            raise self._no("pickle_reference", "a reference to a storage at no place or of no size")
        self.stack.append(_DATA)


def _note_keys(target: Filled, items: list[Any]) -> None:
    target.keys.update(key if isinstance(key, str) and len(key) < 64 else None for key in items[::2])


def _flat(items: tuple[Any, ...]) -> bool:
    return all(item is _DATA or isinstance(item, str) for item in items)


def _misuse(called: Global, given: tuple[Any, ...]) -> str | None:
    """What is wrong with the arguments of a call, if anything."""
    for item in given:
        if isinstance(item, Global) and item.use != "constant":
            return f"the callable {item}"
    match called.use:
        case "dtype":
            if not given or not isinstance(given[0], str) or not _NUMERIC.fullmatch(given[0]):
                return "something that is not a type of numbers"
        case "latin1":
            if len(given) != 2 or not isinstance(given[0], str) or given[1] not in ("latin1", "latin-1"):
                return "another codec than latin1"
        case "array":
            kind = given[0] if given else None
            if len(given) != 3 or not isinstance(kind, Global) or str(kind) != "numpy.ndarray":
                return "another class than numpy.ndarray"
        case "dict":
            if any(isinstance(item, Made) for item in given):
                return "what another call made"
        case _:
            pass
    return None


__all__ = ["MAX_BYTES", "Global", "imports", "read_pickle"]
