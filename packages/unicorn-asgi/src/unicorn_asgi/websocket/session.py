"""The life of an open WebSocket, without I/O and without a clock.

    OPEN --close frame from the client, echoed-------------------> FINISHED
      |----a fault of the client (1002, 1007, 1009), told to it--> FINISHED
      |----no answer to a ping in time (1011)--------------------> FINISHED
      |----the client vanished (1006)----------------------------> FINISHED
      +----closed from this side (application, server: 1012)--> CLOSING --the client's close frame, its end, or
                                                                   |      too much time-------> FINISHED

`closed` is set with the first step out of OPEN: then no message is sent any more, and what still comes is dropped.
FINISHED means that nothing more is written or read: the connection below is to be closed.

Time is told by `tick`. Whatever the client sends shows that it lives, so it is asked only after a time of silence, and
not while it waits for the application to take what came.
"""

from collections import deque
from collections.abc import Callable

from websockets.exceptions import ProtocolError
from websockets.extensions import Extension
from websockets.frames import CloseCode
from websockets.protocol import OPEN

from unicorn_asgi.websocket.framing import BINARY, TEXT, MessageProtocol
from unicorn_asgi.websocket.policy import WebSocketPolicy

CLOSE_TIMEOUT = 10.0
"""Seconds that a client has for answering a close frame."""
MESSAGES_AHEAD = 32
BYTES_AHEAD = 65536
"""So many messages, or bytes of them, that wait for the application make the client wait."""
LONGEST_REASON = 123
"""Bytes: a control frame holds 125, the code takes 2 (RFC 6455 section 5.5)."""


class Session:
    """One connection after its handshake.

    Attributes:
        messages: from the client, whole, in order: str for text, bytes for binary ones. For the gateway to take.
        closed: the close code and reason, once it is closing; of the client if it began, else of this side; 1006 if it
            vanished.
        finished: close the connection below.
    """

    __slots__ = ("_pinged", "_policy", "_protocol", "_since", "_write", "closed", "finished", "messages")

    def __init__(self, policy: WebSocketPolicy, extensions: list[Extension], write: Callable[..., object]) -> None:
        """`write` is called with one or more pieces of bytes that are to be sent, one behind the other."""
        self._policy = policy
        self._protocol = MessageProtocol(policy.max_message_size, extensions)
        self._write = write
        self._pinged = False
        # When the present wait began: for the client to say anything, or to answer. None: at the next tick.
        self._since: float | None = None
        self.messages: deque[str | bytes] = self._protocol.messages
        self.closed: tuple[int, str] | None = None
        self.finished = False

    @property
    def congested(self) -> bool:
        """More has come than the application keeps up with: stop reading until `messages` is empty."""
        messages = self.messages
        return len(messages) >= MESSAGES_AHEAD or sum(map(len, messages)) >= BYTES_AHEAD

    def feed(self, data: bytes) -> None:
        """Bytes came. Whatever they are, nothing is raised."""
        if self.finished:
            return
        if self.closed is None:
            self._since = None
        self._protocol.receive_data(data)
        self._settle()

    def feed_eof(self) -> None:
        """The client will send no more; without a close frame before, it vanished."""
        if not self.finished:
            self._protocol.receive_eof()
            self._settle()

    def send_text(self, text: str) -> None:
        """UnicodeEncodeError: it has a surrogate, which is no character."""
        self._protocol.send_message(TEXT, text.encode())
        self._write(*self._protocol.data_to_send())

    def send_bytes(self, data: bytes) -> None:
        self._protocol.send_message(BINARY, data)
        self._write(*self._protocol.data_to_send())

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close. A reason that is too long for a close frame is cut.

        Raises:
            ValueError: a code that must not be sent (RFC 6455 section 7.4).
        """
        if self.closed is not None:
            return
        reason = reason.encode(errors="replace")[:LONGEST_REASON].decode(errors="ignore")
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError:
            raise ValueError(f"close code {code} must not be sent (RFC 6455 section 7.4)") from None
        self._since = None
        self.messages.clear()
        self._settle()

    def tick(self, now: float) -> None:
        """Time has passed; `now` in seconds, of any clock that never goes back. Once a second or so is enough."""
        if self.finished:
            return
        if self._since is None or (self.messages and self.closed is None):
            self._since = now
            self._pinged = False
            return
        waited = now - self._since
        if self.closed is not None:
            if waited >= CLOSE_TIMEOUT:
                self._finish()
        elif self._pinged:
            if 0 < self._policy.ping_timeout <= waited:
                self._protocol.fail(CloseCode.INTERNAL_ERROR, "no answer to a ping")
                self._settle()
        elif 0 < self._policy.ping_interval <= waited:
            self._protocol.send_ping(b"")
            self._write(*self._protocol.data_to_send())
            self._pinged = True
            self._since = now

    def _settle(self) -> None:
        """Something came or was closed: send what is to be sent, see where this stands."""
        protocol = self._protocol
        # Control frames, which are small. The library's sign for the end, an empty piece, is lost: `finished` tells it.
        if protocol.writes and (data := b"".join(protocol.data_to_send())):
            self._write(data)
        if protocol.state is OPEN:
            return
        if self.closed is None:
            sent = protocol.close_sent  # of a client that closes first it is the echo
            self.closed = (int(sent.code), sent.reason) if sent else (CloseCode.ABNORMAL_CLOSURE.value, "")
        if protocol.eof_sent:
            self._finish()

    def _finish(self) -> None:
        self.finished = True
        self._protocol.release()
