"""The values that msgpack does not know, as extension types of msgpack.

The data of an extension is again msgpack, and may hold extensions. Buffers from `OUTSIDE_FROM` bytes on stay outside of
the message, which has their index instead.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any
from uuid import UUID

import msgspec
from msgspec.msgpack import Ext

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError, shown
from unicorn_core.dispatch.wire import arrays, classes, moments
from unicorn_core.dispatch.wire.frames import Buffer

OUTSIDE_FROM = 64 * 1024
"""Bytes from which a buffer stays outside of the message."""

DEPTH = 100
"""So many containers may lie in each other."""

FLAT = frozenset({NoneType, bool, int, float, str})
"""Types that msgpack has too; but ints of more than 64 bits and lone surrogates need an extension."""

FORMATS = frozenset("bBhHiIlLqQnNfd?c")
"""What the items of a memoryview may be: the formats that another one can be cast to."""

_encode = msgspec.msgpack.Encoder().encode


class Code:
    """The extension types."""

    INT = 1
    STR = 2
    BYTES = 3
    BYTEARRAY = 4
    MEMORYVIEW = 5
    TUPLE = 6
    SET = 7
    FROZENSET = 8
    DICT = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    TIMEDELTA = 13
    UUID = 14
    DECIMAL = 15
    ENUM = 16
    DATACLASS = 17
    ARRAY = 18
    SCALAR = 19


def _in_brackets(key: Any) -> str:
    return f"[{shown(key)}]"


class Packing:
    """One value on its way into a message.

    With `scrutinize` every int and str is looked at; else packing, or encoding what came of it, raises OverflowError or
    UnicodeEncodeError if one of them needs an extension, which hardly ever happens.

    Attributes:
        buffers: what stays outside.
        extended: whether an extension was needed.
    """

    def __init__(self, scrutinize: bool = False) -> None:
        self.buffers: list[Buffer] = []
        self.extended = False
        self._scrutinize = scrutinize
        self._depth = 0

    def wrap(self, value: Any) -> Any:
        """The value in a form that msgpack knows, which is the value itself if possible. Raises NotSerializable."""
        kind = type(value)
        if kind in FLAT:
            return self._looked_at(value) if self._scrutinize else value
        writer = _WRITERS.get(kind) or _writer_for(value)
        self._depth += 1
        if self._depth > DEPTH:
            raise NotSerializable(f"more than {DEPTH} containers lie in each other, or one contains itself")
        wrapped = writer(self, value)
        self._depth -= 1
        return wrapped

    def wrap_all(self, values: Collection[Any], place: Callable[[int], str] = "[{}]".format) -> Collection[Any]:
        """Each of several wrapped, or all as they are; in an error `place` names the one, by its index."""
        if not self._scrutinize and FLAT.issuperset(map(type, values)):
            return values
        wrapped: list[Any] = []
        try:
            for value in values:
                wrapped.append(self.wrap(value))  # noqa: PERF401
        except NotSerializable as error:
            error.argument = place(len(wrapped)) + (error.argument or "")
            raise
        return wrapped

    def extension(self, code: int, data: Any) -> Ext:
        """What stands for a value; the data are what msgpack knows."""
        self.extended = True
        return Ext(code, _encode(data))

    def keep(self, data: Buffer) -> Buffer | int:
        """The data, or their index if they stay outside."""
        if len(data) < OUTSIDE_FROM:
            return data
        self.buffers.append(data)
        return len(self.buffers) - 1

    def wrap_dict(self, values: dict[Any, Any]) -> Any:
        """A dict with its values wrapped; keys that msgpack does not know stand before them in an extension."""
        keys = self.wrap_all(values, " key {}".format)
        wrapped = self.wrap_values(values)
        return wrapped if keys is values else self.extension(Code.DICT, [*keys, *wrapped.values()])

    def wrap_values(self, values: Mapping[Any, Any], place: Callable[[Any], str] = _in_brackets) -> Mapping[Any, Any]:
        """A mapping with its values wrapped, or itself; in an error `place` names the one, by its key."""
        if not self._scrutinize and FLAT.issuperset(map(type, values.values())):
            return values
        wrapped: dict[Any, Any] = {}
        key: Any = None
        try:
            for key, value in values.items():
                wrapped[key] = self.wrap(value)
        except NotSerializable as error:
            error.argument = place(key) + (error.argument or "")
            raise
        return wrapped

    def _looked_at(self, value: Any) -> Any:
        if type(value) is int and not -(1 << 63) <= value < 1 << 64:
            return self.extension(Code.INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        if type(value) is str and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                return self.extension(Code.STR, value.encode(errors="surrogatepass"))
        return value


class Unpacking:
    """A message with extensions on its way back; `buffers` are those that stayed outside.

    It raises ProtocolError, and whatever garbage makes the types raise.
    """

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self._buffers = buffers
        self._depth = 0
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._unwrap).decode

    def decode(self, message: Buffer) -> Any:
        """The value; to be called once."""
        try:
            return self._decode(message)
        finally:
            # The decoder and this hold each other, and with them the buffers, which may be large.
            del self._decode

    def kept(self, data: Buffer | int) -> Buffer:
        """What `keep` gave back."""
        if not isinstance(data, int):
            return data
        if not 0 <= data < len(self._buffers):
            raise ProtocolError("a message refers to a buffer that did not come with it")
        return self._buffers[data]

    def _unwrap(self, code: int, data: memoryview) -> Any:
        reader = _READERS.get(code)
        if reader is None:
            raise ProtocolError(f"a message has an unknown extension type: {code}")
        self._depth += 1
        if self._depth > DEPTH:
            raise ProtocolError(f"more than {DEPTH} extensions lie in each other")
        value = reader(self, self._decode(data))
        self._depth -= 1
        return value


Writer = Callable[[Packing, Any], Any]
Reader = Callable[[Unpacking, Any], Any]


def _writer_for(value: Any) -> Writer:
    """How to write a value of no type in the table."""
    if isinstance(value, Enum):
        return _write_enum
    if classes.is_dataclass(type(value)):
        return _write_dataclass
    if arrays.is_array(value):
        return _write_array
    if arrays.is_scalar(value):
        return _write_scalar
    raise NotSerializable(f"{_kind_of(value)} cannot be sent to another process{_way_out(value)}")


def _write_bytes(packing: Packing, value: bytes) -> Any:
    return value if len(value) < OUTSIDE_FROM else packing.extension(Code.BYTES, packing.keep(value))


def _write_memoryview(packing: Packing, value: memoryview) -> Ext:
    if value.format not in FORMATS or (not value.nbytes and value.ndim != 1) or not value.ndim:
        raise NotSerializable(
            f"a memoryview of format {value.format!r} and shape {value.shape} cannot be sent; send its bytes"
        )
    data = value.cast("B") if value.c_contiguous and value.nbytes else value.tobytes()
    return packing.extension(Code.MEMORYVIEW, [packing.keep(data), value.format, value.shape])


def _read_memoryview(unpacking: Unpacking, data: Any) -> memoryview:
    place, form, shape = data
    view = memoryview(unpacking.kept(place)).cast("B")
    return view.cast(form, shape) if view.nbytes else view.cast(form)


def _read_bytearray(unpacking: Unpacking, data: Any) -> bytearray:
    kept = unpacking.kept(data)
    return kept if isinstance(kept, bytearray) else bytearray(kept)


def _write_enum(packing: Packing, value: Enum) -> Ext:
    return packing.extension(Code.ENUM, [*_name_of(value), packing.wrap(classes.member_of(value))])


def _write_dataclass(packing: Packing, value: Any) -> Ext:
    name = _name_of(value)
    try:
        fields = classes.fields_of(value)
    except AttributeError as error:
        raise NotSerializable(f"{_kind_of(value)} has a field that is not set: {error}") from None
    return packing.extension(Code.DATACLASS, [*name, packing.wrap_values(fields, ".{}".format)])


def _write_array(packing: Packing, value: Any) -> Ext:
    data, dtype, shape, order = arrays.from_array(value)
    return packing.extension(Code.ARRAY, [packing.keep(data), packing.wrap(dtype), shape, order])


def _write_scalar(packing: Packing, value: Any) -> Ext:
    data, dtype, _, _ = arrays.from_array(value)
    return packing.extension(Code.SCALAR, [bytes(data), packing.wrap(dtype)])


def _read_array(unpacking: Unpacking, data: Any) -> Any:
    place, dtype, shape, order = data
    return arrays.to_array(unpacking.kept(place), dtype, shape, order)


def _pairs(flat: Sequence[Any]) -> dict[Any, Any]:
    half = len(flat) // 2
    return dict(zip(flat[:half], flat[half:], strict=True))


def _name_of(value: Any) -> tuple[str, str]:
    name = classes.name_of(type(value))
    if name is None:
        raise NotSerializable(
            f"{_kind_of(value)} cannot be sent: its class cannot be found by its name; is it a local class?"
        )
    return name


def _kind_of(value: Any) -> str:
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"a value of type {module}{kind.__qualname__}"


def _way_out(value: Any) -> str:
    """What to do instead, where that is clear."""
    for known in (*FLAT, *_WRITERS):
        if known is not NoneType and isinstance(value, known):
            return f"; convert it to {known.__name__}"
    return ""


_WRITERS: dict[type, Writer] = {
    list: Packing.wrap_all,
    dict: Packing.wrap_dict,
    tuple: lambda packing, value: packing.extension(Code.TUPLE, packing.wrap_all(value)),
    set: lambda packing, value: packing.extension(Code.SET, packing.wrap_all(value, " element {}".format)),
    frozenset: lambda packing, value: packing.extension(Code.FROZENSET, packing.wrap_all(value, " element {}".format)),
    bytes: _write_bytes,
    bytearray: lambda packing, value: packing.extension(Code.BYTEARRAY, packing.keep(value)),
    memoryview: _write_memoryview,
    datetime: lambda packing, value: packing.extension(Code.DATETIME, moments.from_moment(value)),
    date: lambda packing, value: packing.extension(Code.DATE, value.isoformat()),
    time: lambda packing, value: packing.extension(Code.TIME, moments.from_moment(value)),
    timedelta: lambda packing, value: packing.extension(
        Code.TIMEDELTA, [value.days, value.seconds, value.microseconds]
    ),
    UUID: lambda packing, value: packing.extension(Code.UUID, value.bytes),
    Decimal: lambda packing, value: packing.extension(Code.DECIMAL, str(value)),
}
"""How a value of exactly this type is written."""

_READERS: dict[int, Reader] = {
    Code.INT: lambda unpacking, data: int.from_bytes(data, "big", signed=True),
    Code.STR: lambda unpacking, data: data.decode(errors="surrogatepass"),
    Code.BYTES: lambda unpacking, data: bytes(unpacking.kept(data)),
    Code.BYTEARRAY: _read_bytearray,
    Code.MEMORYVIEW: _read_memoryview,
    Code.TUPLE: lambda unpacking, data: tuple(data),
    Code.SET: lambda unpacking, data: set(data),
    Code.FROZENSET: lambda unpacking, data: frozenset(data),
    Code.DICT: lambda unpacking, data: _pairs(data),
    Code.DATE: lambda unpacking, data: date.fromisoformat(data),
    Code.TIME: lambda unpacking, data: moments.to_time(data),
    Code.DATETIME: lambda unpacking, data: moments.to_datetime(data),
    Code.TIMEDELTA: lambda unpacking, data: timedelta(*data),
    Code.UUID: lambda unpacking, data: UUID(bytes=data),
    Code.DECIMAL: lambda unpacking, data: Decimal(data),
    Code.ENUM: lambda unpacking, data: classes.member_from(*data),
    Code.DATACLASS: lambda unpacking, data: classes.dataclass_from(*data),
    Code.ARRAY: _read_array,
    Code.SCALAR: lambda unpacking, data: arrays.to_scalar(*data),
}
"""How the data of an extension are read."""
