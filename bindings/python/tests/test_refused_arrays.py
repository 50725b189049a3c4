"""What is refused as an array, and with what words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from described import KEYS, described, head_major
from dlpack_producer import Legacy, Refusing, Strange, Versioned

import kvsieve
import kvsieve.lmcache


class Empty:
    pass


@pytest.mark.parametrize("array", [KEYS.tolist(), 3, "keys", Empty()], ids=["list", "int", "str", "object"])
def test_not_an_array(array: Any) -> None:
    name = type(array).__name__
    with pytest.raises(TypeError, match=f"keys is a {name}: expected an array with __array_interface__, __dlpack__ or"):
        described(array)


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint16", "complex64", ">f4", ">f2", "V2", "O"])
def test_unsupported_dtype(dtype: str) -> None:
    array = np.zeros((2, 3, 4), dtype)
    with pytest.raises(TypeError) as caught:
        described(array)
    assert (
        str(caught.value)
        == f"keys has dtype {array.dtype}: expected float32, float16, bfloat16, float8_e4m3fn, float8_e5m2"
    )


def test_unsupported_dtype_by_dlpack() -> None:
    with pytest.raises(
        TypeError, match="keys has dtype float64: expected float32, float16, bfloat16, float8_e4m3fn, float8_e5m2"
    ):
        described(Legacy(KEYS.astype(np.float64)))
    lanes = Legacy(KEYS)
    lanes.tensor.lanes = 4
    with pytest.raises(TypeError, match="keys has dtype float32x4: expected"):
        described(lanes)
    unknown = Legacy(KEYS)
    unknown.tensor.code, unknown.tensor.bits = 9, 8
    with pytest.raises(TypeError, match="keys has dtype DLPack type 9:8: expected"):
        described(unknown)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (1, 1, 2, 3, 4)])
def test_not_three_dimensions(shape: tuple[int, ...]) -> None:
    for wrap in (np.asarray, Legacy):
        with pytest.raises(ValueError) as caught:
            described(wrap(np.zeros(shape, np.float32)))
        assert str(caught.value) == f"keys has shape {shape}: expected three dimensions (heads, tokens, dim)"


def test_a_batch() -> None:
    batch = np.zeros((2, 2, 3, 4), np.float32)
    with pytest.raises(
        ValueError, match=r"keys has shape \(2, 2, 3, 4\): one plan is one sequence; expected .* 1 before"
    ):
        described(batch)


@pytest.mark.parametrize(
    ("device", "name"),
    [(2, "cuda"), (4, "opencl"), (8, "metal"), (10, "rocm"), (13, "cuda_managed"), (99, "DLPack device 99")],
)
def test_memory_of_a_device(device: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"keys is on {name}: expected memory of the CPU; .* kind='sums'"):
        described(Legacy(KEYS, device=device))


class Meta:
    device = "meta"

    def __dlpack__(self, **_: object) -> Any:
        raise BufferError("Cannot pack tensors on meta")


def test_what_has_no_memory() -> None:
    with pytest.raises(ValueError, match="keys is on meta: expected memory of the CPU"):
        described(Meta())


def test_pinned_host_memory_is_memory_of_the_cpu() -> None:
    assert described(Legacy(KEYS, device=3)) == head_major(KEYS)


def test_exporter_that_refuses() -> None:
    with pytest.raises(ValueError, match="keys could not be exported by __dlpack__: this tensor requires grad"):
        described(Refusing())


def test_exporter_that_refuses_dlpack_but_has_a_buffer() -> None:
    class Both(bytearray, Refusing):
        pass

    with pytest.raises(TypeError, match="keys has dtype uint8"):  # the buffer was taken
        described(Both(16))


def test_something_that_is_not_a_capsule() -> None:
    with pytest.raises(TypeError, match=r"keys.__dlpack__\(\) returned 7: expected a fresh DLPack capsule"):
        described(Strange())


def test_dlpack_of_another_major_version() -> None:
    with pytest.raises(ValueError, match="keys is exported as DLPack 2.0: expected 1.x"):
        described(Versioned(KEYS, major=2))


def test_sizes_beyond_a_c_integer_are_refused_not_wrapped() -> None:
    wide = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (1, 1, 1 << 31), (4, 4, 4))
    with pytest.raises(ValueError, match="keys: dim is 2147483648: expected an integer of 32 bits"):
        described(wide)
    far = Legacy(KEYS)
    far.strides[0] = 1 << 62
    with pytest.raises(ValueError, match="keys: stride of heads is 18446744073709551616: expected an integer of 64"):
        described(far)


def test_what_is_no_model_and_no_rope() -> None:
    with pytest.raises(TypeError, match=r"model is \(2, 8, 2, 64\): expected a kvsieve.Model"):
        kvsieve.Plan("snapkv", (2, 8, 2, 64))  # type: ignore[arg-type]
    plan = kvsieve.Plan("snapkv", kvsieve.Model(1, 1, 1, 8))
    with pytest.raises(TypeError, match="rope is a ndarray: expected a kvsieve.Rope"):
        plan.gather(0, np.zeros((1, 4, 8), np.float32), rope=np.ones(4))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="rope is a ndarray: expected a kvsieve.Rope, or None"):
        kvsieve.lmcache.modify_kv("snapkv", head_dim=8, rope=np.ones(4))  # type: ignore[arg-type]
    for protect in ((0, 40), "system"):
        with pytest.raises(TypeError, match=r"protect\[0\] is .*: expected a pair \(first, count\)"):
            kvsieve.lmcache.modify_kv("snapkv", head_dim=8, rope=None, protect=protect)  # type: ignore[arg-type]
