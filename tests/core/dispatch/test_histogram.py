"""Histograms count in fixed intervals, add up exactly, and lose nothing when a worker goes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch.rules.histogram import BOUNDS, Histogram, Timings

DURATIONS = st.lists(st.floats(0, 2000), max_size=60)


def of(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    return histogram


def test_the_bounds_grow_from_a_tenth_of_a_millisecond_to_minutes() -> None:
    assert BOUNDS[:4] == (0.0001, 0.0002, 0.0005, 0.001)
    assert BOUNDS[-1] == 500
    assert [*BOUNDS] == sorted(BOUNDS)


def test_a_bound_belongs_to_its_interval() -> None:
    below = dict(of([0.001, 0.0011, 1e6]).cumulative())
    assert below[0.0005] == 0
    assert below[0.001] == 1
    assert below[0.002] == 2
    assert below[500.0] == 2
    assert below[math.inf] == 3


def test_an_empty_one_has_no_quantiles() -> None:
    assert Histogram().quantile(0.5) == 0
    assert Histogram().count == 0


@settings(deadline=None)
@given(DURATIONS.filter(bool), st.floats(0.01, 1))
def test_a_quantile_is_as_exact_as_the_intervals(durations: list[float], share: float) -> None:
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    lower = max((bound for bound in BOUNDS if bound < exact), default=0.0)
    upper = min((bound for bound in BOUNDS if bound >= exact), default=max(durations))
    assert lower <= of(durations).quantile(share) <= upper


@settings(deadline=None)
@given(DURATIONS, DURATIONS)
def test_merged_is_the_same_as_counted_by_one(some: list[float], others: list[float]) -> None:
    merged = of(some)
    merged.merge(of(others))
    together = of([*some, *others])
    assert merged.counts == together.counts
    assert merged.longest == together.longest
    assert merged.total == pytest.approx(together.total)
    assert merged.count == len(some) + len(others)


def test_times_stand_by_app_and_by_worker() -> None:
    timings = Timings()
    timings.record("a", 1, 0.1, 1.0)
    timings.record("a", 2, 0.2, 2.0)
    timings.record("b", 2, 0.3, 3.0)
    assert timings.by_app()["a"].run.total == 3.0
    assert timings.by_app()["b"].wait.total == 0.3
    assert timings.by_worker()[2]["a"].run.count == 1
    assert set(timings.by_worker()) == {1, 2}


def test_what_a_gone_worker_has_counted_stays_with_its_apps() -> None:
    timings = Timings()
    for worker in range(100):
        timings.record("a", worker, 0.1, 1.0)
        timings.forget(worker)
    assert timings.by_worker() == {}
    assert timings.by_app()["a"].run.count == 100
    timings.record("a", 100, 0.1, 1.0)
    assert timings.by_app()["a"].run.count == 101
    assert timings.by_app()["a"].run.count == 101, "looking must not change anything"
