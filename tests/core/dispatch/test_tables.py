"""The stash keeps what it is given, as long as it should and within its bounds."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from unicorn_core.dispatch.errors import ProtocolError, StashError, StashFull, StashKeyNotFound, StashTableNotFound
from unicorn_core.dispatch.rules.tables import OVERHEAD, Bounds, Tables, Value
from unicorn_core.dispatch.wire.serialization import Serializer

serializer = Serializer()


def packed(value: Any) -> Value:
    return tuple(serializer.pack(value))


def unpacked(value: Value) -> Any:
    return serializer.unpack(value[0], value[1:])


ONE, TWO = packed(1), packed(2)


@pytest.fixture
def tables() -> Tables:
    return Tables()


def test_what_was_put_can_be_got(tables: Tables) -> None:
    tables.put("t", "k", ONE, 0)
    tables.put("t", "k", TWO, 0)
    assert tables.get("t", "k", 0) == TWO
    assert tables.exists("t", "k", 0)
    assert not tables.exists("t", "other", 0)
    assert not tables.exists("other", "k", 0)


def test_values_that_only_applications_can_read_are_kept(tables: Tables) -> None:
    value = (b"\xc1x a message of who knows what", bytearray(100_000))
    tables.put("t", "k", value, 0)
    assert tables.get("t", "k", 0) == value


@pytest.mark.parametrize("value", [(), ("text",), (b"m", 5), (b"m", memoryview(b"xxxx").cast("i"))])
def test_what_was_not_packed_is_refused(tables: Tables, value: Any) -> None:
    with pytest.raises(StashError, match="packed"):
        tables.put("t", "k", value, 0)
    assert tables.tables() == []


@pytest.mark.parametrize("key", ["text", 1, 1.5, None, b"bytes", (1, ("x",)), frozenset({1})])
def test_a_key_may_be_anything_that_can_be_one(tables: Tables, key: Hashable) -> None:
    tables.put("t", key, ONE, 0)
    assert tables.get("t", key, 0) == ONE
    assert tables.keys("t", 0) == [key]


def test_what_cannot_be_a_key_is_refused(tables: Tables) -> None:
    for operation in (tables.get, tables.exists, tables.delete, tables.ttl):
        with pytest.raises(StashError, match="a list cannot be a key"):
            operation("t", [1], 0)  # type: ignore[arg-type]
    with pytest.raises(StashError, match="a list cannot be a key"):
        tables.put("t", [1], ONE, 0)  # type: ignore[arg-type]
    assert tables.tables() == []


def test_what_is_missing_is_told(tables: Tables) -> None:
    with pytest.raises(StashKeyNotFound, match="stash t: there is no key 'k'"):
        tables.get("t", "k", 0)
    with pytest.raises(StashKeyNotFound):
        tables.ttl("t", "k", 0)
    with pytest.raises(StashTableNotFound, match="stash t: there is no such table"):
        tables.info("t", 0)


def test_a_key_that_cannot_be_shown_does_no_harm(tables: Tables) -> None:
    with pytest.raises(StashKeyNotFound, match="there is no key"):
        tables.get("t", 10**5000, 0)


def test_taking_out(tables: Tables) -> None:
    tables.put("t", "k", ONE, 0)
    assert tables.delete("t", "k", 0)
    assert not tables.delete("t", "k", 0)
    assert not tables.delete("other", "k", 0)


def test_keys_and_items_by_pattern(tables: Tables) -> None:
    for key in ("user:1", "user:2", "User:3", 4):
        tables.put("t", key, ONE, 0)
    assert tables.keys("t", 0) == ["user:1", "user:2", "User:3", 4]
    assert tables.keys("t", 0, "user:*") == ["user:1", "user:2"]
    assert tables.keys("t", 0, "?") == [4]
    assert tables.items("t", 0, "*:2") == [("user:2", ONE)]
    assert tables.keys("other", 0) == []
    assert tables.items("other", 0) == []


def test_tables_come_and_go(tables: Tables) -> None:
    tables.ensure("a")
    tables.put("b", "k", ONE, 0)
    tables.ensure("b")
    assert tables.tables() == ["a", "b"]
    assert tables.has_table("a")
    tables.clear("b")
    tables.clear("none")
    assert tables.keys("b", 0) == []
    assert tables.delete_table("b")
    assert not tables.delete_table("b")
    assert tables.tables() == ["a"]
    assert tables.delete_table("a")
    assert tables.size == 0


def test_info(tables: Tables) -> None:
    tables.ensure("t", Bounds(entries=1, size=10_000, ttl=5))
    tables.put("t", "a", ONE, 0)
    tables.put("t", "b", ONE, 0)
    info = tables.info("t", 6)
    assert info.pop("bytes") == 0
    assert info == {
        "table": "t",
        "size": 0,
        "max_size": 1,
        "max_bytes": 10_000,
        "ttl": 5,
        "evicted": 1,
        "expired": 1,
    }


def test_only_one_puts_what_is_absent(tables: Tables) -> None:
    assert tables.put_if_absent("t", "lock", ONE, 0, ttl=10)
    assert not tables.put_if_absent("t", "lock", TWO, 9)
    assert tables.get("t", "lock", 9) == ONE
    assert tables.put_if_absent("t", "lock", TWO, 10)
    assert tables.get("t", "lock", 10) == TWO


def test_a_value_is_swapped_only_for_the_expected_one(tables: Tables) -> None:
    assert not tables.compare_and_swap("t", "k", ONE, TWO, 0)
    tables.put("t", "k", ONE, 0)
    assert not tables.compare_and_swap("t", "k", TWO, TWO, 0)
    assert tables.compare_and_swap("t", "k", (memoryview(ONE[0]),), TWO, 0)
    assert tables.get("t", "k", 0) == TWO
    large = (b"m", bytearray(b"x" * 100))
    tables.put("t", "k", large, 0)
    assert not tables.compare_and_swap("t", "k", (b"m", b"y" * 100), ONE, 0)
    assert not tables.compare_and_swap("t", "k", (b"m",), ONE, 0)
    assert tables.compare_and_swap("t", "k", (b"m", b"x" * 100), ONE, 0)


def test_counting(tables: Tables) -> None:
    assert tables.increment("t", "n", 2, 0) == 2
    assert tables.increment("t", "n", -5, 0) == -3
    assert unpacked(tables.get("t", "n", 0)) == -3
    assert tables.increment("t", "n", 0.5, 0) == -2.5
    tables.put("t", "big", packed(2**64), 0)
    assert tables.increment("t", "big", 1, 0) == 2**64 + 1
    assert unpacked(tables.get("t", "big", 0)) == 2**64 + 1


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_only_numbers_can_be_counted_with(tables: Tables, value: Any) -> None:
    tables.put("t", "k", packed(value), 0)
    with pytest.raises(StashError, match="'k' holds is no number"):
        tables.increment("t", "k", 1, 0)
    assert tables.get("t", "k", 0) == packed(value)


def test_what_cannot_be_read_here_cannot_be_counted_with(tables: Tables) -> None:
    tables.put("t", "k", (b"\xc1p pickled",), 0)
    with pytest.raises((StashError, ProtocolError)):
        tables.increment("t", "k", 1, 0)


# Time


def test_an_entry_is_gone_when_its_time_is_over(tables: Tables) -> None:
    tables.put("t", "k", ONE, 100, ttl=5)
    tables.put("t", "stays", ONE, 100)
    assert tables.ttl("t", "k", 102) == 3
    assert tables.ttl("t", "stays", 102) is None
    assert tables.exists("t", "k", 104.9)
    assert not tables.exists("t", "k", 105)
    assert tables.keys("t", 105) == ["stays"]
    assert tables.items("t", 105) == [("stays", ONE)]


def test_a_new_value_has_a_new_time(tables: Tables) -> None:
    tables.put("t", "k", ONE, 0, ttl=5)
    tables.put("t", "k", ONE, 4, ttl=5)
    assert tables.ttl("t", "k", 6) == 3
    tables.put("t", "k", ONE, 6)
    assert tables.ttl("t", "k", 100) is None


def test_a_changed_value_keeps_its_time(tables: Tables) -> None:
    tables.ensure("t", Bounds(ttl=1))
    tables.put("t", "n", ONE, 0, ttl=5)
    tables.increment("t", "n", 1, 1)
    assert tables.ttl("t", "n", 1) == 4
    assert tables.compare_and_swap("t", "n", TWO, ONE, 2)
    assert tables.ttl("t", "n", 2) == 3
    tables.increment("t", "n", 1, 2, ttl=10)
    assert tables.ttl("t", "n", 2) == 10
    tables.expire("t", "n", 2, None)
    tables.increment("t", "n", 1, 3)
    assert tables.ttl("t", "n", 100) is None


def test_a_table_s_own_time_holds_where_none_is_given(tables: Tables) -> None:
    tables.ensure("t", Bounds(ttl=2))
    tables.put("t", "own", ONE, 0)
    tables.put("t", "given", ONE, 0, ttl=9)
    tables.increment("t", "counter", 1, 0)
    assert tables.keys("t", 2) == ["given"]


def test_a_time_can_be_changed(tables: Tables) -> None:
    tables.put("t", "k", ONE, 0, ttl=5)
    assert tables.expire("t", "k", 1, 50)
    assert tables.ttl("t", "k", 10) == 41
    assert tables.expire("t", "k", 10, None)
    assert tables.ttl("t", "k", 1000) is None
    assert not tables.expire("t", "none", 10, 1)


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(tables: Tables, ttl: float) -> None:
    with pytest.raises(StashError, match="more than 0 seconds"):
        tables.put("t", "k", ONE, 0, ttl=ttl)
    with pytest.raises(StashError, match="more than 0 seconds"):
        tables.expire("t", "k", 0, ttl)
    assert tables.tables() == []


def test_an_old_time_does_not_end_what_was_put_anew(tables: Tables) -> None:
    tables.put("t", "k", ONE, 0, ttl=5)
    tables.delete("t", "k", 0)
    tables.put("t", "k", TWO, 0)
    tables.put("gone", "k", ONE, 0, ttl=5)
    tables.delete_table("gone")
    assert tables.get("t", "k", 100) == TWO


def test_times_that_were_changed_take_no_memory(tables: Tables) -> None:
    for n in range(50_000):
        tables.put("t", n % 10, ONE, 0, ttl=10 + n)
    assert len(tables._ends) < 3000
    assert tables.ttl("t", 9, 0) == 10 + 49_999


# Space


def test_a_table_forgets_what_was_not_used_for_longest(tables: Tables) -> None:
    tables.ensure("t", Bounds(entries=3))
    for key in "abc":
        tables.put("t", key, ONE, 0)
    tables.get("t", "a", 0)
    tables.put("t", "b", TWO, 0)
    tables.put("t", "d", ONE, 0)
    assert set(tables.keys("t", 0)) == {"a", "b", "d"}
    assert tables.info("t", 0)["evicted"] == 1


def test_a_table_keeps_to_its_bytes(tables: Tables) -> None:
    tables.ensure("t", Bounds(size=10_000))
    for n in range(100):
        tables.put("t", n, (bytes(1000),), 0)
        assert tables.info("t", 0)["bytes"] <= 10_000
    kept = tables.keys("t", 0)
    assert kept == [*range(100 - len(kept), 100)]
    assert len(kept) == 7
    with pytest.raises(StashFull, match="more than it may have, 10000"):
        tables.put("t", 99, (bytes(10_000),), 0)
    assert tables.keys("t", 0) == kept, "what has no room drives nothing out"
    assert tables.get("t", 99, 0) == (bytes(1000),)


def test_bounds_hold_from_when_they_are_set(tables: Tables) -> None:
    for n in range(10):
        tables.put("t", n, ONE, 0)
    tables.ensure("t", Bounds(entries=2))
    assert tables.keys("t", 0) == [8, 9]
    tables.ensure("t")
    tables.put("t", 10, ONE, 0)
    assert tables.keys("t", 0) == [9, 10]


@pytest.mark.parametrize("bounds", [Bounds(entries=0), Bounds(size=-1), Bounds(ttl=0)])
def test_bounds_that_make_no_sense_are_refused(tables: Tables, bounds: Bounds) -> None:
    with pytest.raises(StashError, match="more than 0"):
        tables.ensure("t", bounds)
    assert tables.tables() == []


def test_the_stash_refuses_what_it_has_no_room_for() -> None:
    tables = Tables(limit=10_000)
    tables.put("t", "k", (bytes(5000),), 0)
    with pytest.raises(StashFull, match="more than the stash may have, 10000"):
        tables.put("t", "more", (bytes(5000),), 0)
    with pytest.raises(StashFull):
        tables.put("other", "k", (bytes(4200),), 0)
    assert tables.tables() == ["t"]
    tables.put("t", "k", (bytes(6000),), 0)
    tables.delete("t", "k", 0)
    tables.put("t", "more", (bytes(5000),), 0)


def test_a_forgetful_table_makes_room_for_the_whole_stash() -> None:
    tables = Tables(limit=10_000)
    tables.ensure("cache", Bounds(entries=100))
    tables.put("kept", "k", (bytes(5000),), 0)
    for n in range(20):
        tables.put("cache", n, (bytes(1000),), 0)
        assert tables.size <= 10_000
    assert 19 in tables.keys("cache", 0)
    assert tables.exists("kept", "k", 0)
    before = tables.keys("cache", 0)
    with pytest.raises(StashFull):
        tables.put("cache", "large", (bytes(5000),), 0)
    assert tables.keys("cache", 0) == before


def test_there_cannot_be_any_number_of_empty_tables() -> None:
    tables = Tables(limit=10 * OVERHEAD)
    for n in range(8):
        tables.ensure(f"{n}")
    with pytest.raises(StashFull):
        tables.ensure("one more")


class TablesMachine(RuleBasedStateMachine):
    """Against plain dicts that know of time and of use."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tables = Tables()
        self.tables.ensure("lru", Bounds(entries=3))
        self.tables.ensure("short", Bounds(ttl=4))
        self.model: dict[str, OrderedDict[str, tuple[Value, float]]] = {
            "lru": OrderedDict(),
            "short": OrderedDict(),
            "plain": OrderedDict(),
        }

    tables_ = st.sampled_from(["lru", "short", "plain"])
    keys_ = st.sampled_from("abcde")
    values_ = st.sampled_from([ONE, TWO])
    ttls_ = st.sampled_from([None, None, 1.0, 5.0])

    def model_put(self, table: str, key: str, value: Value, ttl: float | None, keep: float | None = None) -> None:
        if ttl is None and table == "short":
            ttl = 4
        expires = self.now + ttl if ttl is not None else float("inf")
        entries = self.model[table]
        entries[key] = (value, keep if keep is not None else expires)
        if table == "lru":
            entries.move_to_end(key)
            while len(entries) > 3:
                entries.popitem(last=False)

    @rule(table=tables_, key=keys_, value=values_, ttl=ttls_)
    def put(self, table: str, key: str, value: Value, ttl: float | None) -> None:
        self.tables.put(table, key, value, self.now, ttl)
        self.model_put(table, key, value, ttl)

    @rule(table=tables_, key=keys_, value=values_, ttl=ttls_)
    def put_if_absent(self, table: str, key: str, value: Value, ttl: float | None) -> None:
        absent = key not in self.model[table]
        assert self.tables.put_if_absent(table, key, value, self.now, ttl) is absent
        if absent:
            self.model_put(table, key, value, ttl)

    @rule(table=tables_, key=keys_, expected=values_, value=values_)
    def swap(self, table: str, key: str, expected: Value, value: Value) -> None:
        found = self.model[table].get(key)
        fits = found is not None and found[0] == expected
        assert self.tables.compare_and_swap(table, key, expected, value, self.now) is fits
        if fits and found:
            self.model_put(table, key, value, None, keep=found[1])

    @rule(table=tables_, key=keys_, amount=st.integers(-3, 3))
    def increment(self, table: str, key: str, amount: int) -> None:
        found = self.model[table].get(key)
        after = (unpacked(found[0]) if found else 0) + amount
        assert self.tables.increment(table, key, amount, self.now) == after
        self.model_put(table, key, packed(after), None, keep=found[1] if found else None)

    @rule(table=tables_, key=keys_)
    def get(self, table: str, key: str) -> None:
        if key in self.model[table]:
            assert self.tables.get(table, key, self.now) == self.model[table][key][0]
            if table == "lru":
                self.model[table].move_to_end(key)
        else:
            with pytest.raises(StashKeyNotFound):
                self.tables.get(table, key, self.now)

    @rule(table=tables_, key=keys_, ttl=ttls_)
    def expire(self, table: str, key: str, ttl: float | None) -> None:
        there = key in self.model[table]
        assert self.tables.expire(table, key, self.now, ttl) is there
        if there:
            expires = float("inf") if ttl is None else self.now + ttl
            self.model[table][key] = (self.model[table][key][0], expires)

    @rule(table=tables_, key=keys_)
    def delete(self, table: str, key: str) -> None:
        assert self.tables.delete(table, key, self.now) is (self.model[table].pop(key, None) is not None)

    @rule(table=tables_)
    def clear(self, table: str) -> None:
        self.tables.clear(table)
        self.model[table].clear()

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for entries in self.model.values():
            for key in [key for key, (_, expires) in entries.items() if expires <= self.now]:
                del entries[key]

    @invariant()
    def the_same_is_there(self) -> None:
        for table, entries in self.model.items():
            if not self.tables.has_table(table):
                assert not entries
                continue
            assert dict(self.tables.items(table, self.now)) == {key: value for key, (value, _) in entries.items()}
        names = self.tables.tables()
        assert self.tables.size == sum(self.tables.info(name, self.now)["bytes"] for name in names) + sum(
            OVERHEAD + name.__sizeof__() for name in names
        )


TablesMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestTablesAgainstDicts = TablesMachine.TestCase
