"""How long to wait before a slot gets its next worker, when its workers keep dying young."""

from msgspec import Struct

STABLE_AFTER = 1.0
"""A worker that was ready for so many seconds has proven itself: its death is not part of a crash loop."""
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


class Backoff(Struct):
    """Counts a slot's workers that died young in a row."""

    failures: int = 0

    def died(self, ready_for: float | None) -> float:
        """Seconds to wait after a death. `ready_for`: how long the worker was ready; None if it never was.

        The first death of a worker that had been ready costs no wait; after that the wait doubles.
        """
        if ready_for is not None and ready_for >= STABLE_AFTER:
            self.failures = 0
            return 0.0
        self.failures += 1
        doublings = self.failures - 1 if ready_for is None else self.failures - 2
        if doublings < 0:
            return 0.0
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(doublings, 16))
