"""The codec of the uwsgi protocol: requests as packets of variables, answers as HTTP without chunks.

The front has spoken with the client: it has sent "100 Continue" and decides about that connection. Of its own one it
expects, as a rule, that it ends with the answer. So a packet is the only one of its connection, and what follows it
is never read as another, unless the setting uwsgi_persistent says that the front sends several.
"""

from collections.abc import Callable

from unicorn_http.codec import ServerLines, Sink
from unicorn_http.h1.builtin_fields import split_fields
from unicorn_http.semantics.head import HeadPolicy
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead
from unicorn_http.semantics.scan import head_too_large
from unicorn_http.serial import HEAD, IGNORE, SerialCodec
from unicorn_uwsgi.packet import HEADER, MOUNTED_REQUEST, PING, PONG, RULE, block_size
from unicorn_uwsgi.variables import FieldLines, interpret


class PacketMemo(dict[bytes, Request | None]):
    """The requests that packets of a worker's connections were read as, detached, by the packet: a bounded cache.

    A client that asks again for the same, over the same connection to the front, makes the front send the same packet,
    byte for byte; what it means depends on nothing else. A packet that has come once is known as None.
    """

    MOST = 512
    LONGEST = 2048

    def note(self, packet: bytes, read: Callable[[], Request]) -> None:
        """A packet has been read, and can be `read` again into a detached request."""
        if packet in self:
            self[packet] = read()
        elif len(packet) <= self.LONGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[packet] = None


class UwsgiCodec(SerialCodec):
    """One connection.

    Args:
        policy: for a client of which nothing is known.
        policy_of: for the client at an address.
        memo: None: each packet has to be read.
        requests: that the connection may carry.
    """

    __slots__ = ("_begins", "_fresh", "_memo", "_policy_of", "_remaining", "_server")

    def __init__(
        self,
        sink: Sink,
        policy: HeadPolicy,
        policy_of: Callable[[str], HeadPolicy],
        begins: FieldLines,
        memo: PacketMemo | None,
        server: ServerLines,
        requests: int,
    ) -> None:
        super().__init__(sink, policy)
        self._memo = memo
        self._policy_of = policy_of
        self._begins = begins
        self._server = server
        self._remaining = requests
        self._fresh = True
        if requests == 1:
            self._next = IGNORE

    # Requests

    def feed(self, data: bytes) -> None:
        # Mostly exactly one packet comes.
        if self._state == HEAD and not self._held and len(data) <= PacketMemo.LONGEST and self._remembers(data):
            return
        super().feed(data)

    def _read_head(self, data: bytes) -> bytes:
        held = self._held
        if held:
            held += data
            if not self._complete(held):
                return b""
            data = bytes(held)
            held.clear()
            self.pending = False
        elif not self._complete(data):
            held += data
            self.pending = True
            return b""
        if data[0] == PING:
            return self._answer_ping()
        end = HEADER + (data[1] | data[2] << 8)
        self._begin(data[:end])
        return data[end:]

    def _complete(self, packet: bytes | bytearray) -> bool:
        """A packet has come as a whole; its first bytes are checked as soon as they are there."""
        if len(packet) < HEADER:
            return False
        size = block_size(packet)
        if size > self._policy.limits.head:
            raise head_too_large()
        return len(packet) >= HEADER + size

    def _begin(self, packet: bytes) -> None:
        if self._remembers(packet):
            return
        self._fresh = False
        request = self._read(packet, self._sink.new_request)
        # What a proxy before the front tells is mixed with what the connection shows.
        if self._memo is not None and self._policy.proxy is None:
            self._memo.note(packet, lambda: self._read(packet, request.detached))
        self._take(request)

    def _remembers(self, packet: bytes) -> bool:
        """The request of a packet is known, and taken."""
        if self._memo is None or (known := self._memo.get(packet)) is None:
            return False
        request = self._sink.new_request()
        if type(request) is not type(known):
            return False
        request.become(known)
        self._fresh = False
        self._take(request)
        return True

    def _read(self, packet: bytes, new_request: Callable[[], Request]) -> Request:
        told = interpret(packet[HEADER:], self._begins, self._policy.limits, packet[0] == MOUNTED_REQUEST)

        def prepared() -> Request:
            """One that knows what the front tells beside the head, before a proxy in front of that tells more."""
            request = new_request()
            if told.scheme:
                request.scheme = told.scheme
            request.script_name = told.script_name
            request.take_variables(told.variables)
            return request

        self._policy = policy = self._policy_of(told.client)
        request = policy.read(told.head, split_fields, prepared)
        request.expects_continue = False  # the front has answered that
        if told.protocol:
            request.protocol = told.protocol
        return request

    def _answer_ping(self) -> bytes:
        if not self._fresh:
            raise Refusal(400, "ping", "a ping comes on a connection that carries requests", RULE)
        self._state = IGNORE
        self._sink.on_control(PONG, last=True)
        return b""

    # Responses

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        """See unicorn_http.codec.Codec."""
        text = response.text
        response.bodiless = request.method == "HEAD" or response.forbids_body
        if length is not None:
            if response.content_length is None and not response.forbids_body:
                text += f"Content-Length: {length}\r\n"
        elif not response.bodiless:
            persist = False  # only the end of the connection ends the body
        self._remaining -= 1
        response.persistent = persist and self._remaining > 0
        return f"{text}{self._server.lines}\r\n".encode("latin-1")

    def interim(self, request: Request, status: str, fields: str) -> bytes:
        """None: a front takes the first head for the answer."""
        return b""
