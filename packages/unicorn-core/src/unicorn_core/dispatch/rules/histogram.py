"""How long requests waited and ran: counts in a fixed row of intervals, so that recording is cheap and sums are exact.

The bounds grow by 1, 2, 5 from 0.1 ms to 500 s, for all histograms alike: so those of several workers can be added, and
they can be shown as the cumulative buckets of OpenMetrics.
"""

from bisect import bisect_left
from collections.abc import Iterator

import msgspec

BOUNDS = tuple(float(f"{digit}e{power}") for power in range(-4, 3) for digit in (1, 2, 5))
"""Upper bounds (inclusive) of the intervals, in seconds; a last interval holds what took longer."""


class Histogram(msgspec.Struct):
    """Durations, in seconds.

    Attributes:
        counts: how many fell into each interval; one more than there are bounds.
        total: their sum.
        longest: the longest of them.
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    longest: float = 0.0

    def record(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        if seconds > self.longest:
            self.longest = seconds

    def merge(self, other: "Histogram") -> None:
        """Add what another one has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """What this share (0 to 1) of all did not exceed, as exactly as the intervals tell; 0 if there are none."""
        wanted = share * self.count
        below = 0
        for index, count in enumerate(self.counts):
            if count and below + count >= wanted:
                low = BOUNDS[index - 1] if index else 0.0
                high = min(BOUNDS[index], self.longest) if index < len(BOUNDS) else self.longest
                return min(low + (high - low) * (wanted - below) / count, high)
            below += count
        return self.longest

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound with how many did not exceed it, the last one infinite."""
        below = 0
        for bound, count in zip((*BOUNDS, float("inf")), self.counts, strict=True):
            below += count
            yield bound, below


class Times(msgspec.Struct):
    """How long requests waited in a queue and then ran, in seconds."""

    wait: Histogram = msgspec.field(default_factory=Histogram)
    run: Histogram = msgspec.field(default_factory=Histogram)

    def record(self, wait: float, run: float) -> None:
        """Count one request."""
        self.wait.record(wait)
        self.run.record(run)

    def merge(self, other: "Times") -> None:
        """Add what others have counted."""
        self.wait.merge(other.wait)
        self.run.merge(other.run)


class Timings:
    """The times by app and task worker. What a worker that is gone has counted stays in the sums of its apps."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, int], Times] = {}
        self._former: dict[str, Times] = {}

    def record(self, app: str, worker: int, wait: float, run: float) -> None:
        """Count a request that a worker has answered; the app is one that it holds, never a name from the wire."""
        times = self._times.get((app, worker))
        if times is None:
            times = self._times[app, worker] = Times()
        times.record(wait, run)

    def forget(self, worker: int) -> None:
        """A worker is gone."""
        for app, number in [key for key in self._times if key[1] == worker]:
            self._former.setdefault(app, Times()).merge(self._times.pop((app, number)))

    def by_app(self) -> dict[str, Times]:
        """The sums of each app, over all workers that ever were."""
        sums: dict[str, Times] = {}
        for app, times in [*self._former.items(), *((app, times) for (app, _), times in self._times.items())]:
            sums.setdefault(app, Times()).merge(times)
        return sums

    def by_worker(self) -> dict[int, dict[str, Times]]:
        """The times of each worker that is still there, by app."""
        found: dict[int, dict[str, Times]] = {}
        for (app, worker), times in self._times.items():
            found.setdefault(worker, {})[app] = times
        return found
