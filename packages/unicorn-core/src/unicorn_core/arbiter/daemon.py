"""Going into the background, while the person at the terminal still learns whether the server came up.

    the command --fork--> first child (setsid) --fork--> daemon
        ^                                                   |
        '------------------- pipe: its pid, a report -------'

The command waits for the report, or after a bad one for the daemon's end, and leaves with its exit code. The daemon,
which leads no session, can never get a terminal again. If it dies without a report, the pipe's end-of-file tells.
"""

import contextlib
import os
import select
import signal
import sys
from types import FrameType
from typing import NoReturn

from unicorn_core.errors import ExitCode, UnicornError

INTERRUPTED = 128 + signal.SIGINT
LONGEST_TEXT = 32 * 1024
"""Bytes of a report: so much a pipe takes even while nobody reads."""


class Background:
    """The daemon's line to the command that waits at the terminal. Only the first report counts.

    Args:
        fd: the pipe's writing end.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = fd
        self._reported = False

    def started(self) -> None:
        """The server is up: the command leaves with 0."""
        self._report(ExitCode.STOPPED, "")
        self.forget()

    def failed(self, code: int, text: str) -> None:
        """It cannot start: once it has ended the command prints `text` on standard error and leaves with `code`."""
        self._report(code, text)

    def forget(self) -> None:
        """In a forked worker: close the pipe, or its end-of-file would not come when the daemon dies."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _report(self, code: int, text: str) -> None:
        if self._fd is None or self._reported:
            return
        self._reported = True
        # The command may have been interrupted: then nobody reads.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._fd, f"{code}\n{text}".encode(errors="replace")[:LONGEST_TEXT])


def go_to_background() -> Background:
    """Return in a daemon only: a new process with a session of its own, with umask, folder and standard streams as
    they were. This process waits for its report and never returns.

    Call it in the main thread, before anything belongs to this process's pid (locks, other threads, signal handlers).

    Raises:
        UnicornError: no process can be made.
    """
    _flush()
    _open_missing_stdio()
    reader, writer = os.pipe()
    # Ctrl-C reaches the whole process group: held back so that it hits the waiting command, never a child half-way.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise UnicornError(f"cannot go into the background: {error.strerror}") from error
    if child:
        os.close(writer)
        _wait(reader)
    os.close(reader)
    background = Background(writer)
    os.setsid()
    try:
        if os.fork():
            os._exit(0)
    except OSError as error:
        background.failed(ExitCode.FAILED, f"cannot go into the background: {error.strerror}")
        os._exit(ExitCode.FAILED)
    # What was pending for the parent is not for this process.
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    with contextlib.suppress(BrokenPipeError):
        os.write(writer, f"{os.getpid()}\n".encode())
    return background


def detach_stdio() -> None:
    """Point standard input, output and error at /dev/null."""
    _flush()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd != null:
            os.dup2(null, fd)
    if null > 2:
        os.close(null)
    else:
        os.set_inheritable(null, True)


def _wait(reader: int) -> NoReturn:
    """The command's end: wait for the report, pass it on, leave."""
    data = bytearray()
    interrupted, wakeup = os.pipe()
    try:
        # A handler may run between reading and keeping what was read; so it does nothing, and its pipe tells.
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGINT, _received)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while True:
            ready, _, _ = select.select([reader, interrupted], [], [])
            if reader in ready:
                piece = os.read(reader, LONGEST_TEXT)
                if not piece:
                    _leave(*_understand(bytes(data)))
                data += piece
            elif interrupted in ready:
                pid, _, report = data.partition(b"\n")
                if report:
                    _leave(*_understand(bytes(data)))
                name = pid.decode() or "unknown"
                _leave(INTERRUPTED, f"no longer waiting: the server (pid {name}) goes on starting in the background")
    finally:
        os._exit(ExitCode.FAILED)


def _received(number: int, frame: FrameType | None) -> None:
    """The wakeup pipe has it already."""


def _leave(code: int, text: str) -> NoReturn:
    if text:
        with contextlib.suppress(OSError):
            os.write(2, f"{text.rstrip()}\n".encode())
    os._exit(code)


def _understand(data: bytes) -> tuple[int, str]:
    """Exit code and text of a report."""
    pid, _, rest = data.decode(errors="replace").partition("\n")
    code, end, text = rest.partition("\n")
    if end:
        return int(code), text
    died = f"the server (pid {pid}) died" if pid else "the server died"
    return ExitCode.FAILED, f"{died} in the background before it was ready; its log may tell why"


def _open_missing_stdio() -> None:
    """What is opened from now on must not get the number of a standard stream: `detach_stdio` would close it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _flush() -> None:
    """Write what is buffered: else it would be written by two processes, or by none."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, broken, closed
            stream.flush()
