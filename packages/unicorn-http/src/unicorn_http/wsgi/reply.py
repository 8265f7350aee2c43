"""One response of a WSGI application: start_response, the blocks, and what of them goes over the wire."""

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol

from unicorn_http.codec import Framing
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.wsgi.file_wrapper import FileWrapper

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class Outlet(Protocol):
    """Where a response goes: the connection of its request."""

    def frame(self, response: ResponseHead, length: int | None) -> Framing:
        """Frame the response to the present request."""
        ...

    def send(self, *parts: bytes) -> None:
        """Write now, in order, waiting for the client; raises ClientGoneError if it does not read or is gone."""
        ...

    def finish(self, data: bytes) -> None:
        """Write the last bytes of a response; they may wait until the end of the turn."""
        ...

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """Write `count` bytes of a file without reading them; how many were there."""
        ...


class ClientGoneError(Exception):
    """The client closed the connection, or read nothing for too long: nobody waits for the rest of the response."""


class Reply:
    """Keeps the rules of PEP 3333 between start_response and the last block.

    Attributes:
        response: as start_response was told; None before.
        framing: how it goes over the wire; None as long as its head has not gone out.
        sent: bytes of the body so far.
        complete: nothing more follows.
        problem: what the application did wrong with the length it declared; empty if nothing.
    """

    __slots__ = (
        "_fields",
        "_left",
        "_outlet",
        "_status",
        "complete",
        "framing",
        "problem",
        "response",
        "sent",
    )

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._left = -1  # bytes that the declared length still allows; -1: none was declared
        self.response: ResponseHead | None = None
        self.framing: Framing | None = None
        self.sent = 0
        self.complete = False
        self.problem = ""

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable"."""
        if exc_info:
            try:
                if self.framing is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.response is not None:
            raise AssertionError("start_response() was called a second time without exc_info")
        self._status, self._fields = status, headers
        self.response = ResponseHead(status, headers)
        return self.write

    @property
    def status(self) -> str:
        return self._status if self.response else ""

    @property
    def fields(self) -> Iterable[tuple[str, str]]:
        return self._fields if self.response else ()

    def write(self, data: bytes) -> None:
        """PEP 3333, "The write() Callable"."""
        self._block(data)

    def send_result(self, result: Iterable[bytes], sendfile: bool) -> None:
        """Send what the application returned."""
        kind = type(result)
        if (kind is list or kind is tuple) and len(result) == 1 and self.framing is None:  # type: ignore[arg-type]
            self._block(result[0], whole=True)  # type: ignore[index]
        elif kind is FileWrapper and sendfile and self._send_file(result):  # type: ignore[arg-type]
            pass
        else:
            for block in result:
                self._block(block)
        self._end()

    def _block(self, data: bytes, whole: bool = False) -> None:
        """Send one block; `whole`: there is no other."""
        if not isinstance(data, bytes):
            raise TypeError(f"a WSGI application's blocks must be bytes, not {type(data).__name__}")
        if not data:
            return
        head = b""
        framing = self.framing
        if framing is None:
            framing = self._begin(len(data) if whole else None)
            head = framing.head
        if framing.bodiless:
            if head:
                self._finish(head)
            return
        left = self._left
        if left >= 0:
            if len(data) > left:
                self.problem = "the application sent more than the Content-Length it declared; the rest was cut"
                data = data[:left]
            self._left = left = left - len(data)
            self.sent += len(data)
            if left == 0:
                if not self.complete:
                    self._finish(head + data)
            else:
                self._outlet.send(head, data)
        elif framing.chunked:
            self.sent += len(data)
            self._outlet.send(b"%b%x\r\n" % (head, len(data)), data, b"\r\n")
        else:
            self.sent += len(data)
            self._outlet.send(head, data)

    def _begin(self, length: int | None) -> Framing:
        """The head goes out with what the caller sends next. `length`: of the whole body, where it is known."""
        response = self.response
        if response is None:
            raise AssertionError("the application sent a block before it called start_response()")
        if response.content_length is not None:
            length = response.content_length
        if length is not None:
            self._left = length
        self.framing = framing = self._outlet.frame(response, length)
        return framing

    def _end(self) -> None:
        """The application has nothing more."""
        if self.complete:
            return
        framing = self.framing
        if framing is None:
            framing = self._begin(0)
            if self._left > 0 and not framing.bodiless:
                self._outlet.send(framing.head)
            else:
                self._finish(framing.head)
                return
        if framing.chunked:
            self.complete = True
            self._outlet.send(b"0\r\n\r\n")
        elif self._left > 0:
            self.problem = f"the application sent {self._left} bytes less than the Content-Length it declared"
        else:
            self.complete = True

    def _finish(self, data: bytes) -> None:
        self.complete = True
        self._outlet.finish(data)

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a regular file by sendfile(); False if it is none and has to be read."""
        span = wrapper.span()
        if span is None or self.framing is not None:
            return False
        descriptor, offset, count = span
        framing = self._begin(count)
        if framing.bodiless:
            self._finish(framing.head)
            return True
        self._outlet.send(framing.head)
        self.sent = self._outlet.send_file(descriptor, offset, min(count, self._left))
        self._left -= self.sent
        return True
