"""One response of a WSGI application: start_response, the blocks, and what of them goes over the wire."""

from collections.abc import Callable, Iterable
from types import TracebackType

from unicorn_http.semantics.response import TEXT_LINES, TEXT_STATUSES, ResponseHead, early_hints, read_head
from unicorn_http.wsgi.file_wrapper import FileWrapper
from unicorn_http.wsgi.request import WsgiRequest
from unicorn_http.wsgi.takeover import TakenOverError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType]


class ClientGoneError(Exception):
    """The client closed the connection, or read nothing for too long: nobody waits for the rest of the response."""


class Reply:
    """Keeps the rules of PEP 3333 between start_response and the last block.

    Attributes:
        response: as start_response was told; None before.
        begun: the head has gone out, or goes out with the next bytes.
        sent: bytes of the body so far.
        complete: nothing more follows.
        problem: what the application did wrong with the length it declared; empty if nothing.
    """

    __slots__ = ("_left", "_outlet", "_request", "begun", "complete", "problem", "response", "sent")

    def __init__(self, request: WsgiRequest) -> None:
        self._request = request
        self._outlet = request.outlet
        self._left = -1  # bytes that the length still allows; -1: it is not known
        self.response: ResponseHead | None = None
        self.begun = self.complete = False
        self.sent = 0
        self.problem = ""

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """PEP 3333, "The start_response() Callable"."""
        if exc_info:
            try:
                if self.begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.response is not None:
            raise AssertionError("start_response() was called a second time without exc_info")
        self.response = read_head(TEXT_STATUSES[status], headers, TEXT_LINES)
        return self.write

    def early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """wsgi.early_hints: tell the client, before the response, what it might fetch meanwhile (RFC 8297).

        Nothing is sent where the protocol knows no interim responses (HTTP/1.0), nor once the response has begun.

        Raises:
            InvalidResponseError: a field that must not be sent.
        """
        hints = early_hints(headers)
        if hints and not self.begun:
            self._outlet.interim(self._request, "103 Early Hints", hints)

    def write(self, data: bytes) -> None:
        """PEP 3333, "The write() Callable"."""
        self._block(data, None)

    def send_result(self, result: Iterable[bytes], sendfile: bool) -> None:
        """Send what the application returned."""
        kind = type(result)
        if (kind is list or kind is tuple) and len(result) == 1:  # type: ignore[arg-type]
            block = result[0]  # type: ignore[index]
            self._block(block, None if self.begun else len(block))
        elif kind is FileWrapper and sendfile and self._send_file(result):  # type: ignore[arg-type]
            pass
        else:
            for block in result:
                self._block(block, None)
        if not self.complete:
            self._end()

    def _block(self, data: bytes, length: int | None) -> None:
        """Send one block. `length`: of the whole body, where this is known to be all of it."""
        if not isinstance(data, bytes):
            raise TypeError(f"a WSGI application's blocks must be bytes, not {type(data).__name__}")
        size = len(data)
        if not size:
            return
        head = b"" if self.begun else self._begin(length)
        response = self.response
        assert response is not None
        if response.bodiless:
            if head:
                self.complete = True
                self._outlet.finish(head, b"")
        elif size == self._left:  # all of it, as nearly always
            self.sent += size
            self._left = 0
            self.complete = True
            self._outlet.finish(head, data)
        elif self._left < 0:
            self.sent += size
            if response.chunked:
                self._outlet.send(b"%b%x\r\n" % (head, size), data, b"\r\n")
            else:
                self._outlet.send(head, data)
        else:
            self._block_within(head, data)

    def _block_within(self, head: bytes, data: bytes) -> None:
        """A block that is not the last one of a declared length, or goes beyond it."""
        left = self._left
        if len(data) > left:
            self.problem = "the application sent more than the Content-Length it declared; the rest was cut"
            data = data[:left]
        self._left = left - len(data)
        self.sent += len(data)
        if head or data:
            self._outlet.send(head, data)
        self.complete = self._left == 0

    def _begin(self, length: int | None) -> bytes:
        """The bytes of the head, which go out with what the caller sends next."""
        response = self.response
        if response is None:
            if self._outlet.taken_over:
                raise TakenOverError("the application has the socket")
            raise AssertionError("the application sent a block before it called start_response()")
        if response.content_length is not None:
            length = response.content_length
        if length is not None:
            self._left = length
        request = self._request
        request.answering = True
        head = self._outlet.frame(request, response, length)
        self.begun = True
        return head

    def _end(self) -> None:
        """The application has nothing more."""
        outlet = self._outlet
        # Of a HEAD nothing is known but what the application declared: RFC 9110 section 8.6.
        head = b"" if self.begun else self._begin(None if self._request.method == "HEAD" else 0)
        response = self.response
        assert response is not None
        if response.chunked:
            outlet.send(b"0\r\n\r\n")
        elif self._left > 0 and not response.bodiless:
            self.problem = f"the application sent {self._left} bytes less than the Content-Length it declared"
            if head:
                outlet.send(head)
            return
        elif head:
            outlet.finish(head, b"")
        self.complete = True

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a regular file by sendfile(); False if it is none and has to be read."""
        span = wrapper.span()
        if span is None or self.begun:
            return False
        descriptor, offset, count = span
        outlet = self._outlet
        head = self._begin(count)
        assert self.response is not None
        if self.response.bodiless:
            outlet.finish(head, b"")
            self.complete = True
            return True
        outlet.send(head)
        self.sent = outlet.send_file(descriptor, offset, min(count, self._left))
        self._left -= self.sent
        return True
