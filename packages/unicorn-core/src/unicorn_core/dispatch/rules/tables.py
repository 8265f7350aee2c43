"""The tables of the stash: what task workers and web workers share.

One process owns them, so every operation here is atomic. Values are kept as they were packed and never unpacked, but
for the numbers that `increment` changes: the classes of an application need not be known here. A table is made by the
first value that is put into it. A table with bounds forgets what was not used for longest; the stash as a whole forgets
nothing and refuses what it has no room for. An entry with a time to live is gone when that is over.
"""

import heapq
import sys
from collections import OrderedDict
from collections.abc import Hashable
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from unicorn_core.dispatch.errors import StashError, StashFull, StashKeyNotFound, StashTableNotFound, shown
from unicorn_core.dispatch.wire.frames import Buffer
from unicorn_core.dispatch.wire.serialization import Serializer

LIMIT = 1024 * 1024 * 1024
"""Bytes that all tables may have together, unless told otherwise."""

OVERHEAD = 256
"""Bytes that an entry, or a table, counts beside its key and value: about what it costs."""

Value = tuple[Buffer, ...]
"""A packed value: its message and buffers."""


class Bounds(msgspec.Struct, frozen=True):
    """What a table may hold; None for any number.

    Attributes:
        entries: how many entries.
        size: how many bytes, with keys and overhead.
        ttl: how many seconds an entry lives, unless it is put with another time.
    """

    entries: int | None = None
    size: int | None = None
    ttl: float | None = None

    @property
    def forgetful(self) -> bool:
        """Whether entries may have to make room for others."""
        return self.entries is not None or self.size is not None


class Entry(msgspec.Struct):
    """A value, what it counts in bytes, and when it is gone (None: never)."""

    value: Value
    size: int
    expires: float | None = None


class Table(msgspec.Struct):
    """One table. Of a forgetful one, what was used last stands last.

    Attributes:
        size: bytes of all entries.
        evicted: how many entries had to make room.
        expired: how many were gone by their time.
    """

    bounds: Bounds = Bounds()
    entries: OrderedDict[Hashable, Entry] = msgspec.field(default_factory=OrderedDict)
    size: int = 0
    evicted: int = 0
    expired: int = 0

    @property
    def overfull(self) -> bool:
        """Whether it holds more than it may."""
        entries, size = self.bounds.entries, self.bounds.size
        return (entries is not None and len(self.entries) > entries) or (size is not None and self.size > size)


class Tables:
    """See the module. All times are seconds of one monotonic clock.

    Where an operation takes a `ttl`, seconds to live, None stands for the table's own. Operations raise StashError, of
    which StashFull, StashKeyNotFound and StashTableNotFound are kinds.

    Attributes:
        size: bytes of all tables.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.size = 0
        self._limit = limit
        self._tables: dict[str, Table] = {}
        self._serializer = Serializer()
        # When entries are gone: the heap may name some that are no more, or have another time by now.
        self._ends: list[tuple[float, int, str, Hashable]] = []
        self._most_ends = 1024
        self._number = 0

    # One entry

    def put(self, table: str, key: Hashable, value: Value, now: float, ttl: float | None = None) -> None:
        """Set a value."""
        self.sweep(now)
        self._put(table, key, value, now, ttl)

    def get(self, table: str, key: Hashable, now: float) -> Value:
        """The value of a key."""
        return self._used(table, key, now).value

    def delete(self, table: str, key: Hashable, now: float) -> bool:
        """Take an entry out; whether it was there."""
        if not self.exists(table, key, now):
            return False
        self._drop(self._tables[table], key)
        return True

    def exists(self, table: str, key: Hashable, now: float) -> bool:
        """Whether there is such a key."""
        self.sweep(now)
        return self._find(table, key) is not None

    def put_if_absent(self, table: str, key: Hashable, value: Value, now: float, ttl: float | None = None) -> bool:
        """Set a value unless the key has one; whether it was set."""
        if self.exists(table, key, now):
            return False
        self._put(table, key, value, now, ttl)
        return True

    def compare_and_swap(
        self, table: str, key: Hashable, expected: Value, value: Value, now: float, ttl: float | None = None
    ) -> bool:
        """Set a value if the key has the expected one; whether it was set. Without `ttl` the entry keeps its time.

        Packed values are compared: 1 is not 1.0, and dicts and sets are equal only in the same order.
        """
        self.sweep(now)
        entry = self._find(table, key)
        if entry is None or entry.value != expected:
            return False
        self._put(table, key, value, now, ttl, entry)
        return True

    def increment(self, table: str, key: Hashable, amount: float, now: float, ttl: float | None = None) -> float:
        """Add to a number, an int or float, which begins as 0; gives the sum. Without `ttl` it keeps its time."""
        self.sweep(now)
        entry = self._find(table, key)
        before = self._serializer.unpack(entry.value[0], entry.value[1:]) if entry is not None else 0
        if type(before) not in (int, float):
            raise StashError(f"what {shown(key)} holds is no number", table=table, key=key)
        after: float = before + amount
        self._put(table, key, tuple(self._serializer.pack(after)), now, ttl, entry)
        return after

    def ttl(self, table: str, key: Hashable, now: float) -> float | None:
        """How many seconds an entry has still to live; None if it stays."""
        expires = self._used(table, key, now).expires
        return None if expires is None else expires - now

    def expire(self, table: str, key: Hashable, now: float, ttl: float | None) -> bool:
        """Give an entry another time to live, here with None for ever; whether it is there."""
        self._check(ttl)
        if not self.exists(table, key, now):
            return False
        self._end(table, key, None if ttl is None else now + ttl)
        return True

    # Whole tables

    def ensure(self, table: str, bounds: Bounds | None = None) -> None:
        """Make a table unless it is there; if bounds are given they hold from now on."""
        if bounds is not None and not all(
            bound is None or bound > 0 for bound in (bounds.entries, bounds.size, bounds.ttl)
        ):
            raise StashError("the bounds of a table must be more than 0", table=table)
        if table not in self._tables:
            self._add(table, Table())
        found = self._tables[table]
        if bounds is not None:
            found.bounds = bounds
            self._evict(found)

    def keys(self, table: str, now: float, pattern: str | None = None) -> list[Hashable]:
        """The keys of a table, or those whose text matches a pattern as the shell has them (`user:*`)."""
        self.sweep(now)
        found = self._tables.get(table)
        if found is None:
            return []
        return [key for key in found.entries if pattern is None or fnmatchcase(str(key), pattern)]

    def items(self, table: str, now: float, pattern: str | None = None) -> list[tuple[Hashable, Value]]:
        """The same with the values."""
        return [(key, self._tables[table].entries[key].value) for key in self.keys(table, now, pattern)]

    def clear(self, table: str) -> None:
        """Take out all entries; nothing happens if there is no such table."""
        found = self._tables.get(table)
        if found is not None:
            self.size -= found.size
            found.size = 0
            found.entries.clear()

    def delete_table(self, table: str) -> bool:
        """Take a table away; whether it was there."""
        if table not in self._tables:
            return False
        self.clear(table)
        del self._tables[table]
        self.size -= _cost(table)
        return True

    def tables(self) -> list[str]:
        """The names of all tables."""
        return list(self._tables)

    def has_table(self, table: str) -> bool:
        """Whether there is such a table."""
        return table in self._tables

    def info(self, table: str, now: float) -> dict[str, Any]:
        """What there is to know of a table: `size` counts the entries, `bytes` what they take."""
        self.sweep(now)
        found = self._tables.get(table)
        if found is None:
            raise StashTableNotFound(table=table)
        return {
            "table": table,
            "size": len(found.entries),
            "bytes": found.size,
            "max_size": found.bounds.entries,
            "max_bytes": found.bounds.size,
            "ttl": found.bounds.ttl,
            "evicted": found.evicted,
            "expired": found.expired,
        }

    # Time

    def sweep(self, now: float) -> None:
        """Drop what has no more time to live. Every operation that depends on it does so first."""
        while self._ends and self._ends[0][0] <= now:
            expires, _, table, key = heapq.heappop(self._ends)
            entry = self._find(table, key)
            if entry is not None and entry.expires == expires:
                found = self._tables[table]
                self._drop(found, key)
                found.expired += 1

    def _end(self, table: str, key: Hashable, expires: float | None) -> None:
        self._tables[table].entries[key].expires = expires
        if expires is None:
            return
        self._push(expires, table, key)
        if len(self._ends) > self._most_ends:
            self._ends = []
            for name, found in self._tables.items():
                for one, entry in found.entries.items():
                    if entry.expires is not None:
                        self._push(entry.expires, name, one)
            self._most_ends = 2 * len(self._ends) + 1024

    def _push(self, expires: float, table: str, key: Hashable) -> None:
        self._number += 1
        heapq.heappush(self._ends, (expires, self._number, table, key))

    def _check(self, ttl: float | None) -> None:
        if ttl is not None and not ttl > 0:
            raise StashError(f"a time to live must be more than 0 seconds, not {ttl:g}")

    # Space

    def _put(
        self, table: str, key: Hashable, value: Value, now: float, ttl: float | None, changed: Entry | None = None
    ) -> None:
        """Set a value; without `ttl` it keeps the time of the entry that it changes."""
        self._check(ttl)
        if not value or not all(isinstance(part, bytes | bytearray) for part in value):
            raise StashError("a value must have been packed", table=table, key=key)
        old = self._find(table, key)
        size = _cost(key) + sum(map(len, value))
        growth = size - (old.size if old is not None else 0)
        found = self._tables.get(table, Table())
        self._check_room(table, found, size, growth)
        if table not in self._tables:
            self._add(table, found)
        found.entries[key] = Entry(value, size)
        found.size += growth
        self.size += growth
        if found.bounds.forgetful:
            found.entries.move_to_end(key)
            self._evict(found)
        if ttl is None and changed is not None:
            expires = changed.expires
        else:
            seconds = found.bounds.ttl if ttl is None else ttl
            expires = None if seconds is None else now + seconds
        self._end(table, key, expires)

    def _check_room(self, table: str, found: Table, size: int, growth: int) -> None:
        """Raise StashFull if a value of this size has no place, even if the others of a forgetful table make room."""
        most = found.bounds.size
        if most is not None and size > most:
            raise StashFull(f"a value of {size} bytes is more than it may have, {most}", table=table)
        if table not in self._tables:
            growth += _cost(table)
        can_go = found.size - (size - growth) if found.bounds.forgetful else 0
        if self.size + growth - can_go > self._limit:
            raise StashFull(
                f"{size} bytes more would be more than the stash may have, {self._limit} (setting dispatch_max_stash)",
                table=table,
            )

    def _add(self, table: str, found: Table) -> None:
        if self.size + _cost(table) > self._limit:
            raise StashFull(
                f"the stash has as much as it may, {self._limit} bytes (setting dispatch_max_stash)", table=table
            )
        self._tables[table] = found
        self.size += _cost(table)

    def _evict(self, found: Table) -> None:
        """Let the entries that were not used for longest make room."""
        while found.overfull or (self.size > self._limit and found.bounds.forgetful):
            self._drop(found, next(iter(found.entries)))
            found.evicted += 1

    def _drop(self, found: Table, key: Hashable) -> None:
        entry = found.entries.pop(key)
        found.size -= entry.size
        self.size -= entry.size

    # Look-up

    def _find(self, table: str, key: Hashable) -> Entry | None:
        found = self._tables.get(table)
        try:
            hash(key)
        except TypeError:
            raise StashError(f"a {type(key).__name__} cannot be a key", table=table) from None
        return found.entries.get(key) if found is not None else None

    def _used(self, table: str, key: Hashable, now: float) -> Entry:
        """An entry that is there, and in use."""
        self.sweep(now)
        entry = self._find(table, key)
        if entry is None:
            raise StashKeyNotFound(table=table, key=key)
        found = self._tables[table]
        if found.bounds.forgetful:
            found.entries.move_to_end(key)
        return entry


def _cost(name: Hashable) -> int:
    """Bytes of an entry or a table without what it holds."""
    return OVERHEAD + sys.getsizeof(name)
