"""One timer of an event loop for many deadlines: of a thousand, hardly any ever comes."""

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls back when the earliest of the deadlines that it was told may have come; it then forgets them all.

    Args:
        callback: looks at the time by itself, and sets the alarm anew.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._when = float("inf")

    def at(self, when: float) -> None:
        """There is a deadline at this time of the loop's clock."""
        if when < self._when:
            if self._timer is not None:
                self._timer.cancel()
            self._when = when
            self._timer = self._loop.call_at(when, self._ring)

    def stop(self) -> None:
        """Forget all."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._when = None, float("inf")

    def _ring(self) -> None:
        self._timer, self._when = None, float("inf")
        self._callback()
