"""Numpy's ``.npy``: a header that is a Python literal, then numbers. An array of objects is a pickle and refused.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import math
import re
from typing import BinaryIO, cast

from penstock.registry.scan.report import Refused

MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 65_536
_KIND = re.compile(r"[<>=|](?:[biufc](\d{1,2})|[SUV](\d{1,9}))")


def read_array(file: BinaryIO, size: int) -> None:
    """Raise `Refused` unless the file is one array of numbers or texts, to the byte."""
    head = file.read(12)
    if len(head) < 10 or not head.startswith(MAGIC) or head[6] not in (1, 2, 3):
        raise Refused("array_malformed", "no numpy array of a known version")
    wide = 4 if head[6] > 1 else 2
    length = int.from_bytes(head[8 : 8 + wide], "little")
    if length > _LONGEST_HEADER or 8 + wide + length > size:
        raise Refused("array_malformed", "the header is longer than any header")
    file.seek(8 + wide)
    try:
        described = ast.literal_eval(file.read(length).decode("utf-8").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, UnicodeDecodeError) as fault:
        raise Refused("array_malformed", "the header is no literal") from fault
    if not isinstance(described, dict) or set(cast("dict[object, object]", described)) != {"descr", "fortran_order", "shape"}:
        raise Refused("array_malformed", "the header does not say type, order and shape")
    kind, shape = cast("object", described["descr"]), cast("object", described["shape"])
    found = _KIND.fullmatch(kind) if isinstance(kind, str) else None
    if found is None:
        raise Refused("array_objects", "an array of something else than numbers is loaded by unpickling it")
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in cast("tuple[object, ...]", shape)):
        raise Refused("array_malformed", "the shape is no shape")
    width = int(found[1] or found[2]) * (4 if "U" in found[0] else 1)
    if 8 + wide + length + width * math.prod(cast("tuple[int, ...]", shape)) != size:
        raise Refused("array_malformed", "the file is not as long as its shape says")
