"""Signals to the arbiter, received by its main loop through a wakeup descriptor.

A Python handler may run between any two instructions; so the handlers do nothing, and the interpreter writes each
signal's number to a socket that the main loop polls.
"""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGCHLD,
)

# Bound before a settings file may patch the module for its application, as gunicorn's do for gevent.
_set_handler = signal.signal


class SignalInbox:
    """Receives `SIGNALS` from construction to `close`."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before = {number: _set_handler(number, _received) for number in SIGNALS}

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """The signals that have come, in order; SIGCHLD at most once, and last.

        A terminal and a supervisor may signal all processes at once: that some have ended follows from it. And of
        signals that are pending together the system calls the handlers in the reverse order.
        """
        numbers: list[int] = []
        try:
            while data := self._reader.recv(4096):
                numbers += data
        except BlockingIOError:
            pass
        result = [signal.Signals(number) for number in numbers if number in SIGNALS and number != signal.SIGCHLD]
        return [*result, signal.SIGCHLD] if signal.SIGCHLD in numbers else result

    @contextmanager
    def blocked(self) -> Iterator[set[int]]:
        """Hold the signals back around a fork; gives the mask to go on with in the child."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield mask
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def close(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            _set_handler(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._wakeup_before)
        self.forget()

    def forget(self) -> None:
        """Close the descriptors only: in a forked child, whose handlers are its own business."""
        self._reader.close()
        self._writer.close()


def _received(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor has it already."""
