"""A bound on log lines that clients can cause."""

from collections.abc import Callable
from time import monotonic


class RateLimiter:
    """Passes so many lines a period on; the first line of a later period says how many were left out.

    Args:
        log: such as Logger.warning.
        burst: lines a period.
        period: seconds.
    """

    def __init__(self, log: Callable[..., None], burst: int = 10, period: float = 1.0) -> None:
        self._log = log
        self._burst = burst
        self._period = period
        self._until = 0.0
        self._passed = 0
        self._dropped = 0

    def __call__(self, message: str, *args: object) -> None:
        now = monotonic()
        if now >= self._until:
            if self._dropped:
                self._log("%s more lines like the next one were left out", self._dropped)
            self._until, self._passed, self._dropped = now + self._period, 0, 0
        if self._passed < self._burst:
            self._passed += 1
            self._log(message, *args)
        else:
            self._dropped += 1
