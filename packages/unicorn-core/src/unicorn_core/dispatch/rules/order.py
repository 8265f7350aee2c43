"""The requests that wait for one task worker, and which of them is next.

A step of priority is worth `AGEING` seconds of waiting: of two requests the one with the larger `priority + waited /
AGEING` runs first. As both age alike, that does not change with time, so that a heap keeps the order; and as nobody can
be given more than the greatest priority, everybody's turn comes.
"""

import heapq
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

AGEING = 10.0
"""Seconds of waiting that are worth as much as one step of priority."""


class Waiting(Protocol):
    """A request that waits; the same object must not wait twice at a time, and none of this may change meanwhile.

    Attributes:
        app: the app that it calls.
        priority: how urgent it is; 0 is usual, larger is sooner.
        arrived: when it came, in seconds of a monotonic clock.
    """

    @property
    def app(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def arrived(self) -> float: ...


R = TypeVar("R", bound=Waiting)


class Order(Generic[R]):
    """See the module. `len()` is how many wait; those that were removed do not count."""

    def __init__(self, ageing: float = AGEING) -> None:
        self._ageing = ageing
        self._number = 0
        self._live: dict[int, R] = {}  # by the number under which each waits
        self._numbers: dict[int, int] = {}  # by the id of each
        self._counts: dict[str, int] = {}
        # Numbers only: one that was removed stays here for a while, and may hold much memory.
        self._next: list[tuple[float, int]] = []
        self._oldest: dict[str, list[tuple[float, int]]] = {}

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[R]:
        """All that wait, in no particular order; none may be put or taken meanwhile."""
        return iter(self._live.values())

    def put(self, request: R) -> None:
        """Let it wait."""
        app = request.app
        arrived = request.arrived
        self._number = number = self._number + 1
        self._live[number] = request
        self._numbers[id(request)] = number
        self._counts[app] = self._counts.get(app, 0) + 1
        heapq.heappush(self._next, (arrived - request.priority * self._ageing, number))
        heap = self._oldest.get(app)
        if heap is None:
            heap = self._oldest[app] = []
        heapq.heappush(heap, (arrived, number))

    def get(self) -> R:
        """Take out the request that is next. Raises IndexError if none waits."""
        while True:
            _, number = heapq.heappop(self._next)
            if (request := self._live.get(number)) is not None:
                self._forget(request)
                return request

    def remove(self, request: R) -> bool:
        """Take out one of which the caller has given up, or that another task worker runs; False if it is not here."""
        if id(request) not in self._numbers:
            return False
        self._forget(request)
        return True

    def oldest(self, apps: Iterable[str] | None = None) -> R | None:
        """The request that has waited longest, of all or of these apps. It stays."""
        heaps = self._oldest.values() if apps is None else [self._oldest[app] for app in apps if app in self._oldest]
        first = min((heap[0] for heap in heaps), default=None)
        return self._live[first[1]] if first else None

    def count(self, apps: Iterable[str]) -> int:
        """How many requests for these apps wait."""
        counts = self._counts
        return sum(counts.get(app, 0) for app in apps)

    def drain(self) -> list[R]:
        """Take out all, in their order."""
        return [self.get() for _ in range(len(self))]

    def _forget(self, request: R) -> None:
        live = self._live
        del live[self._numbers.pop(id(request))]
        app = request.app
        self._counts[app] -= 1
        heap = self._oldest[app]
        if not self._counts[app]:
            # Names of apps come from the wire: none is kept for longer than a request waits for it.
            del self._counts[app], self._oldest[app]
        else:
            while heap[0][1] not in live:
                heapq.heappop(heap)
            if len(heap) > 2 * self._counts[app] + 64:
                self._oldest[app] = self._compact(heap)
        if len(self._next) > 2 * len(live) + 64:
            self._next = self._compact(self._next)

    def _compact(self, heap: list[tuple[float, int]]) -> list[tuple[float, int]]:
        kept = [entry for entry in heap if entry[1] in self._live]
        heapq.heapify(kept)
        return kept
