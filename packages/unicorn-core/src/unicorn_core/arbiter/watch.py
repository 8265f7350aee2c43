"""Watching channels: what drivers need of the main loop that they live in."""

from collections.abc import Callable
from selectors import EVENT_READ, BaseSelector
from typing import Protocol

from unicorn_core.worker.channel import Channel


class Watch(Protocol):
    """The main loop, as a driver sees it."""

    def watch(self, channel: Channel, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the channel can be read."""

    def unwatch(self, channel: Channel) -> None:
        """Do so no more; nothing if it was not watched."""


class SelectorWatch:
    """A selector whose user calls the data of what is ready."""

    def __init__(self, selector: BaseSelector) -> None:
        self._selector = selector

    def watch(self, channel: Channel, callback: Callable[[], None]) -> None:
        """See `Watch`."""
        self._selector.register(channel, EVENT_READ, callback)

    def unwatch(self, channel: Channel) -> None:
        """See `Watch`."""
        if channel.fileno() in self._selector.get_map():
            self._selector.unregister(channel)
