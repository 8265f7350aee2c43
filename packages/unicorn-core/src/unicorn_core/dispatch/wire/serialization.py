"""Values on their way between processes: messages of msgpack, and large buffers beside them that are not copied.

msgpack knows None, bool, int of 64 bits, float, str, bytes, list and dict. A value of just these is encoded at once.
All else that comes back as it went (any int, tuple, set, frozenset, dict with any keys, bytearray, memoryview, date,
time, datetime, timedelta, UUID, Decimal, members of an Enum, dataclasses, NumPy's arrays and scalars) is first turned
into msgpack's extension types by `extensions`; such a message begins with a byte that msgpack never uses.

With `pickle` (setting dispatch_serializer) what cannot be sent otherwise is pickled, and pickles are read. Whoever can
write to the dispatcher's socket can then run code of his own in task workers and clients: it is off by default.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import msgspec

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError, text_of
from unicorn_core.dispatch.wire.extensions import FLAT, OUTSIDE_FROM, Packing, Unpacking
from unicorn_core.dispatch.wire.frames import Buffer

PLAIN_DEPTH = 8
"""Lists and dicts nested more deeply than this are looked at by `extensions`, which bounds their depth."""

_MARK = 0xC1
_EXTENDED = b"\xc1x"
_PICKLED = b"\xc1p"


def _unexpected(code: int, data: memoryview) -> Any:
    raise ProtocolError(f"a plain message has an extension type: {code}")


_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode
_decode = msgspec.msgpack.Decoder(ext_hook=_unexpected).decode
_decode_call = msgspec.msgpack.Decoder(tuple[list[Any], dict[str, Any]], ext_hook=_unexpected).decode


class Serializer:
    """Turns values, and the arguments of calls, into a message with buffers, and back.

    The first part that packing gives is the message, the others are its buffers in order: those of the value itself
    that have 64 KiB or more, so what can be changed must not be until they are sent. In turn, what is unpacked may hold
    the buffers that were given.

    Packing raises NotSerializable, which names the place of the value. Unpacking raises ProtocolError and nothing else;
    that is a NotSerializable if something cannot be had in this process. The class of a dataclass or Enum is looked up
    among the modules that are imported here already: nothing is ever imported because a message names it. A dataclass
    is made from its fields without running its `__init__`.
    """

    def __init__(self, pickle: bool = False) -> None:
        self._pickle = pickle

    def pack(self, value: Any) -> list[Buffer]:
        """A value as message and buffers."""
        if is_plain(value):
            try:
                return [_encode(value)]
            except (OverflowError, UnicodeEncodeError):
                pass
        return self._pack_extended(value, lambda packing: packing.wrap(value))

    def pack_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Buffer]:
        """The arguments of a call as message and buffers."""
        call = (args, kwargs)
        for value in (*args, *kwargs.values()):
            if type(value) not in FLAT and not is_plain(value):
                break
        else:
            try:
                return [_encode(call)]
            except (OverflowError, UnicodeEncodeError):
                pass
        return self._pack_extended(call, lambda packing: _wrap_call(packing, args, kwargs))

    def unpack(self, message: Buffer, buffers: Sequence[Buffer] = ()) -> Any:
        """The value of a message and its buffers."""
        try:
            if message and message[0] == _MARK:
                return self._unpack_extended(message, buffers)
            return _decode(message)
        except ProtocolError:
            raise
        except Exception as error:  # what garbage may lead to has no end of types
            raise ProtocolError(f"a message is malformed: {text_of(error)}") from error

    def unpack_call(self, message: Buffer, buffers: Sequence[Buffer] = ()) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call."""
        if not message or message[0] != _MARK:
            try:
                return _decode_call(message)
            except ProtocolError:
                raise
            except Exception as error:
                raise ProtocolError(f"the arguments of a call are malformed: {text_of(error)}") from error
        match self.unpack(message, buffers):
            case [[*args], dict() as kwargs] if all(type(name) is str for name in kwargs):
                return args, kwargs
        raise ProtocolError("a message has no arguments of a call")

    def _pack_extended(self, value: Any, wrap: Callable[[Packing], Any]) -> list[Buffer]:
        try:
            try:
                return _wrapped(Packing(), wrap)
            except (OverflowError, UnicodeEncodeError):
                return _wrapped(Packing(scrutinize=True), wrap)
        except UnicodeEncodeError:
            raise NotSerializable("the name of an argument is no text") from None
        except NotSerializable as error:
            refused = error
        except Exception as error:  # what an object of a user does when it is looked at has no end of types
            refused = NotSerializable(f"it cannot be packed: {type(error).__name__}: {text_of(error)}")
            refused.__cause__ = error
        if not self._pickle:
            raise refused
        return _pickled(value, refused.argument)

    def _unpack_extended(self, message: Buffer, buffers: Sequence[Buffer]) -> Any:
        body = memoryview(message)[len(_EXTENDED) :]
        mark = bytes(message[: len(_EXTENDED)])
        if mark == _EXTENDED:
            return Unpacking(buffers).decode(body)
        if mark != _PICKLED:
            raise ProtocolError("a message has an unknown form")
        if not self._pickle:
            raise ProtocolError("a pickle is refused: dispatch_serializer is not 'pickle'")
        import pickle

        return pickle.loads(body, buffers=buffers)


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether msgpack is known to have the value as it is: scalars, small bytes, lists and dicts, not nested deeply."""
    kind = type(value)
    if kind in FLAT:
        return True
    if kind is list:
        items = value
    elif kind is dict:
        if not FLAT.issuperset(map(type, value)):
            return False
        items = value.values()
    else:
        return kind is bytes and len(value) < OUTSIDE_FROM
    if FLAT.issuperset(map(type, items)):
        return True
    if depth == PLAIN_DEPTH:
        return False
    for item in items:  # noqa: SIM110 (all() with a generator costs twice as much)
        if not is_plain(item, depth + 1):
            return False
    return True


def _wrap_call(packing: Packing, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    numbered = packing.wrap_values(dict(enumerate(args, 1)), "argument {}".format)
    return [*numbered.values()], packing.wrap_values(kwargs, "argument {!r}".format)


def _wrapped(packing: Packing, wrap: Callable[[Packing], Any]) -> list[Buffer]:
    value = wrap(packing)
    if not packing.extended:
        return [_encode(value)]
    message = bytearray(_EXTENDED)
    _encoder.encode_into(value, message, len(_EXTENDED))
    return [message, *packing.buffers]


def _pickled(value: Any, place: str | None) -> list[Buffer]:
    import pickle

    buffers: list[Buffer] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUTSIDE_FROM:
            return True
        buffers.append(raw)
        return False

    message = BytesIO()
    message.write(_PICKLED)
    try:
        pickle.Pickler(message, 5, buffer_callback=stays_inside).dump(value)
    except Exception as error:
        raise NotSerializable(f"it cannot be pickled: {text_of(error)}", argument=place) from error
    return [message.getvalue(), *buffers]
