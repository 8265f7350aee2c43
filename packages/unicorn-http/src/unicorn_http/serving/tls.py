"""TLS: the handshake, and a socket of which a connection need not know more.

Imported only where TLS is spoken.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator
from typing import cast

from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_http.serving.opened import Opened
from unicorn_http.serving.poller import READ, WRITE
from unicorn_http.serving.states import CLOSED, Opening
from unicorn_http.serving.tls_context import context_of, in_words
from unicorn_http.serving.tls_variables import certificate_variables

RECORD = 16384
"""Bytes of plain text in a record at most (RFC 8446 section 5.1)."""


def prepare(settings: Settings) -> None:
    """In the arbiter, before workers are forked: SettingError if TLS cannot be spoken with these."""
    context_of(settings)


class TlsServer:
    """Makes TLS of a worker's connections.

    Raises:
        SettingError: as `context_of`.
    """

    def __init__(self, settings: Settings, log: Logger) -> None:
        self._context = context_of(settings)
        self._suppress_ragged_eofs: bool = settings.suppress_ragged_eofs
        self._failed = RateLimiter(log.info)

    def shake_hands(self, connection: Opened) -> Opening:
        """The handshake; the connection has a plain socket before it."""
        plain = cast(socket.socket, connection.socket)
        # Whatever becomes of it: the descriptor belongs to the new socket, and may be closed already if there is none.
        connection.unwatch()
        stream = TlsSocket(
            self._context.wrap_socket(
                plain,
                server_side=True,
                do_handshake_on_connect=False,
                suppress_ragged_eofs=self._suppress_ragged_eofs,
            )
        )
        connection.secure(stream)
        while True:
            try:
                stream.shake_hands()
                break
            except BlockingIOError:
                yield WRITE if stream.wants_write else READ
            except ssl.SSLEOFError:
                raise
            except ssl.SSLError as error:
                self._failed("TLS handshake with %s failed: %s", connection.peer.name, in_words(error))
                connection.state = CLOSED
                return
        connection.secured(stream.variables())


class TlsSocket:
    """A unicorn_http.serving.stream.SecureStream.

    OpenSSL reads one record at a time from the socket, and `recv` takes all of it: nothing decrypted stays behind of
    which the poller could not tell. What `send` and `sendmsg` did not take must be the beginning of what they are given
    next, which is what a connection does anyway (SSL_write(3), "bad write retry").
    """

    __slots__ = ("_end_is_proper", "_socket", "wants_write")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock
        self._end_is_proper = False
        self.wants_write = False

    def shake_hands(self) -> None:
        """Go on with the handshake.

        Raises:
            BlockingIOError: it is not done.
            OSError: it has failed.
        """
        try:
            self._socket.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
            raise self._blocked(wanted) from None
        self._end_is_proper = True

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Up to `size` bytes, which must be RECORD at least. After `shutdown` what comes is no longer decrypted."""
        try:
            piece = self._socket.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wanted:
            raise self._blocked(wanted) from None
        if len(piece) < RECORD:
            return piece
        # Large bodies come in full records, and the next ones are mostly there.
        pieces = [piece]
        while len(piece) == RECORD and len(pieces) * RECORD < size:
            try:
                piece = self._socket.recv(RECORD)
            except OSError:
                break  # the next call finds the same
            pieces.append(piece)
        return b"".join(pieces)

    def send(self, data: bytes | memoryview, /) -> int:
        return self._write(data) if len(data) <= RECORD else self.sendmsg((data,))

    def sendmsg(self, parts: Iterable[bytes | memoryview], /) -> int:
        sent = 0
        try:
            for record in records(parts):
                sent += self._write(record)
        except BlockingIOError:
            if not sent:
                raise
        return sent

    def getsockopt(self, level: int, option: int, /) -> int:
        return self._socket.getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        self._socket.setsockopt(level, option, value)

    def shutdown(self, how: int, /) -> None:
        """Tell the client that this is the end, by close_notify too (RFC 8446 section 6.1)."""
        self._notify()
        self._socket.shutdown(how)

    def close(self) -> None:
        self._notify()
        self._socket.close()

    def abort(self) -> None:
        """`close` shall not tell the client that this is the proper end."""
        self._end_is_proper = False

    def variables(self) -> dict[str, str]:
        """What is told about the connection in environ, by the names of Apache's mod_ssl."""
        sock = self._socket
        cipher = sock.cipher()
        variables = {
            "HTTPS": "on",
            "SSL_PROTOCOL": sock.version() or "",
            "SSL_CIPHER": cipher[0] if cipher else "",
            "SSL_CLIENT_VERIFY": "NONE",
        }
        certificate = sock.getpeercert()
        if certificate:
            variables["SSL_CLIENT_VERIFY"] = "SUCCESS"
            variables |= certificate_variables(certificate)
            if der := sock.getpeercert(binary_form=True):
                variables["SSL_CLIENT_CERT"] = ssl.DER_cert_to_PEM_cert(der)
        return variables

    def _write(self, data: bytes | memoryview) -> int:
        if not data:
            return 0
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def _blocked(self, wanted: ssl.SSLError) -> BlockingIOError:
        self.wants_write = isinstance(wanted, ssl.SSLWantWriteError)
        return BlockingIOError()

    def _notify(self) -> None:
        if self._end_is_proper:
            self._end_is_proper = False
            # It sends close_notify, and then finds that the client's has not come, for which nobody waits.
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()


def records(parts: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same bytes cut into full records; no more than a record is copied where two parts meet."""
    gathered: list[bytes | memoryview] = []
    room = RECORD
    for part in parts:
        view = memoryview(part)
        while len(view) > room:
            gathered.append(view[:room])
            yield b"".join(gathered) if len(gathered) > 1 else gathered[0]
            view = view[room:]
            gathered, room = [], RECORD
        gathered.append(view)
        room -= len(view)
    yield b"".join(gathered)
