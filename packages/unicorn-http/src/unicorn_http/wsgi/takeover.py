"""An application may take its connection's socket over: environ["unicorn.socket"], and "gunicorn.socket" for those
that know that server (flask-sock and simple-websocket do).

The first use of the socket takes it out of the server's hands. Whatever the application returns or raises afterwards,
the server adds nothing and closes the connection.
"""

import contextlib
import socket
from typing import Any, Protocol

from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead

KEYS = ("unicorn.socket", "gunicorn.socket")
_SOCKET = socket.socket  # before a worker class may patch it


class TakenOverError(Exception):
    """A response cannot be sent: the application has the socket."""


class Owner(Protocol):
    """Who has the socket until it is taken over."""

    def take_over(self) -> socket.socket:
        """Give the socket away, blocking, when all earlier responses are written; nothing more is read from it."""
        ...


class HandedSocket:
    """The socket as the application sees it; it acts as a socket.socket does."""

    __slots__ = ("_owner", "_socket")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """End both directions. The descriptor is closed by the server: its number must not come again before that."""
        with contextlib.suppress(OSError):  # the client was first
            self._taken.shutdown(socket.SHUT_RDWR)

    @property
    def _taken(self) -> socket.socket:
        if self._socket is None:
            self._socket = self._owner.take_over()
        return self._socket

    def __getattr__(self, name: str) -> Any:
        # Who only looks at the values of environ asks for other things than a socket has.
        if name.startswith("_") or not hasattr(_SOCKET, name):
            raise AttributeError(f"a socket has no attribute {name!r}")
        return getattr(self._taken, name)


class TakenOver:
    """In place of the codec of a connection whose socket is taken over; a unicorn_http.codec.Codec."""

    pending = pending_body = False

    def feed(self, data: bytes) -> None:
        """Nothing is read."""

    def feed_eof(self) -> None:
        """Nothing is read."""

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        """Nothing is written."""
        raise TakenOverError("the application has taken the socket over")

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """Nothing is written."""
        return b""
