"""How fast the application has lately been."""

FAST = 0.0005
"""Seconds that a call may take on average for the application to become known as fast."""
FAST_NO_MORE = 0.001
SLOW = 0.005
"""Average from which on it counts as slow."""
SLOW_NO_MORE = 0.0025
LONGEST = 0.1
"""A longer call counts as one of so many seconds: a single one, while something is loaded, must not make it slow."""
MEMORY = 32
"""The average is that of about so many calls."""
UNKNOWN = 0.001
"""The average at the beginning: neither fast nor slow."""


class Pace:
    """A moving average of how long the application takes for a request, judged with hysteresis.

    Args:
        average: what is assumed before anything is known (seconds).
        slow: from which average on it counts as slow.

    Attributes:
        fast: the application is known to be fast: one request hardly delays another.
        slow: it keeps a worker busy for long.
    """

    __slots__ = ("_average", "_high", "_low", "_slow", "fast", "slow")

    def __init__(self, average: float = UNKNOWN, slow: float = SLOW) -> None:
        self._average = average
        self._slow = slow
        self._judge()

    def called(self, calls: int, seconds: float) -> bool:
        """So many calls took so many seconds together; True if that changes the judgement."""
        if not calls:
            return False
        mean = min(seconds / calls, LONGEST)
        average = self._average
        average += (mean - average) * min(calls / MEMORY, 1.0)
        self._average = average
        if self._low < average < self._high:
            return False
        self._judge()
        return True

    def _judge(self) -> None:
        average = self._average
        self.fast = average <= FAST
        self.slow = average >= self._slow
        # Between these two the judgement stands.
        self._low = -1.0 if self.fast else SLOW_NO_MORE if self.slow else FAST
        self._high = FAST_NO_MORE if self.fast else float("inf") if self.slow else self._slow
