"""Waiting for descriptors: epoll where there is one, else whatever `selectors` finds."""

import select
import selectors
from typing import Protocol

READ = 1
WRITE = 4
# The values are those of EPOLLIN and EPOLLOUT, so that epoll needs no translation.

_TO_SELECTORS = {READ: selectors.EVENT_READ, WRITE: selectors.EVENT_WRITE}


class Watcher(Protocol):
    """Watches descriptors, level-triggered. Several READ-only listeners may be shared with other processes."""

    def add(self, fd: int, events: int, *, shared: bool = False) -> None:
        """Watch a descriptor; `shared`: other processes watch it too, and one of them is enough to wake."""

    def remove(self, fd: int) -> None:
        """Watch it no more."""


class Poller(Watcher, Protocol):
    """A watcher that is waited in."""

    def change(self, fd: int, events: int) -> None:
        """Watch it for something else."""

    def wait(self, timeout: float) -> list[tuple[int, int]]:
        """The descriptors that are ready, at the latest after `timeout` seconds."""
        ...

    def fileno(self) -> int:
        """A descriptor that can be read when one of those watched is ready."""
        ...


class EpollPoller:
    """Linux."""

    def __init__(self, epoll: "select.epoll") -> None:
        self._epoll = epoll
        self.change = self._epoll.modify
        self.remove = self._epoll.unregister
        self.wait = self._epoll.poll
        self.fileno = self._epoll.fileno

    def add(self, fd: int, events: int, *, shared: bool = False) -> None:
        self._epoll.register(fd, events | select.EPOLLEXCLUSIVE if shared else events)


class SelectorPoller:
    """Elsewhere (kqueue on macOS)."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector

    def add(self, fd: int, events: int, *, shared: bool = False) -> None:
        self._selector.register(fd, _TO_SELECTORS[events])

    def change(self, fd: int, events: int) -> None:
        self._selector.modify(fd, _TO_SELECTORS[events])

    def remove(self, fd: int) -> None:
        self._selector.unregister(fd)

    def wait(self, timeout: float) -> list[tuple[int, int]]:
        return [
            (key.fd, READ if events & selectors.EVENT_READ else WRITE) for key, events in self._selector.select(timeout)
        ]

    def fileno(self) -> int:
        return self._selector.fileno()  # type: ignore[attr-defined,no-any-return,unused-ignore]


def new_poller() -> Poller:
    """The best of this platform."""
    return EpollPoller(select.epoll()) if hasattr(select, "epoll") else SelectorPoller(selectors.DefaultSelector())
