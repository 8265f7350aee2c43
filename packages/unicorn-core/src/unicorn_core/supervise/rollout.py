"""A reload under way: a new generation takes the place of the old one.

Two strategies. ALL: successors boot in every slot beside the old workers; when all are ready, all take over together.
ROLLING: one slot after the other; the old worker must have ended before the next successor boots, so that there is
never more than one process above the size. With a canary the first successor must be ready, which for it includes a
good answer to a probe, before any other boots.
"""

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct

from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.slot import Slot


class Strategy(Enum):
    """See the module."""

    ALL = "all"
    ROLLING = "rolling"


class Plan(Struct, frozen=True):
    """What a new generation is to be like.

    Attributes:
        size: how many slots it wants.
        limits: its time limits.
        canary: its first worker must prove itself before the others boot.
    """

    size: int
    limits: Limits
    strategy: Strategy = Strategy.ALL
    canary: bool = False


class Rollout(Struct):
    """One reload.

    Attributes:
        generation: the number of the generation that comes.
        plan: what it is like; its size may still be changed meanwhile.
        reverting: it goes back to the old generation, after a rolling reload has failed half-way.
        proven: a worker of it has been ready.
    """

    generation: int
    plan: Plan
    size: int
    reverting: bool = False
    proven: bool = False

    @property
    def rolling(self) -> bool:
        return self.plan.strategy is Strategy.ROLLING

    @property
    def probes(self) -> bool:
        """The next worker is the canary."""
        return self.plan.canary and not self.proven

    def next_slots(self, slots: list[Slot], processes: int, most: int) -> list[Slot]:
        """The slots in which a successor shall boot now.

        Args:
            processes: how many there are, also those that are leaving.
            most: how many there may be without an extra one.
        """
        lacking = [slot for slot in slots if slot.index < self.size and not self._has(slot)]
        if not self.rolling and not self.probes:
            return lacking
        if any(slot.successor for slot in slots):
            return []
        if self.rolling and processes > most:
            return []
        return lacking[:1]

    def complete(self, slots: Iterable[Slot]) -> bool:
        """Every wanted slot has a ready worker of this generation."""
        return sum(slot.serves(self.generation) for slot in slots if slot.index < self.size) >= self.size

    def _has(self, slot: Slot) -> bool:
        """A slot of which nothing is wanted now; after a failed try it waits for the next one."""
        return slot.has(self.generation) or (self.reverting and slot.spawn_at is not None)
