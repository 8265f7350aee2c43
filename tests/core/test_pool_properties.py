"""Whatever happens in whatever order, the supervision keeps its invariants."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.messages import (
    Abort,
    Action,
    BootFailure,
    Drain,
    Finished,
    Halt,
    Kill,
    LameDuck,
    Quit,
    Reloaded,
    RolledBack,
    Spawn,
)
from unicorn_core.supervise.occupant import State
from unicorn_core.supervise.pool import Pool
from unicorn_core.supervise.rollout import Plan, Strategy

LIMITS = Limits(boot=60, silence=30, graceful=20, last=1, lifetime=100, lifetime_jitter=20, memory=1000)
LAME = Limits(boot=60, silence=30, graceful=20, last=1, lame=5)


class PoolMachine(RuleBasedStateMachine):
    """A model of the processes: what was spawned and has not been reaped, and what each was told."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool = Pool(2, LIMITS)
        self.alive: dict[int, str] = {}  # worker -> booting, ready, or the last thing it was told
        self.beats: dict[int, float] = {}
        self.ready_before_reload: int | None = None
        self.halted = False
        self.finished = False
        self.perform(self.pool.start(self.now))

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            assert not self.finished, f"{action} after everything was finished"
            match action:
                case Spawn(worker, _, generation):
                    assert worker not in self.alive
                    rollout = self.pool.rollout
                    if rollout and rollout.rolling and generation == rollout.generation != self.pool.generation:
                        assert len(self.alive) <= max(self.pool.size, rollout.size)
                    self.alive[worker] = "booting"
                case Drain(worker):
                    assert self.alive[worker] in ("booting", "ready")
                    self.alive[worker] = "draining"
                case Quit(worker):
                    assert self.alive[worker] in ("booting", "ready", "draining")
                    self.alive[worker] = "quitting"
                case Abort(worker):
                    assert self.alive[worker] in ("booting", "ready", "draining")
                    self.alive[worker] = "aborting"
                case Kill(worker):
                    assert self.alive[worker] in ("draining", "quitting", "aborting")
                    self.alive[worker] = "killed"
                case LameDuck(worker):
                    assert self.alive[worker] == "ready"
                case Halt():
                    self.halted = True
                case Reloaded() | RolledBack():
                    self.ready_before_reload = None
                case Finished():
                    assert not self.alive
                    self.finished = True

    def pick(self, data: st.DataObject, *states: str) -> int | None:
        fitting = [worker for worker, state in self.alive.items() if state in states]
        return data.draw(st.sampled_from(fitting)) if fitting else None

    @rule(data=st.data())
    def a_booting_worker_gets_ready(self, data: st.DataObject) -> None:
        if worker := self.pick(data, "booting"):
            self.alive[worker] = "ready"
            self.beats[worker] = self.now
            self.perform(self.pool.ready(worker, self.now))

    @rule(data=st.data(), told=st.booleans())
    def a_process_ends(self, data: st.DataObject, told: bool) -> None:
        if worker := self.pick(data, "booting", "ready", "draining", "quitting", "aborting", "killed"):
            was = self.alive.pop(worker)
            self.beats.pop(worker, None)
            if self.ready_before_reload is not None and was == "ready":
                self.ready_before_reload -= 1
            if told and was == "booting":
                self.perform(self.pool.boot_failed(worker, BootFailure("broken")))
            self.perform(self.pool.exited(worker, "exited with code 1", self.now))

    @rule(seconds=st.floats(0.1, 40), data=st.data())
    def time_passes(self, seconds: float, data: st.DataObject) -> None:
        self.now += seconds
        for worker in self.beats:
            if data.draw(st.booleans()):
                self.beats[worker] = self.now
        self.perform(self.pool.tick(self.now, self.beats))

    @rule(size=st.integers(-1, 4))
    def somebody_resizes(self, size: int) -> None:
        self.ready_before_reload = None
        self.perform(self.pool.resize(size, self.now))

    @rule(data=st.data())
    def a_worker_wants_to_be_recycled(self, data: st.DataObject) -> None:
        if worker := self.pick(data, "ready"):
            self.perform(self.pool.recycle(worker, "old", self.now))

    @rule(data=st.data(), resident=st.integers(900, 1100))
    def a_worker_s_memory_is_measured(self, data: st.DataObject, resident: int) -> None:
        if worker := self.pick(data, "booting", "ready", "draining"):
            self.perform(self.pool.measured(worker, resident, self.now))

    @rule()
    @precondition(lambda self: self.now > 100)
    def somebody_pauses(self) -> None:
        self.ready_before_reload = None
        self.perform(self.pool.pause(self.now))

    @precondition(lambda self: not self.pool.stopping)
    @rule(
        size=st.integers(1, 4),
        limits=st.sampled_from([LIMITS, LAME]),
        strategy=st.sampled_from(Strategy),
        canary=st.booleans(),
    )
    def somebody_reloads(self, size: int, limits: Limits, strategy: Strategy, canary: bool) -> None:
        self.perform(self.pool.reload(Plan(size, limits, strategy, canary), self.now))
        self.ready_before_reload = sum(state == "ready" for state in self.alive.values())

    @rule(graceful=st.booleans())
    @precondition(lambda self: self.now > 200)
    def somebody_stops(self, graceful: bool) -> None:
        if not self.finished:
            self.ready_before_reload = None
            self.perform(self.pool.stop(self.now, graceful))

    @invariant()
    def the_pool_knows_exactly_the_living(self) -> None:
        assert set(self.pool.occupants) == set(self.alive)

    @invariant()
    def a_slot_has_at_most_one_worker_and_one_successor(self) -> None:
        in_slots = [o for slot in self.pool.slots.values() for o in slot.occupants]
        assert len({id(o) for o in in_slots}) == len(in_slots)
        rollout = self.pool.rollout
        if not self.pool.stopping:
            assert len(self.pool.slots) <= max(self.pool.size, rollout.size if rollout else 0)

    @invariant()
    def every_slot_is_served_or_will_be(self) -> None:
        if self.pool.stopping:
            return
        for slot in self.pool.slots.values():
            waits = self.pool.rollout is not None and slot.index >= self.pool.size
            assert slot.spawn_at is not None or slot.occupants or waits

    @invariant()
    def the_old_generation_serves_while_the_new_one_boots(self) -> None:
        if self.ready_before_reload is not None and self.pool.rollout:
            ready = sum(state == "ready" for state in self.alive.values())
            aborted = sum(state in ("aborting", "killed") for state in self.alive.values())
            assert ready + aborted >= self.ready_before_reload

    @invariant()
    def nobody_waits_forever_for_a_worker_that_was_told_to_end(self) -> None:
        for occupant in self.pool:
            if occupant.state in (State.DRAINING, State.QUITTING, State.ABORTING):
                assert occupant.deadline is not None

    def settle(self) -> None:
        """Whoever boots gets ready and whoever was told to end does: then every slot is served in the end."""
        for _ in range(100):
            for worker in list(self.alive):
                state = self.alive[worker]
                if state == "booting":
                    self.alive[worker] = "ready"
                    self.beats[worker] = self.now
                    self.perform(self.pool.ready(worker, self.now))
                elif state != "ready":
                    del self.alive[worker]
                    self.beats.pop(worker, None)
                    self.perform(self.pool.exited(worker, "exited with code 0", self.now))
            self.now += 1
            self.beats = dict.fromkeys(self.beats, self.now)
            self.perform(self.pool.tick(self.now, self.beats))
        if self.pool.stopping:
            return  # the first workers did not boot
        assert self.pool.rollout is None
        assert len(self.pool.slots) == self.pool.size
        assert all(slot.serving for slot in self.pool.slots.values())

    def teardown(self) -> None:
        """From wherever it stands, it settles, and a quick stop ends everything."""
        if not self.finished and not self.pool.stopping:
            self.settle()
        if not self.finished:
            self.perform(self.pool.stop(self.now, graceful=False))
            for worker in list(self.alive):
                del self.alive[worker]
                self.perform(self.pool.exited(worker, "was sent SIGKILL", self.now))
            assert self.finished


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestPool = PoolMachine.TestCase
