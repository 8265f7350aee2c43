"""Arrays and scalars of NumPy come back as they went, large ones uncopied; no message reaches beyond its data."""

import sys
from typing import Any

import msgspec
import pytest

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError
from unicorn_core.dispatch.wire.extensions import OUTSIDE_FROM, Code
from unicorn_core.dispatch.wire.serialization import Serializer

numpy = pytest.importorskip("numpy")
serializer = Serializer()
pickling = Serializer(pickle=True)

ARRAYS = {
    "floats": numpy.arange(12, dtype="f4").reshape(3, 4),
    "fortran": numpy.asfortranarray(numpy.arange(12, dtype="f8").reshape(3, 4)),
    "strided": numpy.arange(24, dtype="i2").reshape(4, 6)[::2, ::3],
    "transposed": numpy.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "big-endian": numpy.arange(5, dtype=">i4"),
    "complex": numpy.array([1 + 2j]),
    "bool": numpy.array([True, False]),
    "text": numpy.array(["a", "bcd"]),
    "bytes": numpy.array([b"a", b"bcd"]),
    "times": numpy.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
    "durations": numpy.array([1, 2], dtype="m8[s]"),
    "no dimension": numpy.array(5.5),
    "empty": numpy.empty((0, 3), "f8"),
    "structured": numpy.array([(1, 2.5, "x")], dtype=[("a", "i4"), ("b", "f8"), ("c", "U3")]),
    "aligned": numpy.zeros(2, dtype=numpy.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "nested": numpy.zeros(2, dtype=[("a", [("b", "i4"), ("c", "i4", (2,))])]),
    "large": numpy.arange(OUTSIDE_FROM, dtype="f8").reshape(64, -1),
    "large, fortran": numpy.asfortranarray(numpy.arange(OUTSIDE_FROM, dtype="f8").reshape(64, -1)),
    "large, strided": numpy.arange(OUTSIDE_FROM, dtype="f8")[::2],
}


def back(value: Any, by: Serializer = serializer) -> Any:
    message, *buffers = by.pack(value)
    return by.unpack(message, [bytearray(buffer) for buffer in buffers])


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_comes_back_the_same(array: Any) -> None:
    copy = back({"arrays": [array]})["arrays"][0]
    assert type(copy) is numpy.ndarray
    assert copy.dtype == array.dtype
    assert copy.shape == array.shape
    assert copy.tobytes() == array.tobytes()
    assert copy.flags.writeable


@pytest.mark.parametrize("name", ["large", "large, fortran"])
def test_a_large_array_is_not_copied(name: str) -> None:
    array = ARRAYS[name]
    message, buffer = serializer.pack(array)
    assert len(message) < 300
    assert numpy.shares_memory(numpy.frombuffer(buffer, "u1"), array)
    arrived = bytearray(buffer)
    copy = serializer.unpack(message, [arrived])
    assert numpy.shares_memory(numpy.frombuffer(arrived, "u1"), copy)
    assert copy.flags.f_contiguous == array.flags.f_contiguous


def test_what_was_received_as_read_only_can_be_changed() -> None:
    message, buffer = serializer.pack(ARRAYS["large"])
    copy = serializer.unpack(message, [bytes(buffer)])
    copy[0, 0] = 7


@pytest.mark.parametrize(
    "value",
    [
        numpy.float32(1.5),
        numpy.float64("nan"),
        numpy.int64(-3),
        numpy.uint8(255),
        numpy.bool_(True),
        numpy.complex128(1j),
        numpy.str_("text"),
        numpy.bytes_(b"bytes"),
        numpy.datetime64("2026-01-01T00:00:00", "ns"),
        numpy.timedelta64(5, "s"),
        ARRAYS["structured"][0],
    ],
    ids=repr,
)
def test_a_scalar_comes_back_the_same(value: Any) -> None:
    copy = back([value])[0]
    assert type(copy) is type(value)
    assert copy.dtype == value.dtype
    assert copy == value or (copy != copy and value != value)


def test_what_only_this_process_can_read_is_refused() -> None:
    with pytest.raises(NotSerializable, match="argument 1: an array of Python objects"):
        serializer.pack_call((numpy.array([object()]),), {})
    with pytest.raises(NotSerializable, match="cannot be sent"):
        serializer.pack(numpy.ma.masked_array([1], [True]))
    with pytest.raises(NotSerializable, match="another dtype"):
        serializer.pack(numpy.empty(3, "V0"))


@pytest.mark.parametrize(
    "data",
    [
        [bytes(8), "O", [1], "C"],
        [bytes(16), [("a", "O"), ("b", "i8")], [1], "C"],
        [bytes(8), "f8", [2], "C"],
        [bytes(8), "f8", [-1], "C"],
        [bytes(8), "f8", [-1, -1], "C"],
        [bytes(8), "f8", [1], "X"],
        [bytes(8), "f8", "1", "C"],
        [bytes(8), "nonsense", [1], "C"],
        [b"", "V0", [2**40], "C"],
        [b"", "U0", [2**40], "C"],
        [b"", "f8", [2**40], "C"],
        [b"", "f8", [0, 2**62, 2**62], "C"],
        [3, "f8", [1], "C"],
    ],
)
def test_a_malformed_array_is_a_protocol_error(data: Any) -> None:
    payload = msgspec.msgpack.encode(data)
    message = b"\xc1x" + msgspec.msgpack.encode(msgspec.msgpack.Ext(Code.ARRAY, payload))
    with pytest.raises(ProtocolError):
        serializer.unpack(message)


def test_where_numpy_is_missing_an_array_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    message, *_ = serializer.pack(ARRAYS["floats"])
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(NotSerializable, match="NumPy is not installed"):
        serializer.unpack(message)


def test_pickled_arrays_stay_outside_too() -> None:
    value = {1j: ARRAYS["large"]}
    message, buffer = pickling.pack(value)
    assert len(message) < 1000
    assert numpy.shares_memory(numpy.frombuffer(buffer, "u1"), ARRAYS["large"])
    assert (back(value, pickling)[1j] == ARRAYS["large"]).all()
