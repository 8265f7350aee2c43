"""What the world outside sees of the master: its pid file, its service manager, the terminal that started a daemon."""

from collections.abc import Mapping

from unicorn_core.arbiter.daemon import Background
from unicorn_core.arbiter.pidfile import Pidfile
from unicorn_core.arbiter.succession import Heritage
from unicorn_core.arbiter.systemd import Notifier
from unicorn_core.errors import UnicornError
from unicorn_core.observe.logs import Logger

HEIR = ".2"
"""Stands behind the name of the pid file of a master that has a former one beside it."""


class Presence:
    """See the module.

    Args:
        pidfile: where the pid is written; None for nowhere.
        background: the terminal waits for a report.
    """

    def __init__(
        self,
        pidfile: str | None,
        heritage: Heritage,
        background: Background | None,
        environ: Mapping[str, str],
        pid: int,
        log: Logger,
    ) -> None:
        self._pid = pid
        self._log = log
        self._heritage = heritage
        self._background = background
        self._notifier = Notifier(environ, pid)
        self._name = pidfile
        self._pidfile = Pidfile(pidfile + (HEIR if heritage.former else "")) if pidfile else None
        self._watchdog_at = 0.0

    @property
    def has_former(self) -> bool:
        """A former master is beside this one, and has the same listeners."""
        return self._heritage.former != 0

    def announce(self) -> None:
        """Write the pid file.

        Raises:
            UnicornError: it belongs to a running server, or cannot be written.
        """
        if self._pidfile:
            self._pidfile.write(self._pid)

    def serves(self, status: str) -> None:
        """Requests are served: for the first time, after a reload, or after a loss was made good."""
        if self._background:
            self._background.started()
        self._heritage.serves()
        self._notifier.ready(status)

    def reloading(self) -> None:
        self._notifier.reloading()

    def stopping(self, heir: int) -> None:
        """This master begins to stop; `heir` is the process id of the one that goes on, or 0."""
        if heir:
            self._notifier.main_pid(heir)
        else:
            self._notifier.stopping()

    def failed(self, code: int, text: str) -> None:
        """The server cannot start."""
        if self._background:
            self._background.failed(code, text)

    def deadline(self) -> float | None:
        """When `tick` is due next."""
        return self._watchdog_at if self._notifier.watchdog_interval else None

    def tick(self, now: float) -> None:
        """Time has passed."""
        interval = self._notifier.watchdog_interval
        if interval and now >= self._watchdog_at:
            self._watchdog_at = now + interval
            self._notifier.watchdog()
        if self._heritage.former_is_gone():
            self._inherit_name()

    def leave(self) -> None:
        """The last of this master."""
        if self._pidfile:
            self._pidfile.remove()
        self._heritage.forget()

    def forget(self) -> None:
        """In a child: close what is the master's alone."""
        self._heritage.forget()
        if self._background:
            self._background.forget()

    def _inherit_name(self) -> None:
        self._log.info("The former master has ended: this one (pid:%s) goes on", self._pid)
        if self._pidfile and self._name:
            try:
                self._pidfile.rename(self._name)
            except UnicornError as error:
                self._log.error("%s", error)
