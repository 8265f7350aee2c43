"""What a response goes out by: the connection of a request, as its exchange sees it."""

from asyncio import AbstractEventLoop
from typing import Protocol

from unicorn_asgi.files import FileSpan
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead


class Outlet(Protocol):
    """See the module.

    Attributes:
        loop: the event loop.
        congested: the client reads slowly: wait for `drained` before more is sent.
    """

    loop: AbstractEventLoop

    @property
    def congested(self) -> bool: ...

    def frame(self, request: Request, response: ResponseHead, length: int | None) -> bytes:
        """Decide how the response is framed; gives the bytes of its head. `length`: of the body, where it is known."""
        ...

    def interim(self, request: Request, status: str, fields: str) -> None:
        """Write an interim response, if the client can have one; see unicorn_http.codec.Codec."""

    def send(self, *parts: bytes) -> None:
        """Write now, or as soon as the client reads."""

    def finish(self, head: bytes, body: bytes) -> None:
        """Write the last bytes of a response; they may wait until the end of the turn."""

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent; returns too when it is gone."""

    async def send_file(self, span: FileSpan) -> int:
        """Write a part of a file; how many bytes were there."""
        ...

    def read_now(self) -> bool:
        """Read the body's next bytes if they have come already."""
        ...

    def taken(self) -> None:
        """The application has taken what there was of the body: read on."""

    def over(self) -> None:
        """The response is complete."""

    def cut(self) -> None:
        """End the connection so that the client can tell that the response is not complete."""
