"""Every supported value comes back equal and of the same type; whatever else comes is a ProtocolError."""

import contextlib
import ctypes
import dataclasses
import decimal
import enum
import math
import subprocess
import sys
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pickle import PickleBuffer
from types import ModuleType
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.errors import NotSerializable, ProtocolError
from unicorn_core.dispatch.wire.extensions import DEPTH, OUTSIDE_FROM, Code
from unicorn_core.dispatch.wire.serialization import Serializer, is_plain

anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
serializer = Serializer()
pickling = Serializer(pickle=True)


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None
    secret: int = dataclasses.field(default=1, init=False)

    def __post_init__(self) -> None:
        self.born_by_init = True


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    value: Any

    @dataclasses.dataclass
    class Inner:
        value: Any


class Colour(enum.Enum):
    RED = "red"
    ALSO_RED = "red"  # noqa: PIE796
    BLUE = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class NotADataclass:
    pass


@dataclasses.dataclass
class Bytes(bytes):
    """Cannot be made from its fields alone."""


def back(value: Any, by: Serializer = serializer) -> Any:
    message, *buffers = by.pack(value)
    return by.unpack(message, [bytearray(buffer) for buffer in buffers])


def same(one: Any, other: Any) -> bool:
    """Equal and of the same type, through and through; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return (math.isnan(one) and math.isnan(other)) or (
                one == other and math.copysign(1, one) == math.copysign(1, other)
            )
        case decimal.Decimal():
            return str(one) == str(other)
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return same([*one], [*other]) and same([*one.values()], [*other.values()])
        case set() | frozenset():
            twins = {item: item for item in other}
            return len(one) == len(other) and all(item in twins and same(item, twins[item]) for item in one)
        case datetime() | time():
            return (
                one == other
                and one.fold == other.fold
                and one.utcoffset() == other.utcoffset()
                and one.tzname() == other.tzname()
            )
        case memoryview():
            return one == other and one.format == other.format and one.shape == other.shape
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return bool(one == other)


ZONES = [
    zoneinfo.ZoneInfo(key) for key in ("Europe/Paris", "America/New_York") if key in zoneinfo.available_timezones()
]
OFFSETS = st.builds(
    timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)), st.sampled_from(["name", "other"])
) | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
TIMEZONES = st.none() | st.just(UTC) | OFFSETS
HASHABLE_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary(max_size=20)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Colour, *Level, *Right, Right.READ | Right.WRITE, Right(0)])
)
HASHABLE = st.recursive(
    HASHABLE_SCALARS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3) | st.builds(Frozen, inner),
    max_leaves=5,
)
SCALARS = (
    HASHABLE_SCALARS
    | st.floats()
    | st.decimals()
    | st.integers(-(2**70), 2**70)
    | st.times(timezones=TIMEZONES)
    | st.datetimes(timezones=TIMEZONES | st.sampled_from(ZONES or [None]), allow_imaginary=False)
    | st.binary(max_size=20).map(bytearray)
    | st.binary(max_size=20).map(memoryview)
    | st.sampled_from([bytes(OUTSIDE_FROM - 1), bytes(OUTSIDE_FROM), bytearray(OUTSIDE_FROM + 1)])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Frozen.Inner, inner),
    ),
    max_leaves=12,
)


@anything
@given(VALUES)
def test_any_supported_value_comes_back_the_same(value: Any) -> None:
    assert same(back(value), value)


@anything
@given(st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_the_arguments_of_a_call_come_back_the_same(args: list[Any], kwargs: dict[str, Any]) -> None:
    message, *buffers = serializer.pack_call(tuple(args), kwargs)
    assert same(serializer.unpack_call(message, buffers), (args, kwargs))


@anything
@given(VALUES)
def test_the_serializer_that_may_pickle_does_not_need_to_for_these(value: Any) -> None:
    message, *_ = pickling.pack(value)
    assert bytes(message) == bytes(serializer.pack(value)[0])


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, 2**64 - 1, -(2**63), 2**64, -(2**63) - 1, [10**5000, -(10**5000)], 1.5, -0.0, math.inf,
        "", "é", "\ud800", b"", [], {}, (), set(), frozenset(), ((),), [(1, [2, {3}])], {1: {2: {3: (4,)}}},
        {None: 1, True: 2, 2: 3, 2.5: 4, "t": 5, b"b": 6, (1, (2,)): 7, frozenset({1}): 8},
        {"\ud800": 1}, {2**70: 2**70}, [2**70, [1, "x"]], {"a": {"\ud800": [2**70]}},
        {1, 2.5, "x", None, (1,)}, {True}, {1.0},
        date.min, date.max, time.max, time(1, fold=1), datetime.min, datetime.max, datetime(2026, 1, 1, fold=1),
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=1), "odd")),
        timedelta.min, timedelta.max, timedelta(microseconds=-1), UUID(int=0), UUID(int=2**128 - 1),
        decimal.Decimal("1.10"), decimal.Decimal("-0"), decimal.Decimal("NaN123"), decimal.Decimal("sNaN"),
        decimal.Decimal("-Infinity"), decimal.Decimal("1E+1000000"), decimal.Decimal("1" * 100),
        Colour.RED, Colour.ALSO_RED, Colour.BLUE, Level.LOW, Right.READ | Right.WRITE, Right(0),
        Point(1, (2,)), Frozen({3}), Frozen.Inner(Frozen(1)), bytearray(b"x"), memoryview(b"x"), memoryview(b""),
        memoryview(b"abcdefgh").cast("i"), memoryview(b"abcdef").cast("B", (2, 3)), memoryview(b"abcdef")[::2],
    ],
)  # fmt: skip
def test_examples_come_back_the_same(value: Any) -> None:
    assert same(back(value), value)
    assert same(back([value, {"key": (value,)}]), [value, {"key": (value,)}])


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_zone_keeps_its_name_and_the_repeated_hour_its_side(zone: tzinfo) -> None:
    for fold in (0, 1):
        for month in (3, 10, 11):
            moment = datetime(2026, month, 1, 1, 30, tzinfo=zone, fold=fold)
            assert same(back(moment), moment)
            assert back(moment).tzinfo is zone


def test_of_an_unknown_kind_of_time_zone_the_offset_is_kept() -> None:
    class Odd(tzinfo):
        def utcoffset(self, moment: datetime | None) -> timedelta:
            return timedelta(hours=3)

        def dst(self, moment: datetime | None) -> timedelta:
            return timedelta(0)

        def tzname(self, moment: datetime | None) -> str:
            return "odd"

    moment = datetime(2026, 1, 1, tzinfo=Odd())
    assert back(moment) == moment
    assert back(moment).tzinfo == timezone(timedelta(hours=3))


def test_a_dataclass_is_made_from_its_fields_without_running_its_code() -> None:
    point = Point(1, 2)
    point.secret = 5
    copy = back(point)
    assert (copy.x, copy.y, copy.secret) == (1, 2, 5)
    assert not hasattr(copy, "born_by_init")


@pytest.mark.parametrize(
    "value",
    [1, "x", None, 1.5, b"x", [1, "x", b"y", None], {"a": 1, 2: b"x", None: 1.5}, [], {}],
)
def test_plain_values_are_plain_msgpack(value: Any) -> None:
    assert is_plain(value)
    assert serializer.pack(value) == [msgspec.msgpack.encode(value)]


@pytest.mark.parametrize("call", [((2**70,), {}), ((), {"x": 2**70}), (("\ud800",), {"x": [1]})])
def test_a_call_with_numbers_and_text_beyond_msgpack(call: tuple[Any, dict[str, Any]]) -> None:
    message, *buffers = serializer.pack_call(*call)
    assert serializer.unpack_call(message, buffers) == (list(call[0]), call[1])


@pytest.mark.parametrize("value", [{"a": [1, {"b": [None]}]}, [[1], [2, [3]]]])
def test_nested_lists_and_dicts_of_plain_values_are_plain_msgpack_too(value: Any) -> None:
    assert serializer.pack(value) == [msgspec.msgpack.encode(value)]


@pytest.mark.parametrize("value", [bytes(OUTSIDE_FROM), bytearray(OUTSIDE_FROM)])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: {"k": v}, lambda v: {"k": [(1, v)]}])
def test_large_buffers_stay_outside_and_are_not_copied(value: Any, wrap: Any) -> None:
    message, buffer = serializer.pack(wrap(value))
    assert buffer is value
    assert len(message) < 100
    assert same(serializer.unpack(message, [buffer]), wrap(value))


def test_a_large_bytearray_is_the_one_that_was_received() -> None:
    message, buffer = serializer.pack(bytearray(OUTSIDE_FROM))
    arrived = bytearray(buffer)
    assert serializer.unpack(message, [arrived]) is arrived


def test_a_large_memoryview_stays_outside() -> None:
    view = memoryview(bytes(OUTSIDE_FROM)).cast("d")
    message, buffer = serializer.pack(view)
    assert memoryview(buffer).obj is view.obj
    assert same(serializer.unpack(message, [buffer]), view)


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((2**70, 1, object()), {}, "argument 3: a value of type object"),
        ((1, object()), {}, "argument 2: a value of type object cannot be sent to another process"),
        ((1,), {"image": object()}, "argument 'image': a value of type object"),
        (([0, {"k": (object(),)}],), {}, "argument 1[1]['k'][0]: a value of type object"),
        ((), {"x": Point(1, [object()])}, "argument 'x'.y[0]: a value of type object"),
        (({"k" * 99: object()},), {}, "argument 1['kkkkkkkkkkkk...kkkkkkkkkkkkk']: a value of type object"),
        (({10**5000: object()},), {}, "argument 1["),
        (({object(): 1},), {}, "argument 1 key 0: a value of type object"),
        (({frozenset({object()})},), {}, "argument 1 element 0 element 0: a value of type object"),
    ],
)
def test_what_cannot_be_sent_is_named_by_its_place(args: Any, kwargs: Any, text: str) -> None:
    with pytest.raises(NotSerializable) as caught:
        serializer.pack_call(args, kwargs)
    assert str(caught.value).startswith(text)


def test_in_a_result_the_place_is_named_too() -> None:
    with pytest.raises(NotSerializable) as caught:
        serializer.pack([1, {"a": sys}])
    assert caught.value.argument == "[1]['a']"
    with pytest.raises(NotSerializable) as caught:
        serializer.pack(sys)
    assert caught.value.argument is None


def test_names_of_arguments_are_text() -> None:
    with pytest.raises(NotSerializable, match="no text"):
        serializer.pack_call((), {"\ud800": 1})


def test_a_memoryview_that_no_other_can_be_cast_to_is_refused() -> None:
    class Pair(ctypes.Structure):
        _fields_ = (("one", ctypes.c_int), ("other", ctypes.c_int))

    for view in (memoryview(Pair()), memoryview(b"x").cast("B", ())):
        with pytest.raises(NotSerializable, match="send its bytes"):
            serializer.pack(view)


class Text(str):
    pass


class Pairs(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("value", "way_out"), [(Text("x"), "convert it to str"), (Pairs(), "dict"), (bytes.__new__(Bytes), "bytes")]
)
def test_a_subclass_does_not_lose_its_type_in_silence(value: Any, way_out: str) -> None:
    with pytest.raises(NotSerializable, match=way_out):
        serializer.pack(value)


def test_a_local_class_is_refused_where_it_is_packed() -> None:
    @dataclasses.dataclass
    class Local:
        value: int

    with pytest.raises(NotSerializable, match="local class"):
        serializer.pack(Local(1))


def test_a_dataclass_with_a_field_that_is_not_set_is_refused() -> None:
    point = Point(1)
    del point.x
    with pytest.raises(NotSerializable, match="not set"):
        serializer.pack(point)


def test_what_contains_itself_is_refused() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(NotSerializable, match="contains itself"):
        serializer.pack(knot)


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: Frozen(v)])
def test_depth_is_bounded(wrap: Any) -> None:
    value: Any = None
    for _ in range(DEPTH):
        value = wrap(value)
    assert same(back(value), value)
    with pytest.raises(NotSerializable, match=f"more than {DEPTH}"):
        serializer.pack(wrap(value))


# What a message may not do


def extended(code: int, data: Any) -> bytes:
    """A message of one extension."""
    return b"\xc1x" + msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(data)))


def test_a_message_cannot_make_this_process_import_anything() -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(NotSerializable, match="imported"):
        serializer.unpack(extended(Code.DATACLASS, ["antigravity", "Geohash", {}]))
    assert "antigravity" not in sys.modules


def test_a_module_is_not_asked_for_what_it_makes_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = ModuleType("lazy_module")

    def on_demand(name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    vars(lazy)["__getattr__"] = on_demand
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    with pytest.raises(NotSerializable):
        serializer.unpack(extended(Code.DATACLASS, ["lazy_module", "Thing", {}]))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", "Popen"),
        (__name__, "NotADataclass"),
        (__name__, "Bytes"),
        (__name__, "Frozen.Inner.__init__"),
        (__name__, "serializer"),
        (__name__, "serializer._pickle"),
        (__name__, ""),
        (__name__, "Colour"),
        ("", ""),
        (None, "x"),
        ([1], "x"),
        ("sys", None),
    ],
)
def test_nothing_is_made_but_dataclasses(module: Any, name: Any) -> None:
    assert subprocess.Popen
    with pytest.raises(ProtocolError):
        serializer.unpack(extended(Code.DATACLASS, [module, name, {}]))


@pytest.mark.parametrize(
    "fields", [{}, {"x": 1}, {"x": 1, "y": 2, "secret": 3, "more": 4}, {"x": 1, "y": 2, "__class__": 3}, None, []]
)
def test_a_dataclass_takes_exactly_its_fields(fields: Any) -> None:
    with pytest.raises(ProtocolError):
        serializer.unpack(extended(Code.DATACLASS, [__name__, "Point", fields]))


@pytest.mark.parametrize(
    ("name", "member"), [("Colour", "GREEN"), ("Colour", 1), ("Right", "READ"), ("Right", 64), ("Point", "x")]
)
def test_an_enum_has_just_its_members(name: str, member: Any) -> None:
    with pytest.raises(ProtocolError):
        serializer.unpack(extended(Code.ENUM, [__name__, name, member]))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\xc1x",
        b"\xc1z\x01",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x81\x80\x90",
        b"\xa1\xff",
        b"\x01\x01",
        msgspec.msgpack.encode(msgspec.msgpack.Ext(Code.TUPLE, b"\x90")),
        msgspec.msgpack.encode([[msgspec.msgpack.Ext(Code.TUPLE, b"\x90")], {}]),
        extended(99, 1),
        extended(Code.BYTES, 0),
        extended(Code.BYTES, -1),
        extended(Code.BYTES, 2**60),
        extended(Code.SET, [[1]]),
        extended(Code.DICT, [1]),
        extended(Code.DICT, [[], 1]),
        extended(Code.DATE, "yesterday"),
        extended(Code.DATETIME, ["2026-01-01", 7, None]),
        extended(Code.DATETIME, ["2026-01-01", 0, "../../etc/passwd"]),
        extended(Code.DATETIME, ["2026-01-01", 0, "Middle/Earth"]),
        extended(Code.DATETIME, ["2026-01-01", 0, [10**18, None]]),
        extended(Code.TIMEDELTA, [10**18]),
        extended(Code.UUID, b"short"),
        extended(Code.DECIMAL, "one"),
        extended(Code.MEMORYVIEW, [b"abc", "i", [1]]),
        extended(Code.MEMORYVIEW, [b"abc", "B", [2**62]]),
        extended(Code.INT, "1"),
        extended(Code.STR, 1),
    ],
)
def test_a_malformed_message_is_a_protocol_error(message: bytes) -> None:
    for by in (serializer, pickling):
        with pytest.raises(ProtocolError):
            by.unpack(message)
        with pytest.raises(ProtocolError):
            by.unpack_call(message)


def test_extensions_cannot_be_nested_without_end() -> None:
    data = b"\x90"
    for _ in range(5000):
        data = msgspec.msgpack.encode(msgspec.msgpack.Ext(Code.TUPLE, b"\x91" + data))
    with pytest.raises(ProtocolError):
        serializer.unpack(b"\xc1x" + data)


@anything
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xc1x"]))
def test_garbage_is_never_more_than_a_protocol_error(garbage: bytes, mark: bytes) -> None:
    for read in (serializer.unpack, serializer.unpack_call):
        with contextlib.suppress(ProtocolError):
            read(mark + garbage)


@anything
@given(VALUES, st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_message_is_never_more_than_a_protocol_error(value: Any, damage: list[tuple[int, int]]) -> None:
    message, *buffers = serializer.pack(value)
    data = bytearray(message)
    for place, byte in damage:
        data[place % min(len(data), 300)] = byte
    with contextlib.suppress(ProtocolError):
        serializer.unpack(data, buffers)


@pytest.mark.parametrize("value", [None, [], [[]], [[], []], [[], {1: 2}], [[], {}, 1], {}, [[], {"\ud800": 1}]])
def test_what_is_no_call_is_a_protocol_error(value: Any) -> None:
    message, *buffers = serializer.pack(value)
    if value == [[], {"\ud800": 1}]:
        assert serializer.unpack_call(message, buffers) == ([], {"\ud800": 1})
        return
    with pytest.raises(ProtocolError):
        serializer.unpack_call(message, buffers)


# Pickle


def test_a_pickle_is_refused_unless_the_setting_permits_it() -> None:
    message, *buffers = pickling.pack(Text("x"))
    with pytest.raises(ProtocolError, match="dispatch_serializer"):
        serializer.unpack(message, buffers)
    with pytest.raises(ProtocolError, match="dispatch_serializer"):
        serializer.unpack_call(message, buffers)


def test_with_pickle_everything_else_can_be_sent() -> None:
    assert type(back(Text("x"), pickling)) is Text
    assert type(back([Pairs(a=1)], pickling)[0]) is Pairs
    message, *buffers = pickling.pack_call((Text("x"),), {"a": NotADataclass})
    args, kwargs = pickling.unpack_call(message, buffers)
    assert type(args[0]) is Text
    assert kwargs == {"a": NotADataclass}


def test_what_cannot_be_pickled_either_is_named() -> None:
    with pytest.raises(NotSerializable) as caught:
        pickling.pack_call((1, lambda: None), {})
    assert caught.value.argument == "argument 2"
    assert "pickled" in str(caught.value)


@anything
@given(st.binary(max_size=50))
def test_a_broken_pickle_is_a_protocol_error(garbage: bytes) -> None:
    message, *_ = pickling.pack(Text("text"))
    with pytest.raises(ProtocolError):
        pickling.unpack(bytes(message)[:-1])
    with pytest.raises(ProtocolError):
        pickling.unpack(b"\xc1p\x80\x05\xff" + garbage)


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


def test_large_buffers_of_a_pickle_stay_outside() -> None:
    message, buffer = pickling.pack(Holder([PickleBuffer(bytearray(OUTSIDE_FROM)), PickleBuffer(b"small")]))
    assert len(message) < 1000
    assert pickling.unpack(message, [bytearray(buffer)]).value == [bytearray(OUTSIDE_FROM), b"small"]


class Odd(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        raise RuntimeError("no offset")


class Proxy:
    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("nothing is bound")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not me")


class Unpicklable:
    def __reduce__(self) -> str:
        raise Mute


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


@pytest.mark.parametrize("make", [lambda: datetime(2026, 1, 1, tzinfo=Odd()), Proxy, released])
def test_what_raises_when_it_is_looked_at_is_not_serializable(make: Any) -> None:
    with pytest.raises(NotSerializable):
        serializer.pack(make())
    with pytest.raises(NotSerializable):
        serializer.pack_call([make()], {})


def test_what_raises_without_a_text_is_not_serializable() -> None:
    with pytest.raises(NotSerializable, match="cannot be had"):
        pickling.pack(Unpicklable())
