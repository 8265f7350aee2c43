"""What a worker needs of a library of green threads, as gevent and eventlet have them."""

from collections.abc import Callable
from types import FrameType
from typing import Protocol

from unicorn_http.serving.poller import Poller
from unicorn_http.serving.times import Waiting


class Greenlet(Protocol):
    """A green thread; `greenlet.greenlet`, or what a library derives from it.

    Attributes:
        gr_frame: where it stands; None while it runs, and after its end.
    """

    gr_frame: FrameType | None

    def switch(self) -> object:
        """Let it run. By the hub: comes back when it waits for something, or ends."""


class Green(Waiting, Protocol):
    """The green threads of this process. One of them is the hub, which waits for all others and must not wait itself.

    An object is made in the worker's own process, after it was forked. Whoever is called back is so in the hub.
    """

    def attach(self) -> None:
        """Before anything else: the green threads are those of the calling thread."""

    def poller(self) -> Poller:
        """One that knows nothing of green threads."""
        ...

    def current(self) -> Greenlet:
        """The green thread that runs."""
        ...

    def in_hub(self) -> bool:
        """The green thread that runs is the hub."""
        ...

    def start(self, run: Callable[[], None]) -> Greenlet:
        """By the hub: a new green thread that runs this; comes back as `switch` does."""
        ...

    def park(self) -> None:
        """Let the hub run, until somebody switches back."""

    def soon(self, call: Callable[[], object]) -> None:
        """Call back once what is ready now has had its turn."""

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call back after so long; gives what cancels that."""
        ...

    def watch(self, fd: int, ready: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever a descriptor can be read; gives what ends that."""
        ...

    def end(self, greenlet: Greenlet) -> None:
        """Have GreenletExit raised where it waits, soon."""

    def waiting_greenlets(self) -> list[Greenlet]:
        """Those that have begun and wait for something, without the hub."""
        ...


class Library(Protocol):
    """A module that implements this for one library."""

    def patch(self) -> None:
        """Let the standard library wait in the green way, for what is imported from now on."""

    def make(self) -> Green:
        """For this process."""
        ...
