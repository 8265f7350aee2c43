"""The supervision decides rightly at every edge: with a clock that the test moves, and without a process."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from unicorn_core.errors import ExitCode
from unicorn_core.supervise.limits import Limits
from unicorn_core.supervise.messages import (
    Abort,
    Action,
    BackingOff,
    BootFailure,
    Complete,
    Drain,
    Finished,
    Halt,
    Kill,
    LameDuck,
    Quit,
    Recycling,
    Reloaded,
    Resized,
    RolledBack,
    Spawn,
)
from unicorn_core.supervise.pool import Pool
from unicorn_core.supervise.rollout import Plan, Strategy
from unicorn_core.testing.clock import FakeClock

LIMITS = Limits(boot=120, silence=30, graceful=20, last=1)
BROKEN = BootFailure("cannot import", "Traceback ...", ExitCode.NOT_BOOTED)


class Driver:
    """Plays the arbiter: keeps what was asked for, and lets workers live as the test says."""

    def __init__(self, size: int = 1, limits: Limits = LIMITS) -> None:
        self.clock = FakeClock()
        self.pool = Pool(size, limits)
        self.beats: dict[int, float] = {}
        self.log: list[Action] = []
        self.told: list[Action] = []
        self.do(self.pool.start(self.clock()))

    def do(self, actions: Iterable[Action]) -> list[Action]:
        """What is only told goes to `told`."""
        done: list[Action] = []
        for action in actions:
            (self.told if isinstance(action, Resized | Recycling) else done).append(action)
        self.log += done
        return done

    def all(self, kind: type) -> list[Action]:
        return [action for action in self.log if isinstance(action, kind)]

    def ready(self, *workers: int) -> list[Action]:
        done: list[Action] = []
        for worker in workers:
            self.beats[worker] = self.clock()
            done += self.do(self.pool.ready(worker, self.clock()))
        return done

    def exited(self, worker: int, how: str = "exited with code 0") -> list[Action]:
        self.beats.pop(worker, None)
        return self.do(self.pool.exited(worker, how, self.clock()))

    def boot_failed(self, worker: int, failure: BootFailure = BROKEN) -> list[Action]:
        self.do(self.pool.boot_failed(worker, failure))
        return self.exited(worker, "exited with code 3")

    def advance(self, seconds: float, alive: Iterable[int] | None = None) -> list[Action]:
        """Time passes; the workers in `alive` (None: all) show a sign of life."""
        now = self.clock.advance(seconds)
        for worker in self.beats if alive is None else alive:
            self.beats[worker] = now
        return self.do(self.pool.tick(now, self.beats))


def serving(size: int = 1, limits: Limits = LIMITS) -> Driver:
    driver = Driver(size, limits)
    driver.ready(*range(1, size + 1))
    return driver


def test_a_worker_that_its_owner_knows_to_be_stuck_is_ended() -> None:
    driver = serving()
    assert driver.do(driver.pool.abort(1, 7.0, driver.clock())) == [Abort(1, 7.0)]
    assert driver.do(driver.pool.abort(1, 8.0, driver.clock())) == []
    assert driver.advance(1.1) == [Kill(1)]
    assert driver.exited(1) == [Spawn(2, 0, 1)]


def test_start_spawns_one_worker_a_slot() -> None:
    driver = Driver(3)
    assert driver.log == [Spawn(1, 0, 1), Spawn(2, 1, 1), Spawn(3, 2, 1)]


def test_more_workers_than_cpus_boot_a_little_later() -> None:
    clock = FakeClock()
    pool = Pool(4, LIMITS, boots=2)
    assert pool.start(clock()) == [Resized(4, None), Spawn(1, 0, 1), Spawn(2, 1, 1)]
    assert pool.deadline() == clock() + 0.1
    assert pool.tick(clock.advance(0.11), {}) == [Spawn(3, 2, 1)]
    assert pool.tick(clock.advance(0.11), {}) == [Spawn(4, 3, 1)]


def test_complete_is_told_once_all_are_ready() -> None:
    driver = Driver(2)
    assert driver.ready(1) == []
    assert driver.ready(2) == [Complete(1, 2)]


def test_a_second_ready_means_nothing() -> None:
    driver = serving()
    assert driver.ready(1) == []


def test_a_worker_that_dies_after_a_long_life_is_replaced_at_once() -> None:
    driver = serving()
    driver.advance(100)
    assert driver.exited(1, "was sent SIGKILL") == [Spawn(2, 0, 1)]
    assert driver.ready(2) == [Complete(1, 1)]


def test_first_boot_failure_halts_with_its_exit_code_and_quits_the_others() -> None:
    driver = Driver(3)
    failure = BootFailure("no attribute", exit_code=ExitCode.NO_APPLICATION)
    assert driver.boot_failed(2, failure) == [Halt(failure), Quit(1), Quit(3)]
    assert driver.exited(1) == []
    assert driver.exited(3) == [Finished()]


def test_a_worker_that_ends_silently_before_it_is_ready_halts_the_start_too() -> None:
    driver = Driver()
    halt, finished = driver.exited(1, "exited with code 7")
    assert isinstance(halt, Halt)
    assert "exited with code 7" in halt.failure.message
    assert halt.failure.exit_code == ExitCode.NOT_BOOTED
    assert finished == Finished()


def test_a_boot_failure_after_some_worker_was_ready_is_retried_with_growing_waits() -> None:
    driver = serving(2)
    driver.advance(100)
    driver.exited(1)
    waits = []
    for worker in (3, 4, 5, 6):
        (backing_off,) = driver.boot_failed(worker)
        assert isinstance(backing_off, BackingOff)
        waits.append(backing_off.delay)
        assert driver.advance(backing_off.delay * 0.9) == []
        assert driver.advance(backing_off.delay * 0.2) == [Spawn(worker + 1, 0, 1)]
    assert waits == sorted(waits)
    assert waits[-1] == 8 * waits[0]
    assert not driver.all(Halt)


def test_waits_between_boots_are_bounded_and_forgotten_after_a_stable_worker() -> None:
    driver = serving(2)
    driver.advance(100)
    driver.exited(1)
    worker = 3
    for _ in range(20):
        (backing_off,) = driver.boot_failed(worker)
        assert isinstance(backing_off, BackingOff)
        assert backing_off.delay <= 30
        worker += 1
        assert driver.advance(backing_off.delay) == [Spawn(worker, 0, 1)]
    driver.ready(worker)
    driver.advance(5)
    assert driver.exited(worker) == [Spawn(worker + 1, 0, 1)]


def test_a_silent_worker_is_aborted_then_killed_then_replaced() -> None:
    driver = serving(2)
    assert driver.advance(29.9, alive=[2]) == []
    (abort,) = driver.advance(0.2, alive=[2])
    assert isinstance(abort, Abort)
    assert abort.worker == 1
    assert abort.silent_for == pytest.approx(30.1)
    assert driver.advance(0.9, alive=[2]) == []
    assert driver.advance(0.2, alive=[2]) == [Kill(1)]
    assert driver.advance(60, alive=[2]) == []
    assert driver.exited(1, "was sent SIGKILL") == [Spawn(3, 0, 1)]


def test_silence_is_counted_from_ready_not_from_spawn() -> None:
    driver = Driver()
    driver.advance(100)
    driver.ready(1)
    assert driver.advance(29, alive=[]) == []


def test_a_worker_that_is_dismissed_while_it_boots_is_not_silent() -> None:
    driver = Driver(1)
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.advance(LIMITS.graceful - 1) == []


def test_without_a_silence_limit_nobody_is_aborted() -> None:
    driver = serving(1, Limits(silence=0))
    assert driver.advance(1e6, alive=[]) == []


def test_a_worker_not_ready_in_time_is_aborted_and_halts_the_first_start() -> None:
    driver = Driver()
    assert driver.advance(119) == []
    (abort,) = driver.advance(2)
    assert isinstance(abort, Abort)
    halt, _ = driver.exited(1, "was sent SIGABRT")
    assert isinstance(halt, Halt)
    assert "worker_boot_timeout" in halt.failure.message


def test_ready_at_the_last_moment_counts() -> None:
    driver = Driver()
    driver.clock.advance(120)
    driver.ready(1)
    assert driver.advance(0) == []


def test_graceful_stop_drains_ready_and_booting_workers() -> None:
    driver = Driver(2)
    driver.ready(1)
    assert driver.do(driver.pool.stop(driver.clock(), graceful=True)) == [Drain(1), Drain(2)]
    assert driver.exited(2) == []
    assert driver.exited(1) == [Finished()]


def test_a_worker_that_drains_too_long_is_killed() -> None:
    driver = serving()
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.advance(19) == []
    assert driver.advance(1) == [Kill(1)]
    assert driver.exited(1) == [Finished()]


def test_without_a_graceful_limit_draining_takes_as_long_as_it_takes() -> None:
    driver = serving(1, Limits(silence=0, graceful=0))
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.advance(1e6) == []


def test_a_quick_stop_overtakes_a_graceful_one() -> None:
    driver = serving(2)
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.do(driver.pool.stop(driver.clock(), graceful=False)) == [Quit(1), Quit(2)]
    assert driver.advance(1.1) == [Kill(1), Kill(2)]


def test_a_graceful_stop_does_not_soften_a_quick_one() -> None:
    driver = serving()
    driver.do(driver.pool.stop(driver.clock(), graceful=False))
    assert driver.do(driver.pool.stop(driver.clock(), graceful=True)) == []


def test_no_worker_is_spawned_while_stopping() -> None:
    driver = serving(2)
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.exited(1, "was sent SIGKILL") == []
    assert driver.do(driver.pool.resize(5, driver.clock())) == []
    assert driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock())) == []
    assert driver.exited(2) == [Finished()]


def test_growing_spawns_and_shrinking_drains_the_highest_slot() -> None:
    driver = serving(2)
    assert driver.do(driver.pool.resize(3, driver.clock())) == [Spawn(3, 2, 1)]
    assert driver.ready(3) == [Complete(1, 3)]
    assert driver.do(driver.pool.resize(1, driver.clock())) == [Drain(2), Drain(3)]
    assert driver.exited(2) == []
    assert driver.exited(3) == []


def test_the_last_worker_cannot_be_taken_away() -> None:
    driver = serving()
    assert driver.do(driver.pool.resize(0, driver.clock())) == []
    assert driver.pool.size == 1


def test_a_draining_worker_of_a_removed_slot_is_still_killed_in_time() -> None:
    driver = serving(2)
    driver.do(driver.pool.resize(1, driver.clock()))
    assert driver.advance(20) == [Kill(2)]


def test_reload_keeps_the_old_workers_until_every_new_one_is_ready() -> None:
    driver = serving(2)
    assert driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock())) == [Spawn(3, 0, 2), Spawn(4, 1, 2)]
    assert driver.ready(4) == []
    assert driver.ready(3) == [Drain(1), Drain(2), Reloaded(2)]
    assert driver.pool.generation == 2
    assert driver.exited(1) == []
    assert driver.exited(2) == []


def test_a_reload_that_cannot_boot_is_withdrawn() -> None:
    driver = serving(2)
    driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock()))
    driver.ready(3)
    assert driver.boot_failed(4) == [Drain(3), RolledBack(2, BROKEN)]
    assert driver.exited(3) == []
    assert driver.pool.generation == 1
    assert driver.advance(60) == []


def test_a_new_worker_that_dies_after_ready_withdraws_the_reload_too() -> None:
    driver = serving(2)
    driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock()))
    driver.ready(3)
    quit_other, rolled_back = driver.exited(3, "was sent SIGSEGV")
    assert quit_other == Drain(4)
    assert isinstance(rolled_back, RolledBack)
    assert "SIGSEGV" in rolled_back.failure.message


def test_a_reload_not_ready_in_time_is_withdrawn() -> None:
    driver = serving()
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    (abort,) = driver.advance(121)
    assert isinstance(abort, Abort)
    (rolled_back,) = driver.exited(2, "was sent SIGABRT")
    assert isinstance(rolled_back, RolledBack)


def test_an_old_worker_that_dies_during_a_reload_is_replaced_by_its_own_generation() -> None:
    driver = serving(2)
    driver.advance(100)
    driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock()))
    assert driver.exited(1) == [Spawn(5, 0, 1)]
    assert driver.ready(3, 4) == [Drain(5), Drain(2), Reloaded(2)]


def test_a_second_reload_replaces_the_first() -> None:
    driver = serving()
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    assert driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock())) == [Drain(2), Spawn(3, 0, 3)]
    assert driver.exited(2) == []
    assert driver.ready(3) == [Drain(1), Reloaded(3)]


def test_a_generation_number_is_never_used_twice() -> None:
    driver = serving()
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    driver.boot_failed(2)
    assert driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock())) == [Spawn(3, 0, 3)]


def test_a_reload_may_change_the_size() -> None:
    driver = serving(2)
    assert driver.do(driver.pool.reload(Plan(3, LIMITS), driver.clock())) == [
        Spawn(3, 0, 2),
        Spawn(4, 1, 2),
        Spawn(5, 2, 2),
    ]
    driver.ready(3, 4)
    assert driver.ready(5) == [Drain(1), Drain(2), Reloaded(2)]
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    assert driver.ready(6) == [Drain(3), Drain(4), Drain(5), Reloaded(3)]


def test_a_failed_reload_that_wanted_more_workers_leaves_the_size_as_it_was() -> None:
    driver = serving(1)
    driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock()))
    assert driver.boot_failed(2) == [Drain(3), RolledBack(2, BROKEN)]
    driver.exited(3)
    assert driver.advance(60) == []
    assert list(driver.pool.slots) == [0]


def test_growing_during_a_reload_waits_for_the_new_slot_as_well() -> None:
    driver = serving(1)
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    assert driver.do(driver.pool.resize(2, driver.clock())) == [Spawn(3, 1, 2)]
    assert driver.ready(2) == []
    assert driver.ready(3) == [Drain(1), Reloaded(2)]


def test_shrinking_during_a_reload_can_complete_it() -> None:
    driver = serving(2)
    driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock()))
    driver.ready(3)
    assert driver.do(driver.pool.resize(1, driver.clock())) == [Drain(2), Drain(4), Drain(1), Reloaded(2)]


def test_stop_during_a_reload_ends_both_generations() -> None:
    driver = serving(1)
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    assert driver.do(driver.pool.stop(driver.clock(), graceful=True)) == [Drain(1), Drain(2)]


def test_a_recycled_worker_serves_until_its_successor_is_ready() -> None:
    driver = serving()
    assert driver.do(driver.pool.recycle(1, "old", driver.clock())) == [Spawn(2, 0, 1)]
    assert driver.do(driver.pool.recycle(1, "old", driver.clock())) == []
    assert driver.ready(2) == [Drain(1)]
    assert driver.exited(1) == []


def test_a_recycled_worker_that_dies_first_leaves_its_place_to_the_successor() -> None:
    driver = serving()
    driver.advance(100)
    driver.do(driver.pool.recycle(1, "old", driver.clock()))
    assert driver.exited(1) == []
    assert driver.ready(2) == [Complete(1, 1)]


def test_a_successor_that_cannot_boot_is_tried_again() -> None:
    driver = serving()
    driver.do(driver.pool.recycle(1, "old", driver.clock()))
    (backing_off,) = driver.boot_failed(2)
    assert isinstance(backing_off, BackingOff)
    assert driver.advance(backing_off.delay) == [Spawn(3, 0, 1)]
    assert driver.ready(3) == [Drain(1)]


def test_what_asks_for_recycling_during_a_reload_gets_it_after_a_roll_back() -> None:
    driver = serving()
    driver.do(driver.pool.reload(Plan(1, LIMITS), driver.clock()))
    assert driver.do(driver.pool.recycle(1, "old", driver.clock())) == []
    assert driver.boot_failed(2)[-1] == Spawn(3, 0, 1)


def test_deadline_is_the_next_time_at_which_something_is_due() -> None:
    driver = Driver()
    assert driver.pool.deadline() == driver.clock() + 120
    driver.ready(1)
    assert driver.pool.deadline() is None
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.pool.deadline() == driver.clock() + 20


def test_an_unknown_worker_is_ignored() -> None:
    driver = serving()
    assert driver.ready(99) == []
    assert driver.exited(99) == []
    assert driver.do(driver.pool.recycle(99, "old", driver.clock())) == []


# Reloads one by one


def rolling(size: int = 2, canary: bool = False) -> tuple[Driver, list[Action]]:
    driver = serving(size)
    plan = Plan(size, LIMITS, Strategy.ROLLING, canary)
    return driver, driver.do(driver.pool.reload(plan, driver.clock()))


def test_a_rolling_reload_has_one_process_more_at_most() -> None:
    driver, first = rolling(2)
    assert first == [Spawn(3, 0, 2)]
    assert driver.ready(3) == [Drain(1)]
    assert driver.advance(5) == []  # worker 1 is still finishing
    assert driver.exited(1) == [Spawn(4, 1, 2)]
    assert driver.ready(4) == [Drain(2), Reloaded(2)]
    assert driver.exited(2) == []


def test_a_rolling_reload_that_fails_at_once_leaves_everything_as_it_was() -> None:
    driver, _ = rolling(2)
    assert driver.boot_failed(3) == [RolledBack(2, BROKEN)]
    assert [slot.current.worker for slot in driver.pool.slots.values() if slot.current] == [1, 2]


def test_a_rolling_reload_that_fails_half_way_goes_back_to_the_old_generation() -> None:
    driver, _ = rolling(3)
    driver.ready(4)
    driver.exited(1)
    assert driver.boot_failed(5) == [RolledBack(2, BROKEN), Spawn(6, 0, 1)]
    assert driver.ready(6) == [Drain(4), Complete(1, 3)]
    assert driver.exited(4) == []
    assert driver.pool.generation == 1


def test_the_way_back_is_tried_again_with_growing_waits() -> None:
    driver, _ = rolling(2)
    driver.ready(3)
    driver.exited(1)
    driver.boot_failed(4)
    assert driver.boot_failed(5) == [BackingOff(0, 0.5, 1, BROKEN)]
    assert driver.advance(0.6) == [Spawn(6, 0, 1)]
    assert driver.ready(6) == [Drain(3), Complete(1, 2)]


def test_a_promoted_worker_that_dies_during_a_rolling_reload_rolls_it_back() -> None:
    driver, _ = rolling(2)
    driver.ready(3)
    driver.advance(0.1)
    back = driver.exited(3, "was sent SIGSEGV")
    assert isinstance(back[0], RolledBack)
    assert back[1:] == [Spawn(4, 0, 1)]


def test_a_rolling_reload_waits_for_an_old_worker_no_longer_than_graceful_timeout() -> None:
    driver, _ = rolling(2)
    driver.ready(3)
    assert driver.advance(LIMITS.graceful + 0.1) == [Kill(1)]
    assert driver.exited(1, "was sent SIGKILL") == [Spawn(4, 1, 2)]


def test_a_reload_during_a_rolling_reload_starts_anew_with_the_first_slot() -> None:
    driver, _ = rolling(2)
    driver.ready(3)
    driver.exited(1)
    assert driver.do(driver.pool.reload(Plan(2, LIMITS, Strategy.ROLLING), driver.clock())) == [Drain(4)]
    assert driver.exited(4) == [Spawn(5, 0, 3)]
    assert driver.ready(5) == [Drain(3)]


def test_a_canary_must_be_ready_before_the_others_boot() -> None:
    driver = serving(3)
    plan = Plan(3, LIMITS, canary=True)
    assert driver.do(driver.pool.reload(plan, driver.clock())) == [Spawn(4, 0, 2, canary=True)]
    assert driver.advance(1) == []
    assert driver.ready(4) == [Spawn(5, 1, 2), Spawn(6, 2, 2)]
    assert driver.ready(5, 6) == [Drain(1), Drain(2), Drain(3), Reloaded(2)]


def test_a_canary_that_fails_withdraws_the_reload() -> None:
    driver = serving(3)
    driver.do(driver.pool.reload(Plan(3, LIMITS, canary=True), driver.clock()))
    assert driver.boot_failed(4) == [RolledBack(2, BROKEN)]


def test_a_rolling_reload_probes_only_its_first_worker() -> None:
    driver, first = rolling(2, canary=True)
    assert first == [Spawn(3, 0, 2, canary=True)]
    driver.ready(3)
    assert driver.exited(1) == [Spawn(4, 1, 2)]


def test_an_old_worker_that_dies_while_the_canary_boots_is_replaced() -> None:
    driver = serving(2)
    driver.advance(5)
    driver.do(driver.pool.reload(Plan(2, LIMITS, canary=True), driver.clock()))
    assert driver.exited(2, "was sent SIGKILL") == [Spawn(4, 1, 1)]


# Pausing


def test_a_paused_pool_drains_all_and_spawns_none() -> None:
    driver = serving(2)
    assert driver.do(driver.pool.pause(driver.clock())) == [Drain(1), Drain(2)]
    assert driver.exited(1) == driver.exited(2) == []
    assert driver.advance(60) == []


def test_a_paused_pool_comes_back_by_a_reload() -> None:
    driver = serving(1)
    driver.do(driver.pool.pause(driver.clock()))
    driver.exited(1)
    assert driver.do(driver.pool.reload(Plan(2, LIMITS), driver.clock())) == [Spawn(2, 0, 2), Spawn(3, 1, 2)]
    assert driver.ready(2, 3) == [Reloaded(2)]


def test_a_paused_pool_comes_back_by_growing_but_not_by_shrinking() -> None:
    driver = serving(1)
    driver.do(driver.pool.pause(driver.clock()))
    driver.exited(1)
    assert driver.do(driver.pool.resize(-1, driver.clock())) == []
    assert driver.do(driver.pool.resize(1, driver.clock())) == [Spawn(2, 0, 1)]


# Lame ducks


def test_before_a_graceful_stop_the_workers_are_lame_ducks_for_a_while() -> None:
    driver = serving(2, Limits(lame=5, graceful=20))
    assert driver.do(driver.pool.stop(driver.clock(), graceful=True)) == [LameDuck(1), LameDuck(2)]
    assert driver.advance(4.9) == []
    assert driver.pool.deadline() == pytest.approx(driver.clock() + 0.1)
    assert driver.advance(0.2) == [Drain(1), Drain(2)]


def test_a_worker_that_is_ready_only_now_is_a_lame_duck_too() -> None:
    driver = Driver(2, Limits(lame=5))
    driver.ready(1)
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.ready(2) == [LameDuck(2)]


def test_a_lame_duck_that_dies_is_not_replaced() -> None:
    driver = serving(2, Limits(lame=5))
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.exited(1) == []
    assert driver.exited(2) == [Finished()]


def test_a_quick_stop_does_not_wait_for_lame_ducks() -> None:
    driver = serving(1, Limits(lame=5))
    driver.do(driver.pool.stop(driver.clock(), graceful=True))
    assert driver.do(driver.pool.stop(driver.clock(), graceful=False)) == [Quit(1)]
    assert driver.advance(6) == [Kill(1)]


# Recycling


def test_a_worker_is_replaced_at_the_end_of_its_lifetime() -> None:
    driver = serving(1, Limits(lifetime=100, silence=0))
    assert driver.advance(99.9) == []
    assert driver.advance(0.2) == [Spawn(2, 0, 1)]
    assert driver.ready(2) == [Drain(1)]
    assert driver.told[-1] == Recycling(1, "it has lived long enough (worker_max_lifetime)")


def test_lifetimes_are_spread_evenly() -> None:
    driver = serving(5, Limits(lifetime=100, lifetime_jitter=50, silence=0))
    ends: list[float] = []
    for _ in range(60):
        ends += [driver.clock() for action in driver.advance(1) if isinstance(action, Spawn)]
    for _ in range(100):
        ends += [driver.clock() for action in driver.advance(1) if isinstance(action, Spawn)]
    assert len(ends) == 5
    gaps = [after - before for before, after in pairwise(ends)]
    assert min(gaps) >= 50 / 5 / 2


def test_a_worker_beyond_its_memory_is_replaced_once_it_is_warm() -> None:
    driver = serving(1, Limits(memory=100 << 20))
    driver.advance(9)
    assert driver.do(driver.pool.measured(1, 200 << 20, driver.clock())) == []
    driver.advance(2)
    assert driver.do(driver.pool.measured(1, 100 << 20, driver.clock())) == []
    assert driver.do(driver.pool.measured(1, 101 << 20, driver.clock())) == [Spawn(2, 0, 1)]
    assert driver.do(driver.pool.measured(1, 300 << 20, driver.clock())) == []
    assert driver.ready(2) == [Drain(1)]


def test_a_crash_loop_of_all_slots_is_told_once_a_burst() -> None:
    driver = serving(8)
    for worker in range(1, 9):
        driver.exited(worker)
    for worker in range(9, 17):
        driver.boot_failed(worker)
    assert driver.all(BackingOff) == [BackingOff(0, 1.0, 2, BROKEN)]


def test_changes_of_the_size_are_told() -> None:
    driver = serving(2)
    driver.do(driver.pool.resize(3, driver.clock()))
    driver.do(driver.pool.resize(1, driver.clock()))
    assert driver.told == [Resized(2, None), Resized(3, 2), Resized(1, 3)]
