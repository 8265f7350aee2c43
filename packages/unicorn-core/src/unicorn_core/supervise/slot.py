"""A slot and the workers that occupy it, as the supervision knows them."""

from dataclasses import dataclass, field
from enum import Enum, auto

from unicorn_core.supervise.backoff import Backoff
from unicorn_core.supervise.messages import BootFailure


class State(Enum):
    """Where a worker stands in its life.

    BOOTING -> READY -> DRAINING -> gone is the good one; each state can also go over to QUITTING, ABORTING
    and KILLED, and a process can end in any of them.
    """

    BOOTING = auto()
    READY = auto()
    DRAINING = auto()
    QUITTING = auto()
    ABORTING = auto()
    KILLED = auto()


@dataclass(slots=True, eq=False)
class Occupant:
    """One worker. `deadline` is when its present state has lasted too long (None: never)."""

    worker: int
    slot: int
    generation: int
    spawned_at: float
    state: State = State.BOOTING
    deadline: float | None = None
    ready_at: float | None = None
    failure: BootFailure | None = None
    recycling: bool = False

    def ready_for(self, now: float) -> float | None:
        """Seconds since it became ready; None if it never did."""
        return None if self.ready_at is None else now - self.ready_at


@dataclass(slots=True, eq=False)
class Slot:
    """A stable index in the pool.

    `current` serves (or boots, when nobody serves); `successor` boots beside it and will take its place.
    `spawn_at` is when the slot gets the worker that it lacks.
    """

    index: int
    current: Occupant | None = None
    successor: Occupant | None = None
    spawn_at: float | None = None
    backoff: Backoff = field(default_factory=Backoff)

    @property
    def serving(self) -> bool:
        """A worker is ready in this slot."""
        return any(o is not None and o.state is State.READY for o in (self.current, self.successor))
