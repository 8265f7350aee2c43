"""Whether an application is fast or slow is judged by a moving average, with hysteresis."""

import pytest

from unicorn_http.serving.pace import FAST, LONGEST, SLOW, Pace


def many(pace: Pace, seconds: float, calls: int = 500) -> None:
    for _ in range(calls):
        pace.called(1, seconds)


def test_an_unknown_application_is_neither_fast_nor_slow():
    pace = Pace()
    assert (pace.fast, pace.slow) == (False, False)


@pytest.mark.parametrize(
    ("seconds", "fast", "slow"),
    [(0.00001, True, False), (FAST * 0.9, True, False), (FAST * 1.5, False, False), (SLOW * 1.1, False, True)],
)
def test_it_is_known_after_a_while(seconds, fast, slow):
    pace = Pace()
    many(pace, seconds)
    assert (pace.fast, pace.slow) == (fast, slow)


def test_a_change_of_the_judgement_is_told_once():
    pace = Pace()
    told = [pace.called(1, 0.0001) for _ in range(500)]
    assert told.count(True) == 1
    told = [pace.called(1, 0.2) for _ in range(500)]
    assert told.count(True) <= 2
    assert pace.slow


def test_between_the_thresholds_the_judgement_stands():
    pace = Pace()
    many(pace, FAST * 0.5)
    many(pace, FAST * 1.5)
    assert pace.fast
    many(pace, FAST * 3)
    assert not pace.fast
    many(pace, FAST * 1.5)
    assert not pace.fast
    many(pace, SLOW * 2)
    many(pace, SLOW * 0.7)
    assert pace.slow
    many(pace, SLOW * 0.3)
    assert not pace.slow


@pytest.mark.parametrize("before", [0, 500])
def test_a_single_long_call_makes_no_application_slow(before):
    pace = Pace()
    many(pace, 0.00005, before)
    pace.called(1, 30.0)
    assert not pace.slow


def test_a_few_long_calls_do():
    pace = Pace()
    many(pace, 0.00005)
    for _ in range(3):
        pace.called(1, LONGEST * 2)
    assert pace.slow


def test_a_turn_of_many_calls_counts_as_many():
    pace = Pace()
    assert pace.called(64, 64 * 0.0001)
    assert pace.fast
    assert pace.called(64, 64 * 0.02)
    assert pace.slow
    assert not pace.called(0, 0.0)
