"""How long the workers wait for clients, and how they wait for a single one."""

import select
import socket
from typing import Protocol

from msgspec import Struct

from unicorn_core.settings.registry import Settings


class Waiting(Protocol):
    """How the one that runs a request waits for its client. By default its thread does."""

    def wait(self, fd: int, events: int, seconds: float) -> bool:
        """Wait for one descriptor (READ or WRITE of the poller); False if nothing happened in time."""
        ...

    def handed_out(self, sock: socket.socket) -> socket.socket:
        """The socket for an application that takes it over: whoever uses it waits. It replaces the one given."""
        ...


class ThreadWaiting:
    """A `Waiting`."""

    def wait(self, fd: int, events: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(fd, events)  # the poller's numbers are those of POLLIN and POLLOUT
        return bool(poll.poll(None if seconds == float("inf") else seconds * 1000))

    def handed_out(self, sock: socket.socket) -> socket.socket:
        sock.setblocking(True)
        return sock


class Times(Struct, frozen=True):
    """How long a connection waits, in seconds (infinite without a limit), and how."""

    keepalive: float
    head: float
    body: float
    write: float
    waiting: Waiting

    @classmethod
    def of(cls, settings: Settings, waiting: Waiting) -> "Times":
        endless = float("inf")
        return cls(
            keepalive=settings.keepalive or endless,
            head=settings.request_head_timeout or endless,
            body=settings.request_body_timeout or endless,
            write=settings.response_write_timeout or endless,
            waiting=waiting,
        )
