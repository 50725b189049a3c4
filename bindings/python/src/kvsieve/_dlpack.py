"""Reads a DLPack capsule without consuming it.

The library reads memory during one call only, so the capsule is not consumed: it keeps its name and is held until the end of
the call. Then its own destructor calls the producer's deleter, as DLPack demands for a capsule that was not consumed. It is
parsed here because numpy.from_dlpack does not know bfloat16.
"""

from __future__ import annotations

import ctypes
from typing import Any

from ._memory import Memory

_HOST_DEVICES = (1, 3, 11)  # kDLCPU, kDLCUDAHost, kDLROCMHost: memory that the CPU reads
_DEVICES = {
    2: "cuda",
    4: "opencl",
    7: "vulkan",
    8: "metal",
    9: "vpi",
    10: "rocm",
    12: "ext_dev",
    13: "cuda_managed",
    14: "oneapi",
    15: "webgpu",
    16: "hexagon",
    17: "maia",
}
"""DLDeviceType of dlpack.h, without kDL."""
_KINDS = {0: "int", 1: "uint", 2: "float", 4: "bfloat", 5: "complex", 6: "bool"}
_WHOLE = {(10, 8): "float8_e4m3fn", (12, 8): "float8_e5m2"}
_READ_ONLY = 1


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class DLManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("manager_ctx", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class DLManagedTensorVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    ]


# Prototypes of our own: those on ctypes.pythonapi's attributes are shared with every other package of the process.
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def export(array: Any) -> Any:
    """The producer's capsule; a view, never a copy. Newer producers are asked for the form that can say read-only."""
    try:
        return array.__dlpack__(max_version=(1, 0), copy=False)
    except TypeError:
        return array.__dlpack__()


def memory(argument: str, array: Any) -> Memory:
    """What `array.__dlpack__()` exports. ValueError if the producer refuses, or the memory is not the CPU's."""
    try:
        capsule = export(array)
    except (BufferError, RuntimeError) as error:
        if (device := str(getattr(array, "device", "cpu"))) != "cpu":
            raise _elsewhere(argument, device) from error
        raise ValueError(f"{argument} could not be exported by __dlpack__: {error}") from error
    readonly = False
    if _is_valid(capsule, b"dltensor_versioned"):
        versioned = DLManagedTensorVersioned.from_address(_pointer(capsule, b"dltensor_versioned"))
        if versioned.major != 1:
            raise ValueError(f"{argument} is exported as DLPack {versioned.major}.{versioned.minor}: expected 1.x")
        readonly = bool(versioned.flags & _READ_ONLY)
        tensor = versioned.tensor
    elif _is_valid(capsule, b"dltensor"):
        tensor = DLManagedTensor.from_address(_pointer(capsule, b"dltensor")).tensor
    else:
        raise TypeError(f"{argument}.__dlpack__() returned {capsule!r}: expected a fresh DLPack capsule")
    if tensor.device_type not in _HOST_DEVICES:
        device = _DEVICES.get(tensor.device_type, f"DLPack device {tensor.device_type}")
        raise _elsewhere(argument, device)
    itemsize = tensor.bits * tensor.lanes // 8
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    return Memory(
        address=(tensor.data or 0) + tensor.byte_offset,
        shape=shape,
        strides=_strides(tensor, shape, itemsize),
        dtype=_name(tensor),
        itemsize=itemsize,
        readonly=readonly,
        owner=capsule,
    )


def _elsewhere(argument: str, device: str) -> ValueError:
    return ValueError(
        f"{argument} is on {device}: expected memory of the CPU; copy it there, or sum the attention on the device and "
        f"give the sums: observe(layer, attention=sums, kind='sums')"
    )


def _strides(tensor: Any, shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """In bytes; DLPack counts elements, and NULL means C order."""
    if tensor.strides:
        return tuple(tensor.strides[i] * itemsize for i in range(tensor.ndim))
    strides = [itemsize] * tensor.ndim
    for i in range(tensor.ndim - 1, 0, -1):
        strides[i - 1] = strides[i] * shape[i]
    return tuple(strides)


def _name(tensor: Any) -> str:
    kind = f"{_KINDS.get(tensor.code, f'DLPack type {tensor.code}:')}{tensor.bits}"
    name = _WHOLE.get((tensor.code, tensor.bits), kind)
    return name if tensor.lanes == 1 else f"{name}x{tensor.lanes}"
