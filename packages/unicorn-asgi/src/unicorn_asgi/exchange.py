"""What a connection knows of what runs on it, and of who keeps it."""

from typing import TYPE_CHECKING, Protocol

from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead

if TYPE_CHECKING:
    from unicorn_asgi.connection import Connection


class Exchange(Protocol):
    """What runs on a connection: one request with its response, or a WebSocket.

    Attributes:
        answered: the client waits for nothing more, though the application may still run.
        cancelled: the worker stops, and has its task cancelled.
    """

    cancelled: bool

    @property
    def answered(self) -> bool: ...

    @property
    def waits_for_body(self) -> bool: ...

    def wake(self) -> None:
        """More of the body has come."""

    def hang_up(self) -> None:
        """The client will send no more; perhaps it still reads."""

    def leave(self) -> None:
        """The client is gone."""


class Keeper(Protocol):
    """Who runs what a connection brings, and forgets it when it is closed."""

    def taken(self, connection: "Connection") -> None:
        """Something happened on this connection: requests may have come, or it is closed."""

    def resume(self, connection: "Connection") -> None:
        """A response is complete: run what comes next, forget the connection, or let it be watched."""

    def abandoned(self, connection: "Connection", exchange: Exchange) -> None:
        """The client is gone, and its exchange still runs."""

    def failed(self, connection: "Connection", exchange: Exchange) -> None:
        """The rest of the request that runs cannot be read."""


class NoCodec:
    """In place of the codec of a connection that is closed."""

    pending = pending_body = False

    def feed(self, data: bytes) -> None:
        """Nothing is read."""

    def feed_eof(self) -> None:
        """Nothing is read."""

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        """Nothing is written."""
        return b""

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """Nothing is written."""
        return b""


NO_CODEC = NoCodec()
