"""One HTTP request and its response as an application sees them: `receive`, `send`, and the order of messages.

ASGI specification, HTTP & WebSocket, version 2.5, and the extensions to it that this server has.
"""

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct

from unicorn_asgi.files import FileSpan
from unicorn_asgi.response import BYTE_LINES, NUMBER_STATUSES, trailer_section
from unicorn_http.semantics.refusal import error_body
from unicorn_http.semantics.request import ListRequest
from unicorn_http.semantics.response import early_hints, read_head

Message = dict[str, Any]

TOO_LONG = "the application sent more than the Content-Length it declared; the rest was cut"
RETRY_AFTER = b"1"
"""Seconds after which a client may come again that was turned away (RFC 9110 section 10.2.3)."""


class ClientDisconnectedError(OSError):
    """The client is gone: nobody reads the response (ASGI 2.4, "Disconnected Client - send exception")."""


class MessageError(RuntimeError):
    """The application sent a message that has no place here, or no form that ASGI knows."""


class HttpExchange(Struct, eq=False):
    """Keeps the order of messages between the application and one connection.

    Attributes:
        response: a ResponseHead, as the application began it; None before.
        begun: the head has gone out, or goes out with the next bytes.
        complete: nothing more follows.
        gone: nobody reads the response: sending raises.
        hung_up: the client will send no more; perhaps it still reads.
        sent: bytes of the body so far.
        problem: what the application did wrong with the length it declared; empty if nothing.
        cancelled: the worker stops, and had the application's task cancelled.
        on_end: is called once when the response is complete, or never will be.
    """

    request: ListRequest
    _outlet: Any  # a unicorn_asgi.outlet.Outlet
    on_end: Callable[[], None] | None = None
    response: Any = None
    begun: bool = False
    complete: bool = False
    gone: bool = False
    hung_up: bool = False
    cancelled: bool = False
    sent: int = 0
    problem: str = ""
    _left: int = -1  # bytes that the length still allows; -1: it is not known
    _asked: bool = False
    _given: bool = False
    _body_over: bool = False
    _trailers: bool = False
    _section: bytes = b""  # trailers so far
    _waiters: list[Future[None]] | None = None

    # What the connection tells

    @property
    def answered(self) -> bool:
        """The client waits for nothing more of this request."""
        return self.complete

    @property
    def waits_for_body(self) -> bool:
        """The application waits for more of the body than has come."""
        return bool(self._waiters) and not self.request.complete and not self.hung_up

    def wake(self) -> None:
        """Something has come, or nothing more will: whoever waits in `receive` shall look again."""
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def hang_up(self) -> None:
        """The client will send no more."""
        self.hung_up = True
        self.wake()

    def leave(self) -> None:
        """The client is gone."""
        self.gone = self.hung_up = True
        self.wake()

    # The application's side

    async def receive(self) -> Message:
        """The next event: a piece of the body, or in the end http.disconnect."""
        request = self.request
        while True:
            if self.complete or self.gone:
                return {"type": "http.disconnect"}
            if not self._given:
                if request.pieces or request.complete:
                    return self._piece()
                if request.expects_continue and not self._asked and not self.begun:
                    self._outlet.interim(request, "100 Continue", "")
                self._asked = True
                if self._outlet.read_now():
                    continue
            if self.hung_up:
                return {"type": "http.disconnect"}
            await self._wait()

    async def send(self, message: Message) -> None:
        """Take the next message; waits while the client reads more slowly than the application sends."""
        try:
            kind = message["type"]
        except (TypeError, KeyError):
            raise MessageError("the application sent what is no message: a dict with a type") from None
        response = self.response
        if kind == "http.response.start" and response is None:
            self.response = read_head(NUMBER_STATUSES[message["status"]], message.get("headers", ()), BYTE_LINES)
            if message.get("trailers"):
                self._trailers = True
            return
        if self.gone:
            raise ClientDisconnectedError("the client is gone")
        if kind == "http.response.body" and response is not None and not self._body_over:
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = _as_bytes(body)
            if message.get("more_body", False):
                self._block(body)
            elif self._trailers:
                self._block(body)
                self._body_over = True
            else:
                self._finish(body)
                return
        else:
            await self._send_other(kind, message)
        if self._outlet.congested:
            await self._outlet.drained()
            if self.gone:
                raise ClientDisconnectedError("the client is gone")

    # By the server

    def answer(self, status: int, text: str = "", server_fields: Iterable[tuple[str, str]] = ()) -> None:
        """Respond in place of the application, whose own response must not have begun.

        Args:
            server_fields: further ones, also such as applications must not send.
        """
        _, body = error_body(status, text)
        fields = [(b"content-type", b"text/plain; charset=utf-8")]
        if status == 503:
            fields.append((b"retry-after", RETRY_AFTER))
        self.response = read_head(NUMBER_STATUSES[status], fields, BYTE_LINES)
        self.response.text += "".join(f"{name}: {value}\r\n" for name, value in server_fields)
        self._trailers = False
        self._finish(body)

    def cut(self) -> None:
        """The response will never be complete."""
        self._outlet.cut()

    # Details

    def _piece(self) -> Message:
        request = self.request
        pieces = request.pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if pieces:
            pieces.clear()
        self._given = request.complete
        if not request.complete or body:
            self._outlet.taken()
        return {"type": "http.request", "body": body, "more_body": not request.complete}

    async def _wait(self) -> None:
        # One for each: a task that is cancelled while it waits must not take another's wait along.
        waiter = self._outlet.loop.create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        self._outlet.taken()
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)

    def _begin(self, length: int | None) -> bytes:
        """The bytes of the head, which go out with what the caller sends next."""
        response = self.response
        if response.content_length is not None:
            length = response.content_length
        if length is not None:
            self._left = length
        self.begun = True
        head: bytes = self._outlet.frame(self.request, response, length)
        return head

    def _finish(self, body: bytes) -> None:
        """The last block of the body."""
        size = len(body)
        outlet, response = self._outlet, self.response
        if not self.begun:
            self.begun = True
            length = response.content_length
            if length is None and (size or self.request.method != "HEAD"):
                # Of a HEAD nothing is known but what the application declared: RFC 9110 section 8.6.
                length = size
            head = outlet.frame(self.request, response, length)
            if response.bodiless:
                body = b""
            elif size != length:
                self._left = length or 0
                body = self._within(body)
                if self._too_short():
                    outlet.send(head, body)
                    return
            self.sent = len(body)
            outlet.finish(head, body)
        elif response.chunked:
            self.sent += size
            if size:
                outlet.send(b"%x\r\n" % size, body, b"\r\n0\r\n\r\n")
            else:
                outlet.send(b"0\r\n\r\n")
        elif not response.bodiless:
            body = self._within(body) if self._left >= 0 else body
            self.sent += len(body)
            if body:
                outlet.send(body)
            if self._too_short():
                return
        self._end()

    def _block(self, body: bytes) -> None:
        """A block that is not the last one."""
        head = b"" if self.begun else self._begin(None)
        response = self.response
        if response.bodiless:
            body = b""
        elif self._left >= 0 and not response.chunked:
            body = self._within(body)
        self.sent += len(body)
        if response.chunked and body:
            self._outlet.send(b"%b%x\r\n" % (head, len(body)), body, b"\r\n")
        elif head or body:
            self._outlet.send(head, body)

    def _within(self, body: bytes) -> bytes:
        """What of a block the declared length still allows."""
        if len(body) > self._left:
            self.problem = TOO_LONG
            body = body[: self._left]
        self._left -= len(body)
        return body

    def _too_short(self) -> bool:
        """The body has ended before the declared length: the response is not complete, and never will be."""
        if self._left <= 0:
            return False
        self.problem = f"the application sent {self._left} bytes less than the Content-Length it declared"
        return True

    def _end(self) -> None:
        self.complete = self._body_over = True
        if self.on_end is not None:
            self.on_end()
        self._outlet.over()
        if self._waiters:
            self.wake()

    async def _send_other(self, kind: str, message: Mapping[str, Any]) -> None:
        """What is not the start or the body of a response."""
        if kind == "http.response.early_hint" and not self.begun:
            self._early_hint(message.get("links", ()))
        elif kind == "http.response.trailers" and self._trailers and self.response and not self.complete:
            self._end_with_trailers(message)
        elif kind == "http.response.pathsend" and self.response and not self.begun:
            with FileSpan.of_path(message["path"]) as span:
                await self._send_file(span, more=False)
        elif kind == "http.response.zerocopysend" and self.response and not self._body_over:
            span = FileSpan.of_file(message["file"], message.get("offset"), message.get("count"))
            await self._send_file(span, bool(message.get("more_body", False)))
        else:
            expected = (
                "though the response is complete"
                if self.complete
                else "where http.response.start was expected"
                if self.response is None
                else f"where http.response.{'trailers' if self._body_over else 'body'} was expected"
            )
            raise MessageError(f"the application sent {kind!r}, {expected}")

    def _early_hint(self, links: Any) -> None:
        if hints := early_hints([("link", _as_bytes(link).decode("latin-1")) for link in links]):
            self._outlet.interim(self.request, "103 Early Hints", hints)

    def _end_with_trailers(self, message: Mapping[str, Any]) -> None:
        """The trailer section, for a client that wants it (RFC 9110 section 10.1.4)."""
        self._section += trailer_section(message.get("headers", ()))
        if message.get("more_trailers", False):
            return
        if not self.begun:
            self._block(b"")
        if self.response.chunked:
            self._outlet.send(b"0\r\n%b\r\n" % (self._section if self._wants_trailers() else b""))
        self._end()

    def _wants_trailers(self) -> bool:
        """RFC 9110 section 10.1.4."""
        codings = [coding for name, value in self.request.fields if name == b"te" for coding in value.split(b",")]
        return b"trailers" in [coding.strip(b" \t").lower() for coding in codings]

    async def _send_file(self, span: FileSpan, more: bool) -> None:
        """Send a part of a file; without `more` it ends the response."""
        count = span.count
        head = b"" if self.begun else self._begin(None if more else count)
        response = self.response
        outlet = self._outlet
        if response.bodiless:
            outlet.send(head)
        elif response.chunked:
            outlet.send(b"%b%x\r\n" % (head, count))
            await self._copy(span)
            outlet.send(b"\r\n" if more else b"\r\n0\r\n\r\n")
        else:
            outlet.send(head)
            if self._left >= 0:
                if span.count > self._left:
                    self.problem = TOO_LONG
                    span = span.limited(self._left)
                self._left -= span.count
            await self._copy(span)
        if not more and (response.bodiless or response.chunked or not self._too_short()):
            self._end()

    async def _copy(self, span: FileSpan) -> None:
        sent = await self._outlet.send_file(span)
        self.sent += sent
        if self.gone:
            raise ClientDisconnectedError("the client is gone")
        if sent < span.count:
            raise MessageError(f"the file was cut short while it was sent: {span.count - sent} bytes are missing")


def _as_bytes(body: Any) -> bytes:
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise MessageError(f"a body must be bytes, not {type(body).__name__}")
