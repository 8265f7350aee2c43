"""The file that tells other programs the master's process id.

A number in a file does not say whether its writer still runs: after a crash, and above all in containers, where each
start gives out the same few numbers, it may be another program's. So the master holds a record lock on its file. It
ends with the process however that ends, and forked workers do not inherit it. (It also ends when the process closes
any other descriptor of the file: nobody but this module may open it in the master.)
"""

import contextlib
import errno
import fcntl
import os
import sys
import time

from unicorn_core.errors import UnicornError

CLOCK_TOLERANCE = 0.1
"""Seconds: the times of files and of processes come from two clocks, which tick in hundredths."""


class Pidfile:
    """One pid file; nothing is written before `write`.

    Args:
        path: a relative one is meant from the working folder of now.

    Attributes:
        path: absolute.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._fd: int | None = None
        self._content = b""

    def write(self, pid: int) -> None:
        """Make the file, or take over that of a server which is gone. Readers never see it incomplete.

        Args:
            pid: of this process, after its last fork: a lock does not pass to a child.

        Raises:
            UnicornError: a running server holds the file, or it cannot be written.
        """
        content = f"{pid}\n".encode()
        temporary = f"{self.path}.{os.getpid()}.new"
        try:
            fd = _make(temporary, content)
            try:
                _put(temporary, self.path)
            except BaseException:
                os.close(fd)
                raise
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
        except OSError as error:
            raise UnicornError(f"cannot write the pid file {self.path}: {_reason(error)}") from error
        self._close()
        self._fd = fd
        self._content = content

    def rename(self, path: str) -> None:
        """Move a written file to `path`. At each moment it is at one of the places at least.

        Raises:
            UnicornError: as for `write`; the file stays where it was.
        """
        target = Pidfile(path)
        target.write(int(self._content))
        self.remove()
        self.path, self._fd, self._content = target.path, target._fd, target._content

    def remove(self) -> None:
        """Remove the file if it is there and still the one that was written; never raises."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            same = os.path.samestat(os.lstat(self.path), os.fstat(self._fd))
            if same and os.pread(self._fd, len(self._content) + 1, 0) == self._content:
                os.unlink(self.path)
        self._close()

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _make(path: str, content: bytes) -> int:
    """A new, locked file; its descriptor."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.fchmod(fd, 0o644)
        os.write(fd, content)
        # Some network file systems have no locks; then the content has to do.
        with contextlib.suppress(OSError):
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        os.unlink(path)
        raise
    return fd


def _put(source: str, path: str) -> None:
    """Give the file `source` the name `path`, unless a running server holds that.

    Of several that try at once one succeeds: a free name is taken by a link, which never replaces anything, and a stale
    file is replaced only by the process that has locked it, and only while it still is the one at `path`.
    """
    while True:
        try:
            # No link is followed: in a folder like /tmp anybody can place one.
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            try:
                os.link(source, path)
            except FileExistsError:
                continue
            except OSError:
                os.rename(source, path)  # a file system without hard links
            return
        try:
            if holder := _holder(fd):
                raise UnicornError(f"pid file {path} belongs to {holder}; stop that, or choose another with --pid")
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.lstat(path), os.fstat(fd)):
                    os.rename(source, path)
                    return
        finally:
            os.close(fd)


def _holder(fd: int) -> str:
    """The running server that this file belongs to, in words; empty if it is stale, and then it is locked by us."""
    text = os.pread(fd, 32, 0).strip()
    pid = int(text) if text.isdigit() else 0
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return f"the running process {pid}" if pid else "a running process"
    except OSError:
        pass
    return f"the running process {pid}" if _is_server(pid, os.fstat(fd).st_mtime) else ""


def _is_server(pid: int, written: float) -> bool:
    """Whether a file without a lock, written at that time, may be the one of a server such as gunicorn that runs.

    Only where /proc tells. A process that is younger than the file has just got the same number.
    """
    if sys.platform != "linux" or pid in (0, os.getpid()):
        return False
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command = file.read()
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = int(file.read().rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return False
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    return b"unicorn" in command and time.time() - written <= age + CLOCK_TOLERANCE


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "its folder does not exist; make it, or choose another with --pid"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"user id {os.geteuid()} may not write there; permit it, or choose another with --pid"
        case errno.ELOOP:
            return "it is a symbolic link, which is not followed; remove it, or choose another with --pid"
        case _:
            return f"{error.strerror}; choose another with --pid"
