"""The control channel: a socket pair between the arbiter and one worker, and the messages on it.

A message is a four-byte length (little-endian) and msgpack. End-of-file tells each side that the other is gone.
"""

import socket
import struct

import msgspec

LARGEST = 1 << 20
"""Bytes of a message at most; the text of a boot failure is cut long before."""
LONGEST_DETAILS = 64 * 1024

_LENGTH = struct.Struct("<I")


class Ready(msgspec.Struct, tag="ready", frozen=True):
    """Worker to arbiter: the application is loaded and requests are served from now on."""


class BootFailed(msgspec.Struct, tag="boot_failed", frozen=True):
    """Worker to arbiter: it cannot serve, and why."""

    message: str
    details: str
    exit_code: int


class Recycle(msgspec.Struct, tag="recycle", frozen=True):
    """Worker to arbiter: replace me (max_requests)."""

    reason: str


class Drain(msgspec.Struct, tag="drain", frozen=True):
    """Arbiter to worker: accept no more, finish what you have, and leave."""


Message = Ready | BootFailed | Recycle | Drain

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class ChannelError(Exception):
    """The peer sent what is no message."""


class Channel:
    """One end of a control channel.

    Attributes:
        closed: the peer's end is closed; nothing more will come.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.closed = False
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message) -> bool:
        """Send a message; False if the peer is gone or has not read for so long that nothing more fits."""
        data = _encode(message)
        frame = _LENGTH.pack(len(data)) + data
        try:
            return self._socket.send(frame) == len(frame)
        except OSError:
            return False

    def receive(self) -> list[Message]:
        """All messages that have come, without waiting.

        Raises:
            ChannelError: the bytes are no message.
        """
        while not self.closed:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self._buffer += data
        return self._split()

    def close(self) -> None:
        self._socket.close()

    def _split(self) -> list[Message]:
        messages: list[Message] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LARGEST:
                raise ChannelError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            try:
                messages.append(_decode(self._buffer[_LENGTH.size : end]))
            except msgspec.MsgspecError as error:
                raise ChannelError(str(error)) from error
            del self._buffer[:end]
        return messages


def pair() -> tuple[Channel, Channel]:
    """Two connected ends."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return Channel(left), Channel(right)
