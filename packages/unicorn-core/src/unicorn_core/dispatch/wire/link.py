"""One socket on a loop's readiness callbacks: frames in, frames out, descriptors beside them.

No transport of asyncio's: each `recv` and `send` is made at once, and a writer callback only waits for what did not
fit.
"""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Sequence

from unicorn_core.dispatch.errors import ProtocolError
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import Buffer, Frame, FrameReader, encode
from unicorn_core.dispatch.wire.shared import Descriptors

CONGESTED = 1 << 20
"""With so many bytes unsent, nothing more is read from the peer: who asks must also take the answers."""


class Link:
    """See the module.

    Args:
        limit: bytes that a frame may have.
        on_frame: called with each frame and the descriptors that came with it, which are the callee's from then on.
        on_close: called once when the connection has ended: with None if the peer has closed it, else with why.
        patient: read on from a peer that does not take what is sent to it. One that asks must take the answers; one
            that answers may be about to write.

    Attributes:
        closed: nothing more is sent or received.
        refused: the peer takes nothing more; what a `patient` link has been sent is still read, and then it is closed.
        kept: bytes that could not be sent at once, of all frames so far.
        flushed: how many of these have been sent since.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        limit: int,
        on_frame: Callable[[Frame, Descriptors], None],
        on_close: Callable[[Exception | None], None],
        patient: bool = False,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._fileno = sock.fileno()
        self._loop = loop
        self._reader = FrameReader(limit)
        self._on_frame = on_frame
        self._on_close = on_close
        self._unsent: deque[tuple[memoryview, Descriptors]] = deque()
        self._descriptors: deque[int] = deque()
        self._patient = patient
        self._paused = False
        self._finishing = False
        self._leaving = False
        self.closed = self.refused = False
        self.kept = self.flushed = 0
        loop.add_reader(self._fileno, self._readable)

    # Reading

    def _readable(self) -> bool:
        """Read once, but a large frame as far as it has come; False if there was nothing to read."""
        try:
            while True:
                for frame in self._receive():
                    self._on_frame(frame, shared.take(self._descriptors, frame))
                    if self.closed:
                        return True
                if self.closed or self._reader.gap is None:
                    break
        except BlockingIOError:
            return False
        except (OSError, ProtocolError) as error:
            self.close(error)
        return True

    def read_out(self) -> None:
        """Take in all that a peer which has ended had still written."""
        while not self.closed and self._readable():
            pass

    def _receive(self) -> list[Frame]:
        """The frames of one read.

        Raises:
            OSError: the connection is broken; BlockingIOError: there is nothing.
            ProtocolError: what came is no frame.
        """
        gap = self._reader.gap
        if gap is None:
            data, ancillary, flags, _ = self._socket.recvmsg(shared.PIECE, shared.ROOM, shared.CLOSE_ON_EXEC)
            count = len(data)
        else:
            count, ancillary, flags, _ = self._socket.recvmsg_into([gap], shared.ROOM, shared.CLOSE_ON_EXEC)
        if ancillary:
            self._descriptors += shared.received(ancillary)
            if flags & socket.MSG_CTRUNC or len(self._descriptors) > 2 * shared.MOST:
                raise ProtocolError("too many descriptors came along")
        if not count:
            if self._leaving and self._unsent:
                self._pause(True)
                raise BlockingIOError  # the end that is read is our own; the peer still reads
            self.close(None)
            return []
        return self._reader.feed(data) if gap is None else self._reader.filled(count)

    def _pause(self, wanted: bool) -> None:
        if wanted is not self._paused and not self.closed:
            self._paused = wanted
            if wanted:
                self._loop.remove_reader(self._fileno)
            else:
                self._loop.add_reader(self._fileno, self._readable)

    # Writing

    def send(self, frame: Frame, descriptors: Descriptors = ()) -> None:
        """Send a frame; the descriptors are closed once they have gone. On a closed link it is dropped."""
        if self.closed or self.refused:
            shared.close(descriptors)
            return
        parts = encode(frame)
        if self._unsent:
            self._keep(parts, 0, descriptors)
            return
        try:
            if len(parts) == 1 and not descriptors:
                sent = self._socket.send(parts[0])
            else:
                sent = self._socket.sendmsg(parts, shared.rights(descriptors))
        except BlockingIOError:
            sent = 0
        except OSError as error:
            shared.close(descriptors)
            self._refuse(error)
            return
        if sent and descriptors:
            shared.close(descriptors)
            descriptors = ()
        if len(parts) > 1 or sent != len(parts[0]):
            self._keep(parts, sent, descriptors)

    def _keep(self, parts: Sequence[Buffer], sent: int, descriptors: Descriptors) -> None:
        """Send later what is behind the first `sent` bytes of these."""
        waiting = not self._unsent
        for part in parts:
            view = memoryview(part).cast("B")
            size = len(view)
            if sent < size:
                self._unsent.append((view[sent:], descriptors))
                self.kept += size - sent
                descriptors = ()
            sent = max(0, sent - size)
        if self._unsent and waiting:
            self._loop.add_writer(self._fileno, self._writable)
        if self.kept - self.flushed > CONGESTED and not self._patient:
            self._pause(True)

    def _writable(self) -> None:
        try:
            while self._unsent:
                part, descriptors = self._unsent[0]
                sent = self._socket.sendmsg([part], shared.rights(descriptors))
                shared.close(descriptors)
                self.flushed += sent
                if sent < len(part):
                    self._unsent[0] = part[sent:], ()
                    return
                self._unsent.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            self._refuse(error)
            return
        self._loop.remove_writer(self._fileno)
        if self._leaving:
            self.close()
            return
        self._pause(False)
        if self._finishing:
            self._shut()

    # End

    def _refuse(self, why: OSError) -> None:
        """The peer takes nothing more. It may still have answered what it took before."""
        if not self._patient:
            self.close(why)
            return
        self.refused = True
        self._loop.remove_writer(self._fileno)
        # Not at once: whoever sends does not expect frames meanwhile.
        self._loop.call_soon(self._read_rest, why)

    def _read_rest(self, why: OSError) -> None:
        self.read_out()
        self.close(why)

    @property
    def midway(self) -> bool:
        """A frame of the peer has begun and not come whole."""
        return self._reader.midway

    def leave(self) -> None:
        """Close as soon as all is sent, and refuse at once what the peer sends from now on: then it knows its fate.

        Were the connection just closed, the peer could not tell whether what it had sent was still read.
        """
        self._leaving = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)
        self.read_out()

    def finish(self) -> None:
        """Nothing more will be sent: the peer reads the end of the stream behind what was."""
        self._finishing = True
        if not self.closed and not self._unsent:
            self._shut()

    def _shut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self, why: Exception | None = None) -> None:
        """End the connection; what is unsent is lost."""
        if self.closed:
            return
        self._pause(True)
        self.closed = True
        if self._unsent:
            self._loop.remove_writer(self._fileno)
        self.forget()
        self._on_close(why)

    def forget(self) -> None:
        """Close the descriptors only: in a forked child, which must leave the loop's poller alone."""
        self.closed = True
        self._socket.close()
        shared.close(self._descriptors)
        for _, descriptors in self._unsent:
            shared.close(descriptors)
        self._unsent.clear()
