"""How many workers a pool of variable size should have (workers = MIN..MAX).

It grows fast and shrinks slowly: a burst must be met within seconds, and what was needed a moment ago is likely to be
needed again. Between the two thresholds lies enough room that one worker less never calls for one worker more.
"""

from math import exp

from msgspec import Struct

GLANCE = 0.25
"""Seconds between two looks at the workers: a single look only says who is busy at that moment."""
BUSY = 0.8
"""The pool grows when this share of its workers is busy, on average over `SHORT`; or when connections wait."""
IDLE = 0.5
"""It shrinks when with one worker less still only this share would be busy, on average over `LONG`."""
SHORT = 1.0
LONG = 20.0
PAUSE = 10.0
"""Seconds from any change to the next shrinking."""
STEP = 0.25
"""The part of its size by which the pool grows at once (one worker at least)."""


class Load(Struct, frozen=True):
    """What the scoreboard and the listeners show at a moment.

    Attributes:
        ready: workers that serve.
        busy: those of them that have something to do.
        queued: connections that wait to be accepted.
    """

    ready: int
    busy: int
    queued: int


class Scaling:
    """See the module. All times are seconds of one monotonic clock."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self._seen_at: float | None = None
        self._changed_at = 0.0
        self._lately = 0.0  # busy workers, and those that the queue calls for
        self._for_long = 0.0

    def observe(self, load: Load, size: int, now: float) -> int:
        """The size that the pool should have, given that it has `size` now."""
        demand = float(load.busy + min(load.queued, load.ready or 1))
        if self._seen_at is None:
            self._for_long = float(size)
            self._changed_at = now
        else:
            passed = now - self._seen_at
            self._lately += (demand - self._lately) * (1 - exp(-passed / SHORT))
            self._for_long += (demand - self._for_long) * (1 - exp(-passed / LONG))
        self._seen_at = now
        wanted = min(max(self._wanted(load, size, now), self.minimum), self.maximum)
        if wanted != size:
            self._changed_at = now
        return wanted

    def _wanted(self, load: Load, size: int, now: float) -> int:
        if load.ready >= size and self._lately >= BUSY * size and now - self._changed_at >= SHORT:
            return size + max(1, int(size * STEP))
        if size > 1 and self._for_long <= IDLE * (size - 1) and now - self._changed_at >= PAUSE:
            return size - 1
        return size
