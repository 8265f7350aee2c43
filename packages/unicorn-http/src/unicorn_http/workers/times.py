"""How long the workers wait for clients, and the wait for a single one."""

import select

from msgspec import Struct

from unicorn_core.settings.registry import Settings


class Times(Struct, frozen=True):
    """How long a connection waits, in seconds (infinite without a limit)."""

    keepalive: float
    head: float
    body: float
    write: float

    @classmethod
    def of(cls, settings: Settings) -> "Times":
        endless = float("inf")
        return cls(
            keepalive=settings.keepalive or endless,
            head=settings.request_head_timeout or endless,
            body=settings.request_body_timeout or endless,
            write=settings.response_write_timeout or endless,
        )


def wait(fd: int, events: int, seconds: float) -> bool:
    """Wait for one descriptor; False if nothing happened in time."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(None if seconds == float("inf") else seconds * 1000))
