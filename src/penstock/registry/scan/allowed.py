"""The list of what a pickle may import, which we own: everything that is not on it is refused, whoever calls it harmless.

It holds what `torch.save` of a state dict and plain numpy arrays need and nothing that runs code, opens files, imports by name, reads
attributes or unpickles in turn. An entry is added by a change to this file that a second person reviews; there is no setting for it.

Each name has the *use* that the reader in `pickles` allows of it: a ``constant`` may only be passed on, a ``call`` may be called with any
data, a ``dict`` may be called, filled and be given ``_metadata``, and the others have a rule of their own about their arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_STORAGES = (
    "BFloat16",
    "Bool",
    "Byte",
    "Char",
    "ComplexDouble",
    "ComplexFloat",
    "Double",
    "Float",
    "Half",
    "Int",
    "Long",
    "Short",
    "QInt8",
    "QInt32",
    "QUInt8",
    "QUInt2x4",
    "QUInt4x2",
    "Untyped",
)
_DTYPES = (
    "bfloat16",
    "bool",
    "complex32",
    "complex64",
    "complex128",
    "float16",
    "float32",
    "float64",
    "half",
    "float",
    "double",
    "int8",
    "int16",
    "int32",
    "int64",
    "short",
    "int",
    "long",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "qint8",
    "qint32",
    "quint8",
    "quint4x2",
    "quint2x4",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "per_tensor_affine",
    "per_channel_affine",
    "strided",
    "sparse_coo",
    "contiguous_format",
    "preserve_format",
)
_REBUILDS = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_qtensor",
    "_rebuild_sparse_tensor",
)

ALLOWED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        **{("torch", f"{name}Storage"): "constant" for name in _STORAGES},
        ("torch.storage", "UntypedStorage"): "constant",
        **{("torch", name): "constant" for name in _DTYPES},
        **{("torch._utils", name): "call" for name in _REBUILDS},
        ("torch", "Size"): "call",
        ("torch", "device"): "call",
        ("torch.serialization", "_get_layout"): "call",
        ("collections", "OrderedDict"): "dict",
        ("collections", "Counter"): "dict",
        **{(module, name): "plain" for module in ("builtins", "__builtin__") for name in ("set", "frozenset", "complex")},
        ("_codecs", "encode"): "latin1",
        ("numpy", "dtype"): "dtype",
        ("numpy", "ndarray"): "constant",
        **{(f"numpy.{core}.multiarray", "_reconstruct"): "array" for core in ("core", "_core")},
        **{(f"numpy.{core}.multiarray", "scalar"): "call" for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): "call" for core in ("core", "_core")},
    }
)
"""Use by module and name, compared exactly."""
