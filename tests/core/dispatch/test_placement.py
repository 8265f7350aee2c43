"""Requests spread as the routing promises, idle workers help out, and nobody is sent ahead behind a long run."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.rules.order import Order
from unicorn_core.dispatch.rules.placement import (
    ACTIONS,
    PLACEMENTS,
    LeastLoaded,
    Pace,
    Placement,
    RoundRobin,
    Routing,
)


class Request:
    def __init__(self, app: str = "app", arrived: float = 0.0) -> None:
        self.app = app
        self.arrived = arrived
        self.priority = 0


class Worker:
    """One that runs a request at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiting: Order[Request] = Order()
        self.running = 0

    @property
    def load(self) -> int:
        return len(self.waiting) + self.running

    def take(self, request: Request) -> None:
        if self.running:
            self.waiting.put(request)
        else:
            self.running = 1

    def __repr__(self) -> str:
        return f"worker {self.number}"


def placed(kind: type[Placement[Worker]], *apps: str) -> tuple[Placement[Worker], list[Worker]]:
    """Workers that hold the apps named by the letters of each argument."""
    placement = kind()
    workers = [Worker(number) for number in range(len(apps))]
    for worker, held in zip(workers, apps, strict=True):
        placement.add(worker, held)
    return placement, workers


def chosen(placement: Placement[Worker], app: str, count: int) -> list[int]:
    found = []
    for _ in range(count):
        worker = placement.choose(app)
        assert worker is not None
        found.append(worker.number)
    return found


BOTH = pytest.mark.parametrize("kind", PLACEMENTS.values())


@BOTH
def test_only_holders_of_the_app_are_chosen(kind: type[Placement[Worker]]) -> None:
    placement, workers = placed(kind, "ab", "b", "c")
    assert set(chosen(placement, "b", 8)) == {0, 1}
    assert set(chosen(placement, "c", 8)) == {2}
    assert placement.choose("d") is None
    assert [*placement.holders("b")] == workers[:2]
    assert [*placement.holders("d")] == []


@BOTH
def test_calls_that_find_all_idle_spread_evenly(kind: type[Placement[Worker]]) -> None:
    placement, _ = placed(kind, *"aaaa")
    assert chosen(placement, "a", 8) == [0, 1, 2, 3, 0, 1, 2, 3]


@BOTH
def test_one_that_left_is_chosen_no_more(kind: type[Placement[Worker]]) -> None:
    placement, workers = placed(kind, *"aaa")
    chosen(placement, "a", 2)
    placement.remove(workers[0])
    placement.remove(workers[0])
    assert chosen(placement, "a", 3) == [2, 1, 2]
    placement.remove(workers[2])
    placement.remove(workers[1])
    assert placement.choose("a") is None


@BOTH
@settings(deadline=None)
@given(data=st.data())
def test_whoever_comes_and_goes_a_holder_is_chosen(kind: type[Placement[Worker]], data: st.DataObject) -> None:
    placement = kind()
    held: dict[Worker, str] = {}
    for number in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(["add", "remove", "choose"])):
            case "add":
                held[worker := Worker(number)] = apps = data.draw(st.sampled_from(["a", "b", "ab"]))
                placement.add(worker, apps)
            case "remove" if held:
                worker = data.draw(st.sampled_from([*held]))
                placement.remove(worker)
                del held[worker]
            case _:
                app = data.draw(st.sampled_from("ab"))
                found = placement.choose(app)
                assert app in held[found] if found else all(app not in apps for apps in held.values())
                if found:
                    found.take(Request(app))


@settings(deadline=None)
@given(st.integers(1, 7), st.lists(st.sampled_from("ab"), max_size=100), st.data())
def test_strict_round_robin_is_exact_whatever_the_load(count: int, calls: list[str], data: st.DataObject) -> None:
    placement, workers = placed(RoundRobin, *["ab"] * count)
    got = {app: Counter({worker.number: 0 for worker in workers}) for app in "ab"}
    for app in calls:
        worker = placement.choose(app)
        assert worker is not None
        got[app][worker.number] += 1
        worker.running = data.draw(st.integers(0, 5))
        assert max(got[app].values()) - min(got[app].values()) <= 1


def test_the_least_loaded_one_is_chosen() -> None:
    placement, workers = placed(LeastLoaded, *"aaa")
    workers[0].running, workers[1].running, workers[2].running = 2, 1, 3
    assert chosen(placement, "a", 2) == [1, 1]
    workers[1].running = 2
    assert chosen(placement, "a", 4) == [0, 1, 0, 1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(0, 20))
def test_nobody_with_less_to_do_is_passed_over(loads: list[int], calls: int) -> None:
    placement, workers = placed(LeastLoaded, *"a" * len(loads))
    for worker, load in zip(workers, loads, strict=True):
        worker.running = load
    for _ in range(calls):
        least = min(worker.load for worker in workers)
        worker = placement.choose("a")
        assert worker is not None
        assert worker.load == least
        worker.running += 1


def test_no_instant_call_waits_behind_a_long_one_while_a_worker_is_free() -> None:
    placement, workers = placed(LeastLoaded, *"aaaa")
    workers[2].take(Request("a"))
    for _ in range(50):
        worker = placement.choose("a")
        assert worker is not None
        assert not worker.load


def test_an_idle_worker_takes_the_oldest_from_the_fullest_queue() -> None:
    placement, (idle, short, long) = placed(LeastLoaded, *"aaa")
    for arrived in (1, 2):
        short.take(Request("a", arrived))
    for arrived in (3, 5, 4):
        long.take(Request("a", arrived))
    found = placement.takeover(idle)
    assert found is not None
    assert found[0] is long
    assert found[1].arrived == 4
    assert len(long.waiting) == 2, "it is only named"


def test_an_idle_worker_takes_only_what_it_can_run() -> None:
    placement, (idle, fuller, other) = placed(LeastLoaded, "a", "ab", "ac")
    for app in "abbbb":
        fuller.take(Request(app))
    for app in "aca":
        other.take(Request(app))
    found = placement.takeover(idle)
    assert found is not None
    assert (found[0], found[1].app) == (other, "a")
    other.waiting.drain()
    assert placement.takeover(idle) is None


def test_nothing_is_taken_from_one_that_is_about_to_run_it() -> None:
    placement, (idle, other) = placed(LeastLoaded, *"aa")
    other.waiting.put(Request("a"))
    assert placement.takeover(idle) is None


def test_one_that_left_gets_nothing_and_nothing_is_taken_from_it() -> None:
    placement, (idle, other) = placed(LeastLoaded, *"aa")
    for _ in range(3):
        other.take(Request("a"))
    placement.remove(other)
    assert placement.takeover(idle) is None
    placement.remove(idle)
    placement.add(other, "a")
    assert placement.takeover(idle) is None


def test_under_strict_round_robin_nothing_is_taken_over() -> None:
    placement, (idle, other) = placed(RoundRobin, *"aa")
    for _ in range(5):
        other.take(Request("a"))
    assert placement.takeover(idle) is None


def test_the_routings_are_those_of_the_setting() -> None:
    assert {*map(str, PLACEMENTS)} == {"least_loaded", "round_robin"}
    assert PLACEMENTS[Routing("least_loaded")] is LeastLoaded


def test_an_action_that_nobody_knows_is_not_sent_ahead() -> None:
    assert not Pace().quick("a")


def test_a_quick_action_is_sent_ahead() -> None:
    pace = Pace()
    pace.record("a", 0.001)
    assert pace.quick("a")
    assert not pace.quick("b")


def test_one_slow_run_ends_that_until_it_has_faded() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.record("a", 0.001)
    pace.record("a", 2.0)
    runs = 0
    while not pace.quick("a"):
        pace.record("a", 0.001)
        runs += 1
    assert 10 < runs < 100


def test_the_pace_of_no_more_than_so_many_actions_is_kept() -> None:
    pace = Pace()
    for action in range(ACTIONS + 10):
        pace.record(action, 0.001)
    assert not pace.quick(9)
    assert pace.quick(10)
    assert pace.quick(ACTIONS + 9)
