"""Where the dispatcher is reached: a socket in a private folder, and the variables that tell of it."""

import contextlib
import os
import tempfile

from msgspec import Struct

from unicorn_core.dispatch.client import environment
from unicorn_core.listen.address import UnixAddress
from unicorn_core.listen.listener import Listener, open_all

BACKLOG = 4096
LONGEST = 80
"""Bytes of a folder's path with which the socket in it still has one that the system can take."""


class Endpoint(Struct, frozen=True):
    """The socket. It belongs to whoever supervises the dispatcher, so that clients only wait while that is replaced."""

    listener: Listener
    folder: str

    @property
    def path(self) -> str:
        """Of the socket."""
        return os.path.join(self.folder, "socket")

    def announce(self) -> None:
        """Let this process and its children know of it."""
        environment.announce(self.path)

    def conceal(self) -> None:
        """Undo `announce`."""
        environment.conceal(self.path)

    def remove(self) -> None:
        """Leave nothing behind."""
        self.listener.remove()
        self.conceal()
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)


def endpoint_of(listener: Listener) -> Endpoint:
    """The whole, where a process was handed the listener alone."""
    return Endpoint(listener, os.path.dirname(listener.path or ""))


def open_endpoint(owner: tuple[int, int]) -> Endpoint:
    """Make folder and socket, for this user and group id alone.

    Raises:
        OSError, ListenError: they cannot be made.
    """
    where = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="unicorn-dispatch-", dir=where if len(os.fsencode(where)) <= LONGEST else "/tmp")
    try:
        if owner != (os.geteuid(), os.getegid()):
            os.chown(folder, *owner)
        (listener,) = open_all([UnixAddress(os.path.join(folder, "socket"))], BACKLOG, 0o177, owner)
    except BaseException:
        os.rmdir(folder)
        raise
    return Endpoint(listener, folder)
