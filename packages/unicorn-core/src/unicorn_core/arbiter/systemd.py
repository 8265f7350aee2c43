"""What systemd and its likes hand to a service, and what they want to hear: sd_listen_fds(3) and sd_notify(3)."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

from unicorn_core.errors import UnicornError

FIRST_SOCKET = 3
MOST_SOCKETS = 1024
PATIENCE = 1.0
"""Seconds that a message may wait for a service manager that does not read."""

_LISTEN_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
_ONES_OWN = (*_LISTEN_VARIABLES, "WATCHDOG_PID")


def take_sockets(environ: MutableMapping[str, str], pid: int) -> list[int]:
    """As `inherited_sockets`, and remove the variables: the workers' own children must not take them for theirs.

    Raises:
        UnicornError: the variables make no sense.
    """
    sockets = inherited_sockets(environ, pid)
    for name in _LISTEN_VARIABLES:
        environ.pop(name, None)
    return sockets


def inherited_sockets(environ: Mapping[str, str], pid: int) -> list[int]:
    """The descriptors that the service manager has opened for the process `pid`; empty if they are not for it.

    Whether they are listening sockets is left to whoever uses them.

    Raises:
        UnicornError: the variables make no sense.
    """
    if "LISTEN_FDS" not in environ or "LISTEN_PID" not in environ:
        return []
    if _number(environ, "LISTEN_PID") != pid:
        return []
    count = _number(environ, "LISTEN_FDS")
    if count > MOST_SOCKETS:
        raise UnicornError(f"LISTEN_FDS = {count}: at most {MOST_SOCKETS} sockets can be inherited")
    return list(range(FIRST_SOCKET, FIRST_SOCKET + count))


def without_manager(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for another process: what is meant for this one by its pid must not be taken for its own."""
    return {name: value for name, value in environ.items() if name not in _ONES_OWN}


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ[name]
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UnicornError(f"{name} = {text!r} must be a whole number; unset it if no service manager passes sockets")
    return int(text)


class Notifier:
    """Tells the service manager how this service is doing. Without one (no NOTIFY_SOCKET) every message is dropped.

    A message that cannot be delivered is dropped as well, after `PATIENCE` seconds at most.

    Args:
        environ: where the manager has left its variables.
        pid: of this process.

    Attributes:
        watchdog_interval: seconds between two calls of `watchdog`, half of what the manager allows; None if it does
            not ask for them.
    """

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval = _watchdog_interval(environ, pid) if self._address else None

    def ready(self, status: str = "") -> None:
        """The service is up, or a reload has ended, well or not."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload has begun; `ready` must follow."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service has begun to stop."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def main_pid(self, pid: int) -> None:
        """Another process is the service's main one from now on."""
        self._send(f"MAINPID={pid}")

    def watchdog(self) -> None:
        """This process is alive."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if self._address is None or not assignments:
            return
        data = "\n".join(assignments).encode(errors="replace")
        # A socket a message: they are rare, and so there is none that forked workers could inherit.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(data, self._address)


def _address(name: str) -> bytes | None:
    """The socket's address; None if there is none, or one of a kind that this machine's manager does not use."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else None


def _status(text: str) -> list[str]:
    line = " ".join(text.split())
    return [f"STATUS={line}"] if line else []


def _watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """Nonsense counts as unset: the service itself can run without."""
    try:
        allowed = int(environ["WATCHDOG_USEC"])
        meant = int(environ.get("WATCHDOG_PID") or pid)
    except (KeyError, ValueError):
        return None
    return allowed / 2_000_000 if allowed > 0 and meant == pid else None
