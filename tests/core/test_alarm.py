"""One timer for many deadlines."""

import asyncio
from collections.abc import Callable

from unicorn_core.alarm import Alarm


class Handle:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop(asyncio.AbstractEventLoop):
    """Only its timers."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None], Handle]] = []

    def call_at(self, when, callback, *args, context=None):
        handle = Handle()
        self.timers.append((when, callback, handle))
        return handle

    def due(self) -> list[float]:
        return [when for when, _, handle in self.timers if not handle.cancelled]


def test_the_earliest_deadline_has_the_only_timer() -> None:
    loop = Loop()
    alarm = Alarm(loop, lambda: None)
    for when in (5.0, 7.0, 3.0, 4.0):
        alarm.at(when)
    assert loop.due() == [3.0]


def test_when_it_has_rung_it_knows_of_no_deadline() -> None:
    loop, rung = Loop(), []
    alarm = Alarm(loop, lambda: rung.append(True))
    alarm.at(3.0)
    loop.timers.pop()[1]()
    assert rung
    alarm.at(9.0)
    assert loop.due() == [9.0]


def test_it_can_be_set_anew_by_whom_it_calls() -> None:
    loop = Loop()
    alarm = Alarm(loop, lambda: alarm.at(4.0))
    alarm.at(3.0)
    loop.timers.pop()[1]()
    assert loop.due() == [4.0]


def test_stopped_it_is_silent() -> None:
    loop = Loop()
    alarm = Alarm(loop, lambda: None)
    alarm.at(3.0)
    alarm.stop()
    assert loop.due() == []
