"""Arrays and scalars of NumPy as their bytes, without importing NumPy where nobody uses it."""

import math
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError
from unicorn_core.dispatch.wire.frames import Buffer


def is_array(value: Any) -> bool:
    """Whether it is an array, and of no subclass."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray


def is_scalar(value: Any) -> bool:
    """Whether it is a scalar of NumPy's own."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def from_array(value: Any) -> tuple[Buffer, Any, Sequence[int], str]:
    """The bytes of an array or scalar (not copied if they lie in one piece), its dtype, shape and order."""
    numpy = _numpy()
    array = numpy.asarray(value)
    dtype = _describe(array.dtype)
    if not array.flags.c_contiguous and not array.flags.f_contiguous:
        array = numpy.ascontiguousarray(array)
    order = "C" if array.flags.c_contiguous else "F"
    flat = (array if order == "C" else array.T).reshape(-1)
    data = memoryview(flat.view(numpy.uint8)) if array.nbytes else b""
    return data, dtype, array.shape, order


def to_array(data: Buffer, description: Any, shape: Sequence[int], order: str) -> Any:
    """The array, over the same memory if that can be written to. Raises ProtocolError, ValueError or TypeError."""
    numpy = _numpy()
    dtype = _dtype(description)
    if dtype.hasobject or not dtype.itemsize or math.prod(shape) * dtype.itemsize != len(data):
        raise ProtocolError("an array is malformed")
    if not data:
        return numpy.ndarray(shape, dtype, order=order)
    return numpy.ndarray(shape, dtype, bytearray(data) if memoryview(data).readonly else data, order=order)


def to_scalar(data: Buffer, description: Any) -> Any:
    """The scalar. Raises as `to_array` does."""
    return to_array(data, description, (), "C")[()]


def _describe(dtype: Any) -> Any:
    if dtype.hasobject:
        raise NotSerializable("an array of Python objects cannot be sent to another process; send a list")
    description = import_module("numpy.lib.format").dtype_to_descr(dtype)
    if not dtype.itemsize or _dtype(description) != dtype:
        raise NotSerializable(f"an array of {dtype} cannot be sent to another process; convert it to another dtype")
    return description


def _dtype(description: Any) -> Any:
    return import_module("numpy.lib.format").descr_to_dtype(description)


def _numpy() -> Any:
    try:
        return import_module("numpy")
    except ImportError:
        raise NotSerializable("an array came, but NumPy is not installed in this process") from None
