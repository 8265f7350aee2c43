"""What a connection needs of its socket, plain or over TLS."""

from collections.abc import Iterable
from typing import Protocol


class Stream(Protocol):
    """What a connection uses of its socket, which never waits; see socket.socket."""

    def recv(self, size: int, flags: int = 0, /) -> bytes: ...

    def send(self, data: bytes | memoryview, /) -> int: ...

    def sendmsg(self, parts: Iterable[bytes], /) -> int: ...

    def getsockopt(self, level: int, option: int, /) -> int: ...

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class SecureStream(Stream, Protocol):
    """The same over TLS.

    Attributes:
        wants_write: `recv` raised BlockingIOError because TLS must first write.
    """

    wants_write: bool

    def abort(self) -> None:
        """`close` shall not tell the client that this is the proper end."""
