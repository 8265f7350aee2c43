"""One thread leads at a time; a stuck leader is replaced, one that comes back in time is not."""

import threading
import time

import pytest

from unicorn_core.testing.server import wait_until
from unicorn_http.workers.crew import PATIENCE, Crew


def follower(
    crew: Crew, led: list[tuple[str, bool]], name: str, done: threading.Event | None = None
) -> threading.Thread:
    """A thread that follows, notes that it leads, waits for `done`, and hands on."""

    def live() -> None:
        led.append((name, crew.follow() is not None))
        if done:
            done.wait(10)
        crew.hand_on()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    return thread


def test_leadership_passes_on_when_it_is_handed_on() -> None:
    crew, led = Crew(), []
    assert crew.follow() is None
    threads = [follower(crew, led, name) for name in "ab"]
    assert led == []
    crew.hand_on()
    for thread in threads:
        thread.join(10)
    assert sorted(led) == [("a", False), ("b", False)]


def test_a_leader_that_comes_back_in_time_still_leads() -> None:
    crew = Crew()
    crew.follow()
    for _ in range(1000):
        token = (time.monotonic(), 1)
        crew.lay_down(token)
        crew.take_up(token)


def test_a_stuck_leader_is_replaced_and_finds_out() -> None:
    crew, led, done = Crew(), [], threading.Event()
    crew.follow()
    thread = follower(crew, led, "deputy", done)
    token = (time.monotonic(), 1)
    crew.lay_down(token)
    wait_until(lambda: led == [("deputy", True)], what="the deputy's leading")
    with pytest.raises(ValueError, match="not in deque"):
        crew.take_up(token)
    done.set()
    thread.join(10)
    assert crew.follow() is None


def test_who_replaces_a_leader_learns_what_that_one_does() -> None:
    crew, learnt = Crew(), []
    crew.follow()
    thread = threading.Thread(target=lambda: learnt.append(crew.follow()), daemon=True)
    thread.start()
    token = (time.monotonic(), "what it does")
    crew.lay_down(token)
    thread.join(10)
    assert learnt == [token]


def test_a_leader_that_was_replaced_does_not_take_its_successors_right() -> None:
    crew, led, laid, over = Crew(), [], threading.Event(), threading.Event()
    crew.follow()

    def succeed() -> None:
        led.append(crew.follow() == mine)
        its = (time.monotonic() + 100, 2)
        crew.lay_down(its)
        laid.set()
        over.wait(10)
        crew.take_up(its)
        led.append(True)
        crew.hand_on()

    thread = threading.Thread(target=succeed, daemon=True)
    mine = (time.monotonic(), 1)
    thread.start()
    crew.lay_down(mine)
    assert laid.wait(10)
    with pytest.raises(ValueError, match="not in deque"):
        crew.take_up(mine)
    over.set()
    thread.join(10)
    assert led == [True, True]
    assert crew.follow() is None


def test_a_leader_that_polls_is_not_replaced() -> None:
    crew, led = Crew(), []
    crew.follow()
    thread = follower(crew, led, "deputy")
    time.sleep(PATIENCE * 5)
    assert led == []
    crew.hand_on()
    thread.join(10)


def test_while_the_crew_rests_leadership_can_still_be_handed_on_after_waking() -> None:
    crew, led = Crew(), []
    crew.follow()
    crew.rest()
    thread = follower(crew, led, "deputy")
    crew.wake()
    crew.hand_on()
    thread.join(10)
    assert led == [("deputy", False)]


def test_there_is_never_more_than_one_leader() -> None:
    """Leaders get stuck at random; whoever comes back either still leads or has lost it, never both."""
    crew = Crew()
    leading: list[int] = []
    overlaps: list[int] = []
    stop = time.monotonic() + 1.5

    def live(number: int) -> None:
        turns = 0
        while time.monotonic() < stop:
            crew.follow()
            while time.monotonic() < stop:
                turns += 1
                leading.append(number)
                if len(leading) > 1:
                    overlaps.append(number)
                leading.remove(number)
                token = (time.monotonic(), number)
                crew.lay_down(token)
                if (turns + number) % 7 == 0:
                    time.sleep(PATIENCE * 3)
                try:
                    crew.take_up(token)
                except ValueError:
                    break
            else:
                crew.hand_on()
                return

    threads = [threading.Thread(target=live, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert overlaps == []
