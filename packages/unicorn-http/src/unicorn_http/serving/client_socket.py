"""A client's socket, plain or TLS, and how it is closed in good order."""

import contextlib
import socket

from unicorn_http.serving.states import CLOSED, LINGER_BYTES, LINGERING, READING, RECEIVE, State
from unicorn_http.serving.stream import SecureStream, Stream
from unicorn_http.serving.times import Times

IOV_MAX = 64
"""Parts written by one call."""
_RESET = b"\x01\0\0\0\0\0\0\0"  # SO_LINGER: on, for no time


class ClientSocket:
    """See the module.

    Attributes:
        state: what it waits for.
        socket: what bytes go through; not for reading by others.
        tls: the same if it is TLS; None: it is not.
        since: when the present wait began (monotonic seconds).
    """

    __slots__ = ("_lingered", "_times", "fd", "since", "socket", "state", "tls")

    def __init__(self, sock: socket.socket, times: Times, now: float) -> None:
        self.socket: Stream = sock
        self.tls: SecureStream | None = None
        self.fd = sock.fileno()
        self._times = times
        self._lingered = 0
        self.state: State = READING
        self.since = now

    def secure(self, stream: SecureStream) -> None:
        """From now on bytes go through this; the socket belongs to it. Whoever polls must not know the descriptor."""
        self.socket = self.tls = stream

    def finish_writing(self, now: float) -> None:
        """Tell the client that nothing more comes, and wait for it to close."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.state = CLOSED
            return
        self.state = LINGERING
        self.since = now

    def linger(self) -> None:
        """Throw away what still comes, up to a bound."""
        try:
            size = len(self.socket.recv(RECEIVE))
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self._lingered += size
        if not size or self._lingered > LINGER_BYTES:
            self.state = CLOSED

    def reset(self) -> None:
        """Let its end be such that the client sees that something is missing."""
        if self.tls is not None:
            self.tls.abort()
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
