"""A slot of a pool, and who occupies it."""

from msgspec import Struct, field

from unicorn_core.supervise.backoff import Backoff
from unicorn_core.supervise.occupant import Occupant


class Slot(Struct, eq=False):
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
    def occupants(self) -> list[Occupant]:
        return [occupant for occupant in (self.current, self.successor) if occupant]

    @property
    def serving(self) -> bool:
        """A worker is ready in this slot."""
        return any(occupant.is_ready for occupant in self.occupants)

    def has(self, generation: int) -> bool:
        """A worker of this generation is there, ready or not."""
        return any(occupant.generation == generation for occupant in self.occupants)

    def serves(self, generation: int) -> bool:
        """A worker of this generation is ready."""
        return any(occupant.is_ready and occupant.generation == generation for occupant in self.occupants)
