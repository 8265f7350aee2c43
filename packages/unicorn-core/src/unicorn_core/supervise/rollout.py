"""A reload under way: the new generation boots beside the old one."""

from collections.abc import Iterable
from dataclasses import dataclass

from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.slot import Slot, State


@dataclass(slots=True)
class Rollout:
    """Replaces every slot's worker by one of `generation`; nothing of the old one ends before all are ready.

    Attributes:
        generation: the number of the new generation.
        size: how many slots it wants.
        limits: the new generation's time limits.
    """

    generation: int
    size: int
    limits: Limits

    def complete(self, slots: Iterable[Slot]) -> bool:
        """Every wanted slot has a ready successor of the new generation."""
        ready = sum(
            slot.successor is not None
            and slot.successor.generation == self.generation
            and slot.successor.state is State.READY
            for slot in slots
        )
        return ready >= self.size
