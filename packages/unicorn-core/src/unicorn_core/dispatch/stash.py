"""The stash: tables in the dispatcher's memory that task workers and web workers share.

    from unicorn_core.dispatch import stash

    stash.put("sessions", "user:1", {"name": "Ada"})
    stash.increment("counters", "visits")
    sessions = stash.table("sessions")
    sessions["user:2"] = {"name": "Alan"}

Every operation is atomic. The tables outlive task workers, web workers and reloads, but not the dispatcher.
"""

from collections.abc import Callable, Hashable, ItemsView, Iterator, MutableMapping, ValuesView
from typing import Any

from unicorn_core.dispatch.client.client import get_client
from unicorn_core.dispatch.errors import StashKeyNotFound, StashTableNotFound
from unicorn_core.dispatch.wire.serialization import Serializer

_pack = Serializer().pack
Run = Callable[..., Any]


class Stash:
    """The operations.

    Args:
        run: runs one: `run(operation, **arguments)`; by default that of `get_client()`.
    """

    def __init__(self, run: Run | None = None) -> None:
        self._own_run = run

    def _run(self, operation: str, **arguments: Any) -> Any:
        return (self._own_run or get_client().stash)(operation, **arguments)

    def put(self, table: str, key: Hashable, value: Any, ttl: float | None = None) -> None:
        """Set a value; the table is made if need be. `ttl`: seconds after which it is gone; None: the table's own."""
        self._run("put", table=table, key=key, value=_pack(value), ttl=ttl)

    def get(self, table: str, key: Hashable, default: Any = None) -> Any:
        """The value of a key, or the default."""
        try:
            return self._run("get", table=table, key=key)
        except StashKeyNotFound:
            return default

    def delete(self, table: str, key: Hashable) -> bool:
        """Take an entry out; whether it was there."""
        return bool(self._run("delete", table=table, key=key))

    def exists(self, table: str, key: Hashable | None = None) -> bool:
        """Whether there is such a key or, without one, such a table."""
        if key is None:
            return bool(self._run("has_table", table=table))
        return bool(self._run("exists", table=table, key=key))

    def put_if_absent(self, table: str, key: Hashable, value: Any, ttl: float | None = None) -> bool:
        """Set a value unless the key has one; whether it was set."""
        return bool(self._run("put_if_absent", table=table, key=key, value=_pack(value), ttl=ttl))

    def compare_and_swap(self, table: str, key: Hashable, expected: Any, value: Any, ttl: float | None = None) -> bool:
        """Set a value if the key has the expected one; whether it was set."""
        return bool(
            self._run("compare_and_swap", table=table, key=key, expected=_pack(expected), value=_pack(value), ttl=ttl)
        )

    def increment(self, table: str, key: Hashable, amount: float = 1, ttl: float | None = None) -> float:
        """Add to a number, which begins as 0; gives the sum."""
        total: float = self._run("increment", table=table, key=key, amount=amount, ttl=ttl)
        return total

    def ttl(self, table: str, key: Hashable) -> float | None:
        """How many seconds an entry has yet; None: it stays. Raises StashKeyNotFound."""
        left: float | None = self._run("ttl", table=table, key=key)
        return left

    def expire(self, table: str, key: Hashable, ttl: float | None) -> bool:
        """Give an entry another time to live, None for ever; whether it is there."""
        return bool(self._run("expire", table=table, key=key, ttl=ttl))

    def keys(self, table: str, pattern: str | None = None) -> list[Any]:
        """The keys of a table, or those that match a pattern such as `user:*`."""
        return list(self._run("keys", table=table, pattern=pattern))

    def items(self, table: str, pattern: str | None = None) -> list[tuple[Any, Any]]:
        """Keys with their values."""
        unpack = Serializer().unpack
        found = self._run("items", table=table, pattern=pattern)
        return [(key, unpack(value[0], value[1:])) for key, value in found]

    def clear(self, table: str) -> None:
        """Take out all entries."""
        self._run("clear", table=table)

    def ensure(
        self,
        table: str,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        ttl: float | None = None,
    ) -> None:
        """Make a table unless it is there. With bounds it forgets what was not used for longest.

        Args:
            max_entries: how many entries it may have.
            max_bytes: how many bytes they may take.
            ttl: seconds that an entry lives if nothing else is said.
        """
        bounds = [max_entries, max_bytes, ttl]
        self._run("ensure", table=table, bounds=bounds if any(bound is not None for bound in bounds) else None)

    def delete_table(self, table: str) -> bool:
        """Take a table away; whether it was there."""
        return bool(self._run("delete_table", table=table))

    def tables(self) -> list[str]:
        """The names of all tables."""
        return list(self._run("tables"))

    def info(self, table: str) -> dict[str, Any]:
        """What there is to know of a table: `size` counts its entries, `bytes` what they take."""
        return dict(self._run("info", table=table))

    def table(self, name: str) -> "StashTable":
        """A table that looks like a dict."""
        return StashTable(self, name)


class StashTable(MutableMapping[Any, Any]):
    """A table of the stash as a mapping. A loop over it sees the keys that there were at its begin.

    Attributes:
        name: of the table.
    """

    def __init__(self, stash: Stash, name: str) -> None:
        self._stash = stash
        self.name = name

    def __repr__(self) -> str:
        return f"<stash table {self.name!r}>"

    def __getitem__(self, key: Hashable) -> Any:
        value = self._stash.get(self.name, key, _MISSING)
        if value is _MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Hashable, value: Any) -> None:
        self._stash.put(self.name, key, value)

    def __delitem__(self, key: Hashable) -> None:
        if not self._stash.delete(self.name, key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._stash.exists(self.name, key) if isinstance(key, Hashable) else False

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stash.keys(self.name))

    def __len__(self) -> int:
        try:
            return int(self._stash.info(self.name)["size"])
        except StashTableNotFound:
            return 0

    def items(self) -> ItemsView[Any, Any]:
        """Keys with their values; a loop over them is one operation."""
        return StashItems(self)

    def values(self) -> ValuesView[Any]:
        """The values; a loop over them is one operation."""
        return StashValues(self)

    def pairs(self) -> list[tuple[Any, Any]]:
        """Keys with their values, as a list."""
        return self._stash.items(self.name)

    def clear(self) -> None:
        """Take out all entries."""
        self._stash.clear(self.name)


class StashItems(ItemsView[Any, Any]):
    """See `StashTable.items`."""

    def __init__(self, table: StashTable) -> None:
        super().__init__(table)
        self._table = table

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._table.pairs())


class StashValues(ValuesView[Any]):
    """See `StashTable.values`."""

    def __init__(self, table: StashTable) -> None:
        super().__init__(table)
        self._table = table

    def __contains__(self, value: object) -> bool:
        return value in list(self)

    def __iter__(self) -> Iterator[Any]:
        return iter([value for _, value in self._table.pairs()])


_MISSING = object()
_stash = Stash()

put = _stash.put
get = _stash.get
delete = _stash.delete
exists = _stash.exists
put_if_absent = _stash.put_if_absent
compare_and_swap = _stash.compare_and_swap
increment = _stash.increment
ttl = _stash.ttl
expire = _stash.expire
keys = _stash.keys
items = _stash.items
clear = _stash.clear
ensure = _stash.ensure
delete_table = _stash.delete_table
tables = _stash.tables
info = _stash.info
table = _stash.table
