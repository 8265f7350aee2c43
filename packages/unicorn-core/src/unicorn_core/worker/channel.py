"""The control channel: a socket pair between the arbiter and one worker.

A message is a four-byte length (little-endian) and msgpack; descriptors may come with it. End-of-file tells each side
that the other is gone.
"""

import os
import socket
import struct
from collections import deque
from collections.abc import Sequence

import msgspec

from unicorn_core.worker.messages import Message

LARGEST = 1 << 20
"""Bytes of a message at most; the text of a boot failure is cut long before."""
LONGEST_DETAILS = 64 * 1024
MOST_DESCRIPTORS = 250
"""What the system lets come with one message (Linux's SCM_MAX_FD is 253)."""
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_LENGTH = struct.Struct("<I")


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class ChannelError(Exception):
    """The peer sent what is no message."""


class Channel:
    """One end of a control channel.

    Attributes:
        closed: the peer's end is closed; nothing more will come.
        descriptors: those that have come, in order; a message says how many of them are its own.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = bytearray()
        self.closed = False
        self.descriptors: deque[int] = deque()
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Send a message; False if the peer is gone or has not read for so long that nothing more fits."""
        data = _encode(message)
        frame = _LENGTH.pack(len(data)) + data
        try:
            if descriptors:
                return socket.send_fds(self._socket, [frame], descriptors) == len(frame)
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
                data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, MOST_DESCRIPTORS, _CLOSE_ON_EXEC)
                self.descriptors += descriptors
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
            self._buffer += data
        return self._split()

    def take(self, count: int) -> list[int]:
        """The descriptors of a message that says that `count` came with it."""
        return [self.descriptors.popleft() for _ in range(min(count, len(self.descriptors)))]

    def close(self) -> None:
        self._socket.close()
        # Also what has come and nobody has taken.
        for descriptor in self.take(len(self.descriptors)):
            os.close(descriptor)

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
