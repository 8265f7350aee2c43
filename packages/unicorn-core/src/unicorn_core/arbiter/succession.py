"""From one master to the next (SIGUSR2): starting the heir, and finding out that one is an heir.

The heir is the same command line run again, from whatever is installed by now, with the listeners of the former master
and a pipe for saying that it serves.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import NoReturn

from unicorn_core.arbiter.systemd import without_manager

FORMER = "UNICORN_FORMER_MASTER"
"""The environment variable with the former master's process id."""
PIPE = "UNICORN_READY_FD"
"""The one with the descriptor on which the heir says that it serves."""
SERVES = b"serves\n"


class Heritage:
    """What this master has from a former one.

    Attributes:
        former: the process id of the former master; 0 if there is none (any more).
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Read and remove the variables: the workers' own children must not take them for theirs."""
        former, pipe = environ.pop(FORMER, ""), environ.pop(PIPE, "")
        self.former = int(former) if former.isdecimal() else 0
        self._pipe = int(pipe) if pipe.isdecimal() else None
        if self._pipe is not None:
            os.set_inheritable(self._pipe, False)

    def serves(self) -> None:
        """Tell the former master that this one serves."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.write(self._pipe, SERVES)
            self.forget()

    def forget(self) -> None:
        """Close the pipe."""
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def former_is_gone(self) -> bool:
        """There was a former master, and it has ended since the last call."""
        if self.former and os.getppid() != self.former:
            self.former = 0
            return True
        return False


class Heir:
    """The next master, as the former one sees it.

    Attributes:
        pid: of its process.
    """

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe

    def fileno(self) -> int:
        return self._pipe

    def says_that_it_serves(self) -> bool:
        """Read the pipe; False at its end."""
        return os.read(self._pipe, 64) == SERVES

    def close(self) -> None:
        """Nothing more is expected of the pipe."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def start_heir(
    folder: str, descriptors: Sequence[int], variables: Mapping[str, str], mask: set[int]
) -> tuple[int, Heir | None]:
    """Fork the process that will become the heir: its pid (0 in the child), and in the parent the heir.

    Args:
        folder: where the command was started.
    """
    reader, writer = os.pipe()
    former = os.getpid()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, Heir(pid, reader)
    environ = without_manager(os.environ) | {FORMER: str(former), PIPE: str(writer), **variables}
    for descriptor in (*descriptors, writer):
        os.set_inheritable(descriptor, True)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
                signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return 0, None


def become_heir() -> NoReturn:
    """In the child: run the command line again. Ends the process if that is not possible."""
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except OSError as error:
        sys.stderr.write(f"Error: cannot run {sys.executable}: {error.strerror}\n")
        os._exit(1)


def start_folder() -> str:
    """The working folder, by the name that the shell knows it by: a link may lead to a newer release by next time."""
    folder = os.getcwd()
    shell = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if shell and os.path.samefile(shell, folder):
            return shell
    return folder
