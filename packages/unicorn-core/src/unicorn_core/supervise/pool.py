"""The supervision of one pool: the workers of one kind under one size.

Theory. A pool has slots 0 to size-1. A slot wants one ready worker (`current`). Whatever ends, the slot's next
worker is spawned, at once or after a back-off. A worker that shall be replaced without a gap gets a `successor`
beside it; only once that is ready the old one is drained. A reload does this for all slots, together or one after
the other (`Rollout`): it commits when every slot has a ready worker of the new generation, or is withdrawn when one
of these fails; slots that a rolling reload has filled by then go back, one after the other, to the old generation.

Every event method takes the time and returns the actions it asks for, in order. The driver must report the end of
every process that it spawned by `exited`, whatever else it reported before.
"""

from collections.abc import Iterator, Mapping
from itertools import count

from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.messages import (
    Action,
    BackingOff,
    BootFailure,
    Complete,
    Finished,
    Halt,
    LameDuck,
    Recycling,
    Reloaded,
    Resized,
    RolledBack,
    Spawn,
)
from unicorn_core.supervise.occupant import Occupant
from unicorn_core.supervise.recycling import too_large
from unicorn_core.supervise.rollout import Plan, Rollout, Strategy
from unicorn_core.supervise.slot import Slot

PAUSE = 0.1
"""Seconds between the boots of workers beyond `boots`."""
_OLD = "it has lived long enough (worker_max_lifetime)"


class Pool:
    """See the module. All times are seconds of one monotonic clock.

    Args:
        boots: how many workers for empty slots boot at once; further ones follow one by one, `PAUSE` apart. More than
            there are CPUs would only hinder each other, and the first answer would come later.
    """

    def __init__(self, size: int, limits: Limits, boots: int = 1024) -> None:
        self.size = size
        self._boots = boots
        self.limits = limits
        self.generation = 1
        self.slots: dict[int, Slot] = {}
        self.occupants: dict[int, Occupant] = {}
        self.rollout: Rollout | None = None
        self.stopping = False
        self._generations = 1
        self._numbers = count(1)
        self._was_ready = False
        self._was_complete = False
        self._lame_until: float | None = None
        self._told_until = 0.0
        self._told_size: int | None = None
        self._actions: list[Action] = []

    # What is asked of the pool

    def start(self, now: float) -> list[Action]:
        """Spawn the first worker of every slot."""
        self._adjust_slots(now)
        return self._flush()

    def resize(self, size: int, now: float) -> list[Action]:
        """Grow or shrink to `size` (at least 1, or 0 while paused); the slots with the highest numbers leave first."""
        if not self.stopping:
            self.size = max(1, size) if self.size or size > 0 else 0
            self._was_complete = False
            if self.rollout:
                self.rollout.size = self.size
            self._adjust_slots(now)
            self._commit_if_complete(now)
        return self._flush()

    def pause(self, now: float) -> list[Action]:
        """Drain all workers and spawn none until there is a size or a generation again."""
        if not self.stopping:
            self._withdraw_rollout(now)
            self.size = 0
            self._adjust_slots(now)
        return self._flush()

    def reload(self, plan: Plan, now: float) -> list[Action]:
        """Replace all workers by a new generation; a reload that is still under way is withdrawn first."""
        if self.stopping:
            return []
        self._withdraw_rollout(now)
        self._generations += 1
        for slot in self.slots.values():
            self._dismiss_successor(slot, now)
        self.rollout = Rollout(self._generations, plan, max(1, plan.size))
        self._adjust_slots(now)
        return self._flush()

    def recycle(self, worker: int, reason: str, now: float) -> list[Action]:
        """A worker is to be replaced; it keeps serving until its successor is ready."""
        if occupant := self.occupants.get(worker):
            self._recycle(occupant, reason, now)
        return self._flush()

    def abort(self, worker: int, stuck_for: float, now: float) -> list[Action]:
        """A worker does not get on, which its owner knows better than its heartbeat: end it."""
        if occupant := self.occupants.get(worker):
            self._actions += occupant.abort(stuck_for, now)
        return self._flush()

    def stop(self, now: float, graceful: bool) -> list[Action]:
        """End all workers: ready ones may finish what they have if `graceful`; asked twice, the quicker way wins."""
        first = not self.stopping
        self.stopping, self.rollout = True, None
        for slot in self.slots.values():
            slot.spawn_at = None
        if not graceful:
            self._lame_until = None
            for occupant in self.occupants.values():
                self._actions += occupant.quit(now)
        elif first and self.limits.lame:
            self._lame_until = now + self.limits.lame
            for occupant in self.occupants.values():
                if occupant.is_ready:
                    self._actions.append(LameDuck(occupant.worker))
        elif first:
            self._dismiss_all(now)
        self._finish_if_empty()
        return self._flush()

    # What happened

    def ready(self, worker: int, now: float) -> list[Action]:
        """A worker said that it is ready to serve."""
        occupant = self.occupants.get(worker)
        if occupant is None or not occupant.becomes_ready(now):
            return []
        self._was_ready = True
        if self._lame_until is not None:
            self._actions.append(LameDuck(worker))
            return self._flush()
        slot = self.slots[occupant.slot]
        rollout = self.rollout if self.rollout and occupant.generation == self.rollout.generation else None
        if rollout:
            rollout.proven = True
        if slot.successor is occupant and (rollout is None or rollout.rolling):
            self._promote(slot, now)
        self._commit_if_complete(now)
        self._adjust_slots(now)
        self._tell_if_complete()
        return self._flush()

    def boot_failed(self, worker: int, failure: BootFailure) -> list[Action]:
        """A worker told why it cannot boot; its end will be reported by `exited`."""
        if occupant := self.occupants.get(worker):
            occupant.failure = failure
        return []

    def exited(self, worker: int, how: str, now: float) -> list[Action]:
        """A process ended; `how` says it in words ("exit code 1"), for the messages."""
        occupant = self.occupants.pop(worker, None)
        if occupant is None:
            return []
        if self.stopping:
            self._finish_if_empty()
            return self._flush()
        slot = self.slots.get(occupant.slot)
        if slot is None or occupant not in (slot.current, slot.successor):
            self._adjust_slots(now)  # a rolling reload may have waited for this end
            return self._flush()
        failure = occupant.failure
        if occupant.ready_at is None and failure is None:
            failure = BootFailure(f"the worker ended ({how}) before it was ready")
        if slot.successor is occupant:
            slot.successor = None
        else:
            slot.current = None
            self._was_complete = False
        rollout = self.rollout
        if rollout and occupant.generation == rollout.generation and not rollout.reverting:
            self._roll_back(failure or BootFailure(f"a new worker ended ({how})"), now)
            return self._flush()
        if slot.current is None and slot.successor and not rollout:
            # Its place was to be taken anyway.
            slot.current, slot.successor = slot.successor, None
            return self._flush()
        if failure and not self._was_ready:
            self._actions.append(Halt(failure))
            return self._flush() + self.stop(now, graceful=False)
        self._respawn_later(slot, occupant, failure, now)
        self._spawn_what_is_due(now)
        return self._flush()

    def tick(self, now: float, beats: Mapping[int, float]) -> list[Action]:
        """Time has passed. `beats` holds the time of each worker's last sign of life."""
        for occupant in list(self.occupants.values()):
            self._actions += occupant.check(beats.get(occupant.worker, 0.0), now)
            if occupant.retire_at is not None and now >= occupant.retire_at:
                occupant.retire_at = None
                self._recycle(occupant, _OLD, now)
        if self._lame_until is not None and now >= self._lame_until:
            self._lame_until = None
            self._dismiss_all(now)
        self._spawn_what_is_due(now)
        if self.rollout:
            self._adjust_slots(now)
        return self._flush()

    def measured(self, worker: int, resident: int, now: float) -> list[Action]:
        """A worker holds so many bytes of memory."""
        occupant = self.occupants.get(worker)
        ready_for = occupant.ready_for(now) if occupant else None
        if occupant and ready_for is not None and (reason := too_large(resident, ready_for, self.limits)):
            self._recycle(occupant, reason, now)
        return self._flush()

    def deadline(self) -> float | None:
        """When `tick` is due next, heartbeats aside; None if nothing waits."""
        times = [o.deadline for o in self.occupants.values()] + [s.spawn_at for s in self.slots.values()]
        times += [o.retire_at for o in self.occupants.values()] + [self._lame_until]
        return min((time for time in times if time is not None), default=None)

    # Replacing

    def _commit_if_complete(self, now: float) -> None:
        rollout = self.rollout
        if rollout is None or not rollout.complete(self.slots.values()):
            return
        self.rollout = None
        self.generation, self.size, self.limits = rollout.generation, rollout.size, rollout.plan.limits
        for slot in self.slots.values():
            if slot.successor:
                self._promote(slot, now)
        self._adjust_slots(now)
        told = Complete(self.generation, self.size) if rollout.reverting else Reloaded(self.generation)
        self._actions.append(told)
        self._was_complete = True
        self._recycle_what_waited(now)

    def _roll_back(self, failure: BootFailure, now: float) -> None:
        assert self.rollout is not None
        generation = self.rollout.generation
        self._withdraw_rollout(now)
        self._actions.append(RolledBack(generation, failure))
        if any(slot.current and slot.current.generation != self.generation for slot in self.slots.values()):
            plan = Plan(self.size, self.limits, Strategy.ROLLING)
            self.rollout = Rollout(self.generation, plan, self.size, reverting=True)
        self._adjust_slots(now)
        self._recycle_what_waited(now)

    def _recycle_what_waited(self, now: float) -> None:
        for slot in self.slots.values():
            if slot.current and slot.current.recycling:
                slot.spawn_at = now
        self._spawn_what_is_due(now)

    def _withdraw_rollout(self, now: float) -> None:
        if self.rollout is not None:
            self.rollout = None
            for slot in self.slots.values():
                self._dismiss_successor(slot, now)

    def _dismiss_successor(self, slot: Slot, now: float) -> None:
        if slot.successor:
            self._actions += slot.successor.dismiss(now)
            slot.successor = None

    def _promote(self, slot: Slot, now: float) -> None:
        old, slot.current, slot.successor = slot.current, slot.successor, None
        slot.spawn_at = None
        if old:
            self._actions += old.dismiss(now)

    def _adjust_slots(self, now: float) -> None:
        """Give every slot below `size` what it lacks, and empty those above."""
        if self.stopping:
            return
        rollout = self.rollout
        wanted = max(self.size, rollout.size if rollout else 0)
        if wanted != self._told_size:
            self._actions.append(Resized(wanted, self._told_size))
            self._told_size = wanted
        for index in [index for index in self.slots if index >= wanted]:
            slot = self.slots.pop(index)
            for occupant in slot.occupants:
                self._actions += occupant.dismiss(now)
        slots = [self.slots.setdefault(index, Slot(index)) for index in range(wanted)]
        if rollout:
            for slot in rollout.next_slots(slots, len(self.occupants), wanted):
                limits = rollout.plan.limits
                slot.successor = self._spawn(slot, rollout.generation, limits, now, canary=rollout.probes)
        lacking = [slot for slot in slots[: self.size] if not slot.occupants and slot.spawn_at is None]
        for place, slot in enumerate(lacking):
            if place < self._boots:
                slot.current = self._spawn(slot, self.generation, self.limits, now)
            else:
                slot.spawn_at = now + PAUSE * (place - self._boots + 1)

    def _respawn_later(self, slot: Slot, dead: Occupant, failure: BootFailure | None, now: float) -> None:
        delay = slot.backoff.died(dead.ready_for(now))
        slot.spawn_at = now + delay
        if delay and now >= self._told_until:
            # The slots are alike: what ends one mostly ends all, and one line tells it.
            self._told_until = now + delay
            self._actions.append(BackingOff(slot.index, delay, slot.backoff.failures, failure))

    def _spawn_what_is_due(self, now: float) -> None:
        for slot in self.slots.values():
            if slot.spawn_at is None or now < slot.spawn_at:
                continue
            slot.spawn_at = None
            if slot.current is None:
                slot.current = self._spawn(slot, self.generation, self.limits, now)
            elif slot.successor is None and slot.current.recycling:
                slot.successor = self._spawn(slot, self.generation, self.limits, now)

    def _spawn(self, slot: Slot, generation: int, limits: Limits, now: float, *, canary: bool = False) -> Occupant:
        occupant = Occupant(next(self._numbers), slot.index, generation, now, limits)
        self.occupants[occupant.worker] = occupant
        self._actions.append(Spawn(occupant.worker, slot.index, generation, canary))
        return occupant

    def _recycle(self, occupant: Occupant, reason: str, now: float) -> None:
        if not occupant.is_ready or self.stopping or occupant.recycling:
            return
        occupant.recycling = reason
        self._actions.append(Recycling(occupant.worker, reason))
        slot = self.slots.get(occupant.slot)
        if slot and slot.current is occupant and not self.rollout and slot.successor is None:
            slot.successor = self._spawn(slot, self.generation, self.limits, now)

    def _dismiss_all(self, now: float) -> None:
        for occupant in self.occupants.values():
            self._actions += occupant.dismiss(now)

    # Telling

    def _tell_if_complete(self) -> None:
        if not self._was_complete and not self.rollout and all(slot.serving for slot in self.slots.values()):
            self._was_complete = True
            self._actions.append(Complete(self.generation, self.size))

    def _finish_if_empty(self) -> None:
        if not self.occupants:
            self._actions.append(Finished())

    def _flush(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def __iter__(self) -> Iterator[Occupant]:
        return iter(self.occupants.values())
