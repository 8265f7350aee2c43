"""In a turn whose requests may wait, what counts is how long each kept the others from running."""

import pytest

from unicorn_http.serving.outbox import PENALTY_SECONDS, SLOW_CALL
from unicorn_workers_gevent.outbox import GreenOutbox

NOW = 1000.0
QUICK = SLOW_CALL / 10
LONG = SLOW_CALL * 20


class Held:
    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def outbox():
    outbox = GreenOutbox()
    outbox._waits = None  # every long call is a slow one
    outbox.begin_turn(3, NOW)
    return outbox


def test_a_call_that_soon_begins_to_wait_leaves_the_others_held(outbox):
    held = Held()
    outbox.held.append(held)
    outbox.left(NOW, NOW + QUICK)
    assert outbox.open
    assert not held.released
    outbox.end_turn()
    assert held.released == 1


def test_a_call_that_takes_long_to_begin_waiting_is_a_slow_one(outbox):
    outbox.left(NOW, NOW + LONG)
    assert not outbox.open
    outbox.end_turn()
    outbox.begin_turn(3, NOW + LONG + PENALTY_SECONDS / 2)
    assert not outbox.open


@pytest.mark.parametrize("next_turn", [None, NOW + 1])
def test_a_call_that_has_waited_is_counted_when_it_ends_and_was_not_slow(outbox, next_turn):
    outbox.left(NOW, NOW + QUICK)
    assert (outbox.calls, outbox.waiting) == (0, 1)
    outbox.end_turn()
    if next_turn:
        outbox.begin_turn(3, next_turn)
    outbox.called(NOW, NOW + 2)
    assert (outbox.calls, outbox.waiting) == (1, 1)
    outbox.begin_turn(3, NOW + 3)
    assert outbox.open


def test_a_call_that_does_not_wait_counts_as_ever(outbox):
    outbox.called(NOW, NOW + QUICK)
    assert outbox.calls == 1
    outbox.called(NOW + QUICK, NOW + LONG)
    assert not outbox.open
