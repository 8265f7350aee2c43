"""The backend `local`: the dispatcher of this machine, over its socket."""

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from unicorn_core.dispatch.client.connection import Connections
from unicorn_core.dispatch.client.exchange import Invocation
from unicorn_core.dispatch.wire.frames import Kind

if TYPE_CHECKING:
    from unicorn_core.dispatch.client.async_connection import AsyncConnections


class LocalBackend:
    """See `Backend`.

    Args:
        path: of the dispatcher's socket.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._connections = Connections(path)
        self._made: AsyncConnections | None = None

    def call(self, invocation: Invocation) -> Any:
        """See `Backend`."""
        return self._connections.call(invocation)

    def stream(self, invocation: Invocation) -> Iterator[Any]:
        """See `Backend`."""
        return self._connections.stream(invocation)

    async def call_async(self, invocation: Invocation) -> Any:
        """See `Backend`."""
        return await self._async.call(invocation)

    def stream_async(self, invocation: Invocation) -> AsyncGenerator[Any, None]:
        """See `Backend`."""
        return self._async.stream(invocation)

    def stash(self, operation: str, arguments: dict[str, Any]) -> Any:
        """See `Backend`."""
        return self._connections.plain(Kind.STASH, [operation, arguments])

    def command(self, name: str, *arguments: Any) -> Any:
        """See `Backend`."""
        return self._connections.plain(Kind.COMMAND, [name, list(arguments)])

    def close(self) -> None:
        """See `Backend`."""
        self._connections.close()
        if self._made is not None:
            self._made.close()

    @property
    def _async(self) -> "AsyncConnections":
        if self._made is None:
            from unicorn_core.dispatch.client.async_connection import (
                AsyncConnections,  # blocking clients do without asyncio
            )

            self._made = AsyncConnections(self.path)
        return self._made
