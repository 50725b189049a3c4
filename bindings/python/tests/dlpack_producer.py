"""An array that speaks DLPack and nothing else, as torch does: made with ctypes over a numpy array's memory.

It counts what becomes of its capsules, so that tests can tell that each is freed once, by its own destructor.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from kvsieve._dlpack import DLManagedTensor, DLManagedTensorVersioned, DLTensor

_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)  # not py_object: the capsule is being freed
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
CODES = {
    "float32": (2, 32),
    "float16": (2, 16),
    "bfloat16": (4, 16),
    "int32": (0, 32),
    "uint8": (1, 8),
    "float64": (2, 64),
}


_exported: dict[int, tuple[Legacy, Any]] = {}  # what a capsule's manager_ctx would keep alive


@_Destructor  # type: ignore[untyped-decorator]
def _destructor(capsule: int) -> None:
    """A capsule still called "dltensor" was not consumed: its destructor is to call the deleter."""
    producer, _ = _exported.pop(capsule)
    producer.freed += _is_valid(capsule, producer.name)


class Legacy:
    """__dlpack__() as it was before DLPack 1.0: no keywords, no flags."""

    name = b"dltensor"

    def __init__(self, array: np.ndarray, dtype: str = "", device: int = 1, offset: int = 0) -> None:
        self.array = array
        self.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        strides = [stride // array.itemsize for stride in array.strides]
        self.strides: Any = (ctypes.c_int64 * array.ndim)(*strides)
        code, bits = CODES[dtype or str(array.dtype)]
        self.tensor = DLTensor(
            array.ctypes.data - offset, device, 0, array.ndim, code, bits, 1, self.shape, self.strides, offset
        )
        self.made = self.freed = 0

    def __dlpack__(self) -> Any:
        return self._capsule(DLManagedTensor(self.tensor))

    def _capsule(self, managed: Any) -> Any:
        self.made += 1
        capsule = _new(ctypes.addressof(managed), self.name, _destructor)
        _exported[id(capsule)] = (self, managed)
        return capsule


class Versioned(Legacy):
    """__dlpack__(max_version=, copy=) of DLPack 1.x."""

    name = b"dltensor_versioned"

    def __init__(self, array: np.ndarray, flags: int = 0, major: int = 1, **more: Any) -> None:
        super().__init__(array, **more)
        self.flags, self.major = flags, major
        self.asked: dict[str, Any] = {}

    def __dlpack__(self, **asked: Any) -> Any:
        self.asked = asked
        return self._capsule(DLManagedTensorVersioned(self.major, 0, None, None, self.flags, self.tensor))


class Refusing:
    """An exporter that says no, as torch does for a tensor that requires grad."""

    def __dlpack__(self) -> Any:
        raise BufferError("this tensor requires grad")


class Strange:
    """Not a capsule at all."""

    def __dlpack__(self) -> Any:
        return 7
