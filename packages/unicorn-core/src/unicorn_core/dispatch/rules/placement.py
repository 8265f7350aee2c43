"""Which task worker gets a request, which waiting one an idle worker takes over, and who is sent one ahead.

Every app has a ring of the task workers that hold it, and in it a pointer to the one whose turn is next.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from unicorn_core.dispatch.rules.order import Order

QUICK = 0.02
"""Seconds: a shorter run is quick."""

FADING = 0.9
"""What each run leaves of the longest one before it, when an action's pace is judged."""

ACTIONS = 1024
"""The pace of so many actions is remembered."""


class Routing(StrEnum):
    """The setting dispatch_routing."""

    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"


class Holder(Hashable, Protocol):
    """A task worker, as far as it matters here.

    Attributes:
        load: how many requests it has, waiting and running.
        waiting: those that it has not been given yet.
    """

    @property
    def load(self) -> int: ...
    @property
    def waiting(self) -> Order[Any]: ...


W = TypeVar("W", bound=Holder)


class Ring(msgspec.Struct, Generic[W]):
    """The workers that hold an app, and the index of the one whose turn is next."""

    workers: list[W]
    turn: int = 0


class Placement(ABC, Generic[W]):
    """What both routings have in common: who holds which app.

    Attributes:
        helps: a worker may run what waits for another one.
    """

    helps: ClassVar[bool]

    def __init__(self) -> None:
        self._apps: dict[W, frozenset[str]] = {}
        self._rings: dict[str, Ring[W]] = {}

    def add(self, worker: W, apps: Iterable[str]) -> None:
        """A worker is ready, and holds these apps."""
        self._apps[worker] = frozenset(apps)
        for app in self._apps[worker]:
            self._rings.setdefault(app, Ring([])).workers.append(worker)

    def remove(self, worker: W) -> None:
        """A worker gets no more requests; nothing happens if it is not here."""
        for app in self._apps.pop(worker, ()):
            ring = self._rings[app]
            index = ring.workers.index(worker)
            del ring.workers[index]
            if not ring.workers:
                del self._rings[app]
            else:
                ring.turn = (ring.turn - (index < ring.turn)) % len(ring.workers)

    def holders(self, app: str) -> Sequence[W]:
        """The workers that hold an app."""
        ring = self._rings.get(app)
        return ring.workers if ring else ()

    def choose(self, app: str) -> W | None:
        """The worker for the next request to an app; None if nobody holds it. The caller counts the request as load."""
        ring = self._rings.get(app)
        return self._next(ring) if ring else None

    @abstractmethod
    def _next(self, ring: Ring[W]) -> W: ...

    @abstractmethod
    def takeover(self, idle: W) -> tuple[W, Any] | None:
        """What a worker with nothing to do runs in another's place: whose, and which of the requests waiting there."""


class LeastLoaded(Placement[W]):
    """The worker with the fewest requests; among equals the next one in the ring.

    So calls that find all workers idle spread evenly, and none waits behind a long one while another worker is free.
    """

    helps = True

    def _next(self, ring: Ring[W]) -> W:
        workers = ring.workers
        chosen = turn = ring.turn
        least = workers[turn].load
        if least:
            for index in (*range(turn + 1, len(workers)), *range(turn)):
                load = workers[index].load
                if load < least:
                    chosen, least = index, load
                    if not load:
                        break
        ring.turn = (chosen + 1) % len(workers)
        return workers[chosen]

    def takeover(self, idle: W) -> tuple[W, Any] | None:
        """The oldest request from the fullest queue, among those whose app the idle worker holds."""
        apps = self._apps.get(idle, frozenset())
        fullest, most = None, 0
        for worker in self._apps:
            # What waits for a worker that runs nothing is about to be given to it.
            if worker is not idle and worker.load > len(worker.waiting) > most:
                count = worker.waiting.count(apps)
                if count > most:
                    fullest, most = worker, count
        return (fullest, fullest.waiting.oldest(apps)) if fullest is not None else None


class RoundRobin(Placement[W]):
    """The next worker in the ring, whatever it has to do.

    Of any number of requests to an app, no two workers get numbers that differ by more than one. Taking over requests
    would break that.
    """

    helps = False

    def _next(self, ring: Ring[W]) -> W:
        worker = ring.workers[ring.turn]
        ring.turn = (ring.turn + 1) % len(ring.workers)
        return worker

    def takeover(self, idle: W) -> None:
        """Nothing."""


PLACEMENTS: dict[Routing, type[Placement[Any]]] = {
    Routing.LEAST_LOADED: LeastLoaded,
    Routing.ROUND_ROBIN: RoundRobin,
}


class Pace:
    """How long actions lately took, which tells whether a busy worker may be sent its next request ahead.

    It then need not idle between two short runs; but behind a long one the request would wait although another worker
    could take it. One slow run is remembered for as many quick ones as it takes to fade.
    """

    def __init__(self) -> None:
        self._longest: dict[Hashable, float] = {}

    def record(self, action: Hashable, seconds: float) -> None:
        """An action, named in any way that tells it from others, has run for so long."""
        longest = self._longest
        before = longest.get(action)
        if before is None:
            if len(longest) >= ACTIONS:
                del longest[next(iter(longest))]
            longest[action] = seconds
        else:
            longest[action] = max(seconds, before * FADING)

    def quick(self, action: Hashable) -> bool:
        """Whether one may be sent ahead to a worker that runs this action."""
        return self._longest.get(action, QUICK) < QUICK
