"""The stash by gunicorn's names."""

from collections.abc import Hashable
from types import TracebackType
from typing import Any, Self

from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.dispatch.dirty.client import get_dirty_socket_path, set_dirty_socket_path, simple
from unicorn_core.dispatch.errors import StashError
from unicorn_core.dispatch.errors import StashKeyNotFound as StashKeyNotFoundError
from unicorn_core.dispatch.errors import StashTableNotFound as StashTableNotFoundError
from unicorn_core.dispatch.stash import Stash, StashTable

__all__ = ["StashClient", "StashError", "StashKeyNotFoundError", "StashTable", "StashTableNotFoundError"]

set_stash_socket_path = set_dirty_socket_path
get_stash_socket_path = get_dirty_socket_path


class _SimpleStash(Stash):
    """Gives values as gunicorn's wire format leaves them."""

    def put(self, table: str, key: Hashable, value: Any, ttl: float | None = None) -> None:
        """Set a value; the table is made if need be."""
        super().put(table, key, simple(value), ttl)


class StashClient(_SimpleStash):
    """The stash of one pool.

    Args:
        socket_path: where it is reached.
    """

    def __init__(self, socket_path: str, timeout: float = 30.0) -> None:
        self.socket_path = socket_path
        self.timeout = timeout
        self._client = Client(LocalBackend(socket_path))
        super().__init__(self._client.stash)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


_stash = _SimpleStash()

put = _stash.put
get = _stash.get
delete = _stash.delete
keys = _stash.keys
clear = _stash.clear
info = _stash.info
ensure = _stash.ensure
exists = _stash.exists
delete_table = _stash.delete_table
tables = _stash.tables
table = _stash.table
