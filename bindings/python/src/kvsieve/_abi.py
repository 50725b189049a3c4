"""The C types of include/kvsieve.h for ctypes, and nothing else.

Structures and the few constants are written by hand, field for field (tests/test_layout.py compares them with the C
compiler's); the functions are in the generated _prototypes.py. No method, parameter or status is named here: the library
lists them.
"""

from __future__ import annotations

import ctypes
from typing import Any

from ._prototypes import PROTOTYPES

OK = 0
"""KVSIEVE_OK."""

DTYPES = {"float32": 0, "float16": 1, "bfloat16": 2, "float8_e4m3fn": 4, "float8_e5m2": 5}
"""KVSIEVE_F32, _F16, _BF16, _F8_E4M3, _F8_E5M2 by numpy's names."""

BYTES = 3
"""KVSIEVE_BYTES."""

QUANTISED = {"q8_0": (6, 32, 34), "q4_0": (7, 32, 18), "float8_e4m3fn": (4, 1, 1), "float8_e5m2": (5, 1, 1)}
"""KVSIEVE_Q8_0, _Q4_0 by ggml's names and the two of one byte: the constant, numbers stored together, their bytes."""

NEEDS = {"queries": 1, "keys": 2, "values": 4, "all_queries": 8, "length": 16}
"""KVSIEVE_NEEDS_QUERIES, _KEYS, _VALUES, _ALL_QUERIES, _LENGTH."""

KINDS = {"logits": 0, "probabilities": 1, "sums": 2}
"""KVSIEVE_LOGITS, KVSIEVE_PROBABILITIES, KVSIEVE_COLUMN_SUMS."""

PAIRINGS = {"halves": 0, "neighbours": 1}
"""KVSIEVE_ROPE_HALVES, _NEIGHBOURS."""


class kvsieve_plan(ctypes.Structure):
    """Opaque."""


class kvsieve_tensor(ctypes.Structure):
    """A strided view of (heads, tokens, dim); strides count bytes."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("heads", ctypes.c_int64),
        ("tokens", ctypes.c_int64),
        ("head_stride", ctypes.c_int64),
        ("token_stride", ctypes.c_int64),
        ("dim", ctypes.c_int32),
        ("dtype", ctypes.c_int32),
        ("blocks", ctypes.POINTER(ctypes.c_int32)),
        ("block_stride", ctypes.c_int64),
        ("block_tokens", ctypes.c_int32),
        ("block_count", ctypes.c_int32),
        ("reserved", ctypes.c_int32 * 2),
    ]


class kvsieve_model(ctypes.Structure):
    """What is fixed for a model."""

    _fields_ = [
        ("layers", ctypes.c_int32),
        ("query_heads", ctypes.c_int32),
        ("kv_heads", ctypes.c_int32),
        ("head_dim", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("reserved", ctypes.c_int32 * 3),
    ]


class kvsieve_kept(ctypes.Structure):
    """What one layer keeps; offsets, positions and rows belong to the plan."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("heads", ctypes.c_int32),
        ("total", ctypes.c_int64),
        ("longest", ctypes.c_int64),
        ("offsets", ctypes.POINTER(ctypes.c_int64)),
        ("positions", ctypes.POINTER(ctypes.c_int32)),
        ("tokens", ctypes.c_int64),
        ("rows", ctypes.POINTER(ctypes.c_int32)),
    ]


ALL_GATHER = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
"""kvsieve_all_gather."""


class kvsieve_group(ctypes.Structure):
    """Which part of a model a plan has, and how it reaches the others."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("rank", ctypes.c_int32),
        ("ranks", ctypes.c_int32),
        ("first_layer", ctypes.c_int32),
        ("layers", ctypes.c_int32),
        ("first_head", ctypes.c_int32),
        ("heads", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("context", ctypes.c_void_p),
        ("all_gather", ALL_GATHER),
    ]


class kvsieve_ranges(ctypes.Structure):
    """Positions of one head as ranges; bounds belong to the plan."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("count", ctypes.c_int32),
        ("bounds", ctypes.POINTER(ctypes.c_int32)),
    ]


class kvsieve_report(ctypes.Structure):
    """What one layer has lost; mass belongs to the plan."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("heads", ctypes.c_int32),
        ("kept", ctypes.c_int64),
        ("dropped", ctypes.c_int64),
        ("mass_mean", ctypes.c_double),
        ("mass_least", ctypes.c_double),
        ("mass", ctypes.POINTER(ctypes.c_float)),
        ("intact", ctypes.c_int64),
    ]


class kvsieve_rope(ctypes.Structure):
    """How keys were rotated; frequencies belong to the caller."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("pairing", ctypes.c_int32),
        ("dims", ctypes.c_int32),
        ("first", ctypes.c_int32),
        ("frequencies", ctypes.POINTER(ctypes.c_float)),
        ("by_row", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


class kvsieve_slots(ctypes.Structure):
    """The tokens in the slots of one head; positions belong to the plan."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("reserved", ctypes.c_int32),
        ("length", ctypes.c_int64),
        ("tokens", ctypes.c_int64),
        ("positions", ctypes.POINTER(ctypes.c_int32)),
    ]


class kvsieve_method_info(ctypes.Structure):
    """A method, as the library knows it."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("id", ctypes.c_int32),
        ("name", ctypes.c_char_p),
        ("summary", ctypes.c_char_p),
        ("paper", ctypes.c_char_p),
        ("parameters", ctypes.c_int32),
        ("decodes", ctypes.c_int32),
        ("choose", ctypes.c_char_p),
    ]


class kvsieve_parameter_info(ctypes.Structure):
    """A parameter of a method."""

    _fields_ = [
        ("struct_size", ctypes.c_uint32),
        ("id", ctypes.c_int32),
        ("name", ctypes.c_char_p),
        ("summary", ctypes.c_char_p),
        ("initial", ctypes.c_double),
        ("lowest", ctypes.c_double),
        ("highest", ctypes.c_double),
        ("integral", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


STRUCTURES: list[Any] = [
    kvsieve_plan,
    kvsieve_tensor,
    kvsieve_model,
    kvsieve_kept,
    kvsieve_group,
    kvsieve_ranges,
    kvsieve_report,
    kvsieve_rope,
    kvsieve_slots,
    kvsieve_method_info,
    kvsieve_parameter_info,
]

_TYPES: dict[str, Any] = {
    "void": None,
    "void*": ctypes.c_void_p,
    "char*": ctypes.c_char_p,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "kvsieve_status": ctypes.c_int32,
    **{structure.__name__: structure for structure in STRUCTURES},
}


def ctype(c_type: str) -> Any:
    """The ctypes type for a C type's name: "const kvsieve_plan *" is POINTER(kvsieve_plan), "void" is None."""
    name = "".join(word for word in c_type.replace("*", " * ").split() if word not in ("const", "struct"))
    if name in _TYPES:
        return _TYPES[name]
    if name.endswith("*"):
        return ctypes.POINTER(ctype(name[:-1]))
    raise TypeError(f"_prototypes.py has the C type {c_type!r}, which _abi.py does not know")


def declare(library: Any) -> None:
    """Gives every function of `library` its argument and result types. AttributeError if it lacks one."""
    for name, (returns, parameters) in PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = ctype(returns)
        function.argtypes = [ctype(c_type) for c_type, _ in parameters]


def sized(structure: Any) -> Any:
    """A new `structure` with struct_size filled in, ready for the library to write."""
    made = structure()
    made.struct_size = ctypes.sizeof(structure)
    return made
