"""The client of gunicorn's dirty pool, on ours."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from unicorn_core.dispatch.client import environment
from unicorn_core.dispatch.client.client import Client
from unicorn_core.dispatch.client.local import LocalBackend
from unicorn_core.dispatch.dirty.errors import DirtyError

TIMEOUT = 30.0
IDLE_TIMEOUT = 30.0
"""Seconds that a stream may take for its next value, at most."""


class DirtyClient:
    """Calls the apps of one pool.

    Args:
        socket_path: where it is reached.
        timeout: seconds for each call, or for a stream as a whole.
    """

    def __init__(self, socket_path: str, timeout: float = TIMEOUT) -> None:
        self.socket_path = socket_path
        self.timeout = timeout
        self._backend = LocalBackend(socket_path)

    @property
    def _client(self) -> Client:
        idle = min(IDLE_TIMEOUT, self.timeout)
        return Client(self._backend).with_options(timeout=self.timeout, idle_timeout=idle)

    def connect(self) -> None:
        """Nothing needs to be done: a call connects by itself."""

    def execute(self, app_path: str, action: str, /, *args: Any, **kwargs: Any) -> Any:
        """The result of an action; raises a DirtyError."""
        return simple(self._client.execute(app_path, action, *simple(args), **simple(kwargs)))

    def stream(self, app_path: str, action: str, /, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """The values of an action that is a generator; raises a DirtyError."""
        return map(simple, self._client.stream(app_path, action, *simple(args), **simple(kwargs)))

    def close(self) -> None:
        """End the connections."""
        self._backend.close()

    async def connect_async(self) -> None:
        """Nothing needs to be done."""

    async def execute_async(self, app_path: str, action: str, /, *args: Any, **kwargs: Any) -> Any:
        """As `execute`, in an asyncio loop."""
        return simple(await self._client.execute_async(app_path, action, *simple(args), **simple(kwargs)))

    async def stream_async(self, app_path: str, action: str, /, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """As `stream`, in an asyncio loop."""
        async for value in self._client.stream_async(app_path, action, *simple(args), **simple(kwargs)):
            yield simple(value)

    async def close_async(self) -> None:
        """End the connections."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close_async()


def simple(value: Any) -> Any:
    """A value as gunicorn's wire format leaves it: keys of str, lists for tuples."""
    match value:
        case dict():
            return {str(key): simple(item) for key, item in value.items()}
        case list() | tuple():
            return [simple(item) for item in value]
    return value


_thread = threading.local()
_context: ContextVar[DirtyClient | None] = ContextVar("dirty client", default=None)


def set_dirty_socket_path(path: str) -> None:
    """Say where the pool is, in this process and its children."""
    environment.announce(path)


def get_dirty_socket_path() -> str:
    """Where the pool is. Raises DirtyError if there is none."""
    if path := environment.announced():
        return path
    raise DirtyError("no dirty pool is configured: set dirty_workers (dispatch_workers) and dirty_apps (dispatch_apps)")


def get_dirty_client(timeout: float = TIMEOUT) -> DirtyClient:
    """The client of this thread. `timeout` counts where it is made."""
    path = get_dirty_socket_path()
    client: DirtyClient | None = getattr(_thread, "client", None)
    if client is None or client.socket_path != path:
        client = _thread.client = DirtyClient(path, timeout)
    return client


async def get_dirty_client_async(timeout: float = TIMEOUT) -> DirtyClient:
    """The client of this context. `timeout` counts where it is made."""
    path = get_dirty_socket_path()
    client = _context.get()
    if client is None or client.socket_path != path:
        client = DirtyClient(path, timeout)
        _context.set(client)
    return client


def close_dirty_client() -> None:
    """Close the client of this thread."""
    client: DirtyClient | None = getattr(_thread, "client", None)
    if client is not None:
        client.close()
        _thread.client = None


async def close_dirty_client_async() -> None:
    """Close the client of this context."""
    client = _context.get()
    if client is not None:
        await client.close_async()
        _context.set(None)
