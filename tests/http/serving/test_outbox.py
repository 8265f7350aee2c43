"""Answers are held for the end of the turn only where that delays nobody noticeably."""

import threading

import pytest

from unicorn_http.serving.outbox import CHANCES, LONGEST_HOLD, PENALTY_CALLS, PENALTY_SECONDS, RARE, SLOW_CALL, Outbox

FAST = 0.0001


class Holder:
    def __init__(self):
        self.released = 0

    def release(self):
        self.released += 1


@pytest.fixture
def outbox():
    return Outbox()


def hold(outbox):
    assert outbox.open
    holder = Holder()
    outbox.held.append(holder)
    return holder


def test_nothing_is_held_outside_of_a_turn(outbox):
    assert not outbox.open
    outbox.begin_turn(2, 10.0)
    outbox.end_turn()
    assert not outbox.open


def test_nothing_is_held_in_a_turn_of_one_request(outbox):
    outbox.begin_turn(1, 10.0)
    assert not outbox.open
    outbox.begin_turn(0, 10.0)
    assert not outbox.open


def test_answers_of_a_turn_leave_together_at_its_end(outbox):
    outbox.begin_turn(3, 10.0)
    holders = []
    for number in range(3):
        holders.append(hold(outbox))
        outbox.called(10.0 + number * FAST, 10.0 + (number + 1) * FAST)
    assert [holder.released for holder in holders] == [0, 0, 0]
    outbox.end_turn()
    assert [holder.released for holder in holders] == [1, 1, 1]
    outbox.begin_turn(3, 10.1)
    outbox.end_turn()
    assert [holder.released for holder in holders] == [1, 1, 1]


def test_they_leave_in_the_order_in_which_they_were_made(outbox):
    order = []

    class Named(Holder):
        def __init__(self, name):
            self.release = lambda: order.append(name)

    outbox.begin_turn(5, 10.0)
    for name in "abcde":
        outbox.held.append(Named(name))
    outbox.end_turn()
    assert order == list("abcde")


def test_no_answer_is_held_longer_than_half_a_millisecond_of_fast_calls(outbox):
    outbox.begin_turn(100, 10.0)
    first = hold(outbox)
    now = 10.0
    while not first.released:
        outbox.called(now, now + FAST)
        now += FAST
        assert now < 10.1
    assert now - 10.0 <= LONGEST_HOLD + 3 * FAST
    assert LONGEST_HOLD == 0.0005
    assert outbox.open  # and the next ones are held again
    second = hold(outbox)
    outbox.called(now, now + FAST)
    assert second.released == 0


def test_a_slow_call_lets_out_what_was_held_before_it(outbox):
    outbox.begin_turn(3, 10.0)
    holder = hold(outbox)
    outbox.called(10.0, 10.0 + SLOW_CALL * 1.1)
    assert holder.released == 1
    assert not outbox.open


def test_a_call_of_a_millisecond_is_not_slow(outbox):
    outbox.begin_turn(3, 16.0)
    outbox.called(16.0, 16.0 + SLOW_CALL * 0.99)
    assert outbox.open


def test_after_a_slow_call_nothing_is_held_for_a_second_and_a_thousand_calls(outbox):
    assert (PENALTY_SECONDS, PENALTY_CALLS) == (1.0, 1000)
    outbox.begin_turn(3, 10.0)
    outbox.called(10.0, 10.5)
    outbox.end_turn()

    # The second is over, the calls are not.
    for number in range(999):
        outbox.begin_turn(2, 20.0)
        assert not outbox.open, number
        outbox.called(20.0, 20.0 + FAST)
    outbox.begin_turn(2, 20.0)
    assert not outbox.open
    outbox.called(20.0, 20.0 + FAST)
    outbox.begin_turn(2, 20.0)
    assert outbox.open


def test_a_thousand_calls_within_the_second_are_not_enough(outbox):
    outbox.begin_turn(3, 10.0)
    outbox.called(10.0, 10.5)
    for _ in range(2000):
        outbox.called(10.6, 10.6 + FAST)
    outbox.begin_turn(2, 11.49)
    assert not outbox.open
    outbox.begin_turn(2, 11.51)
    assert outbox.open


def test_a_further_slow_call_begins_the_time_anew(outbox):
    outbox.begin_turn(3, 10.0)
    outbox.called(10.0, 10.5)
    for _ in range(999):
        outbox.called(11.0, 11.0 + FAST)
    outbox.called(11.0, 11.2)
    for _ in range(999):
        outbox.called(11.3, 11.3 + FAST)
    outbox.begin_turn(2, 20.0)
    assert not outbox.open
    outbox.called(20.0, 20.0 + FAST)
    outbox.begin_turn(2, 20.0)
    assert outbox.open


def test_the_rest_of_the_turn_after_a_slow_call_is_not_held(outbox):
    outbox.begin_turn(10, 10.0)
    outbox.called(10.0, 10.0 + 2 * SLOW_CALL)
    assert not outbox.open
    outbox.called(10.0, 10.0 + FAST)
    assert not outbox.open


def test_a_write_that_waits_lets_out_what_is_held(outbox):
    outbox.begin_turn(3, 10.0)
    holder = hold(outbox)
    outbox.release()
    assert holder.released == 1
    outbox.end_turn()
    assert holder.released == 1


# Telling a slow call from a busy machine


class Waits:
    """How often the thread has waited, as the test says."""

    def __init__(self):
        self.count = 5

    def __call__(self):
        return self.count


def test_a_long_call_that_waited_is_slow():
    waits = Waits()
    outbox = Outbox(waits)
    outbox.begin_turn(3, 10.0)
    holder = hold(outbox)
    waits.count += 1
    outbox.called(10.0, 10.1)
    assert not outbox.open
    assert holder.released == 1


def test_waiting_before_the_turn_does_not_count():
    waits = Waits()
    outbox = Outbox(waits)
    waits.count += 1
    outbox.begin_turn(3, 10.0)
    outbox.called(10.0, 10.1)
    assert outbox.open


def test_a_rare_long_call_that_did_not_wait_is_put_down_to_chance():
    outbox = Outbox(Waits())
    for _ in range(5):
        outbox.begin_turn(3, 10.0)
        outbox.called(10.0, 10.1)
        assert outbox.open
        for _ in range(RARE):
            outbox.called(10.1, 10.1 + FAST)


def test_long_calls_that_follow_each_other_are_slow():
    outbox = Outbox(Waits())
    outbox.begin_turn(3, 10.0)
    for _ in range(CHANCES):
        outbox.called(10.0, 10.1)
        assert outbox.open
        for _ in range(RARE - 2):
            outbox.called(10.1, 10.1 + FAST)
    outbox.called(10.1, 10.2)
    assert not outbox.open


def test_an_answer_is_not_held_through_a_long_call_that_is_put_down_to_chance():
    outbox = Outbox(Waits())
    outbox.begin_turn(3, 10.0)
    holder = hold(outbox)
    outbox.called(10.0, 10.0 + FAST)
    outbox.called(10.0 + FAST, 10.1)
    assert holder.released == 1


def test_a_release_is_over_when_it_returns_also_if_another_thread_was_at_it(outbox):
    """Whoever leads next may serve those connections again, and its answers must come behind the held ones."""
    entered, go, order = threading.Event(), threading.Event(), []

    class Slow(Holder):
        def release(self):
            entered.set()
            go.wait(10)
            order.append("held answer")

    outbox.held.append(Slow())
    first = threading.Thread(target=outbox.release)
    first.start()
    assert entered.wait(10)

    def release_and_go_on():
        outbox.release()
        order.append("next answer")

    second = threading.Thread(target=release_and_go_on)
    second.start()
    second.join(0.1)
    go.set()
    for thread in (first, second):
        thread.join(10)
    assert order == ["held answer", "next answer"]
