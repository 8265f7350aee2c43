"""Frames and messages of one connection.

The library `websockets` reads and writes frames and keeps the rules of RFC 6455 about them. What it leaves to its users
stands here: joining fragments to messages, and UTF-8, which may be broken anywhere by a fragment's end. A fragment that
cannot become UTF-8 any more is refused when it comes, not when the message is complete.
"""

import codecs
import logging
import struct
from collections import deque
from collections.abc import Callable

from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

# Names of the module, because looking a member up in its class costs more than comparing it.
CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode

LARGE = 16384
"""Bytes of a payload that is not copied behind its head."""
SMALL = 128
"""Bytes below which compressing a message costs more than it saves."""

# Frames hold what users write: they are logged only for who asks this logger by its name.
_LOGGER = logging.getLogger("unicorn.websocket")
_LOGGER.setLevel(logging.WARNING)

_new_decoder: Callable[[], codecs.IncrementalDecoder] = codecs.getincrementaldecoder("utf-8")


class MessageProtocol(Protocol):
    """The server's side of an open connection.

    Attributes:
        messages: that have come completely: str for text, bytes for binary ones.
    """

    def __init__(self, max_size: int | None, extensions: list[Extension]) -> None:
        """`max_size`: bytes of a message, after decompression; None: no limit."""
        self._limit = float("inf") if max_size is None else max_size
        if max_size is not None and extensions:
            # The library bounds a frame before and after decompression, but what cannot be compressed grows: by an
            # eighth at most, as zlib's own bound says.
            max_size += (max_size >> 3) + 64
        super().__init__(SERVER, state=OPEN, max_size=max_size, logger=_LOGGER)
        self.extensions = extensions
        self.messages: deque[str | bytes] = deque()
        self._joined = bytearray()  # a message of which not all fragments have come
        self._decoder: codecs.IncrementalDecoder | None = None  # of that message, if it is text

    def recv_frame(self, frame: Frame) -> None:
        """Also what the library calls for each frame.

        Raises:
            UnicodeDecodeError, PayloadTooBig, ProtocolError: which it turns into the right close frame.
        """
        opcode = frame.opcode
        if opcode is CLOSE:
            # The library would refuse one that comes between two fragments. But it is a control frame, which may, and
            # the rest of that message is not missed.
            self.current_size = None
        super().recv_frame(frame)
        self.events.clear()
        if opcode is PING or opcode is PONG or opcode is CLOSE:
            return
        message: str | bytes
        if frame.fin and opcode is not CONT:
            if len(frame.data) > self._limit:
                raise PayloadTooBig(len(frame.data), int(self._limit))
            message = bytes(frame.data) if opcode is BINARY else frame.data.decode()  # type: ignore[union-attr]
        elif self._join(frame):
            message = self._take_joined()
        else:
            return
        if self.state is OPEN:
            self.messages.append(message)

    def release(self) -> None:
        """Nothing more is read: let go of what makes a circle of references, the parser and the error that ended it."""
        self.parser.close()
        self.parser_exc = None

    def _join(self, frame: Frame) -> bool:
        """Add a fragment; True if it is the last one."""
        if frame.opcode is TEXT:
            self._decoder = _new_decoder()
        if self._decoder is not None:
            self._decoder.decode(bytes(frame.data), frame.fin)
        self._joined += frame.data
        if len(self._joined) > self._limit:
            raise PayloadTooBig(len(frame.data), int(self._limit) - (self.current_size or 0))
        return frame.fin

    def _take_joined(self) -> str | bytes:
        joined, self._joined = self._joined, bytearray()
        decoder, self._decoder = self._decoder, None
        return bytes(joined) if decoder is None else joined.decode()

    def send_message(self, opcode: Opcode, data: bytes) -> None:
        """Write a message as one frame: TEXT, whose data are UTF-8, or BINARY."""
        length = len(data)
        if self.extensions and length >= SMALL:
            self.send_frame(Frame(opcode, data))
            return
        if length < 126:
            head = struct.pack("!BB", 0x80 | opcode, length)
        elif length < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 127, length)
        if length < LARGE:
            self.writes.append(head + data)
        else:
            self.writes += (head, data)
