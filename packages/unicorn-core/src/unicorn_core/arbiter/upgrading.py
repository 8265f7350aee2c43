"""A binary upgrade as the former master sees it (SIGUSR2): starting the heir, and hearing what becomes of it."""

import contextlib
import os
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from unicorn_core.arbiter.handle import exit_in_words
from unicorn_core.arbiter.signals import SignalInbox
from unicorn_core.arbiter.sockets import Sockets
from unicorn_core.arbiter.succession import FORMER, PIPE, SERVES
from unicorn_core.arbiter.systemd import without_manager
from unicorn_core.observe.logs import Logger
from unicorn_core.supervise.upgrade import Stage, Upgrade


class Heir:
    """The pipe on which the next master says that it serves."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def fileno(self) -> int:
        return self._pipe

    def says_that_it_serves(self) -> bool:
        """Read the pipe; False at its end."""
        return os.read(self._pipe, 64) == SERVES

    def close(self) -> None:
        """Nothing more is expected of it."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


class Upgrading:
    """Starts the heir and listens to it; `Upgrade` knows the stages.

    Args:
        folder: where the command was started.
        selector: watches the heir's pipe, whose data is the `Heir`.
    """

    def __init__(
        self, folder: str, sockets: Sockets, selector: selectors.BaseSelector, inbox: SignalInbox, log: Logger
    ) -> None:
        self._folder = folder
        self._sockets = sockets
        self._selector = selector
        self._inbox = inbox
        self._log = log
        self._upgrade = Upgrade()
        self._heir: Heir | None = None

    @property
    def heir(self) -> int:
        """The process id of the new master; 0 if there is none."""
        return self._upgrade.heir

    def start(self, retires: bool) -> None:
        """Start the heir. `retires`: this master stops once the heir serves."""
        if self._upgrade.under_way:
            self._log.warning("An upgrade is under way: the new master (pid:%s) is there already", self.heir)
            return
        try:
            pid, reader = self._fork()
        except OSError as error:
            self._log.error("Cannot upgrade: %s; this master goes on", error.strerror)
            return
        self._heir = Heir(reader)
        self._selector.register(self._heir, selectors.EVENT_READ, self._heir)
        self._upgrade.started(pid, retires)
        self._log.info("Upgrading: the new master (pid:%s) boots beside this one (pid:%s)", pid, os.getpid())

    def _fork(self) -> tuple[int, int]:
        """The heir's pid, and the end of the pipe on which it will be heard."""
        descriptors, variables = self._sockets.bequest()
        reader, writer = os.pipe()
        try:
            with self._inbox.blocked() as mask:
                pid = os.fork()
                if pid == 0:
                    _become_heir(self._folder, [*descriptors, writer], {PIPE: str(writer), **variables}, mask)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return pid, reader

    def hear(self) -> bool:
        """The heir's pipe can be read; whether this master must stop now."""
        heir = self._heir
        if heir is None:
            return False
        self._selector.unregister(heir)
        serves = heir.says_that_it_serves()
        self.forget()
        if serves:
            self._log.info("Upgraded: the new master (pid:%s) serves", self.heir)
        return serves and self._upgrade.ready()

    def ended(self, pid: int, status: int) -> None:
        """A process has ended; perhaps the heir."""
        stage = self._upgrade.exited(pid)
        how = exit_in_words(status)
        if stage is Stage.BOOTING:
            self._log.error("Upgrade failed: the new master (pid:%s) %s; this one keeps serving", pid, how)
        elif stage is Stage.SERVING:
            self._log.warning("The new master (pid:%s) %s; this one goes on", pid, how)

    def forget(self) -> None:
        """Close the pipe; in a child as well."""
        if self._heir:
            self._heir.close()
            self._heir = None


def _become_heir(folder: str, descriptors: Sequence[int], variables: Mapping[str, str], mask: set[int]) -> NoReturn:
    """In the forked process: run the command line again. Ends the process if that is not possible."""
    environ = without_manager(os.environ) | {FORMER: str(os.getppid()), **variables}
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
    except OSError as error:
        sys.stderr.write(f"Error: cannot run {sys.executable} in {folder}: {error.strerror}\n")
        os._exit(1)
