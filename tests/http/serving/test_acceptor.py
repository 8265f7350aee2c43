"""When a worker accepts, how many connections, and when it leaves them to another."""

import logging
import os

import pytest
from worker_driver import connect, listen

from unicorn_core.listen.address import UnixAddress
from unicorn_core.listen.listener import open_all
from unicorn_core.worker.scoreboard import CONNECTIONS, TAKEN, Scoreboard
from unicorn_http.serving import acceptor as module
from unicorn_http.serving.acceptor import GREEDY, HANDSHAKES, HASTE, LOOK_AGAIN, STEP_BACK, Acceptor
from unicorn_http.serving.pace import Pace

NOW = 100.0


class Poller:
    """Remembers what is watched, and whether exclusively."""

    def __init__(self):
        self.watched = {}

    def add(self, fd, events, *, shared=False):
        assert fd not in self.watched
        self.watched[fd] = shared

    def remove(self, fd):
        del self.watched[fd]


class Bench:
    """An acceptor with one listener, and another worker beside it."""

    def __init__(self, *, alone=False, fast=False, shared=True, even=False):
        board = Scoreboard()
        self.row, self.other = board.take(), board.take()
        self.row.load(0)
        if not alone:
            self.other.load(TAKEN)
        self.pace = Pace()
        if fast:
            self.pace.called(100, 0.001)
        self.poller = Poller()
        self.listener = listen()
        self.fd = self.listener.socket.fileno()
        log = logging.getLogger("test")
        self.acceptor = Acceptor([self.listener], self.poller, self.row, self.pace, shared, log, even)
        self.acceptor.watch()

    def step_back(self, now=NOW):
        """With a connection before it, and another worker that has none."""
        self.row.load(1)
        self.other.load(0)
        assert self.acceptor.fair(True, now) == 0


@pytest.fixture
def bench():
    made = []

    def make(**options):
        made.append(Bench(**options))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()


def test_a_worker_that_is_alone_is_greedy(bench):
    assert bench(alone=True).acceptor.fair(True, NOW) == GREEDY
    assert bench(shared=False).acceptor.fair(True, NOW) == GREEDY


def test_one_of_several_accepts_one(bench):
    assert bench().acceptor.fair(False, NOW) == 1
    assert bench(fast=True).acceptor.fair(True, NOW) == 1


def test_a_fast_application_has_one_worker_woken(bench):
    assert list(bench(fast=True).poller.watched.values()) == [True]
    assert list(bench().poller.watched.values()) == [False]
    assert list(bench(fast=True, shared=False).poller.watched.values()) == [False]


def test_a_change_of_pace_changes_how_listeners_are_watched(bench):
    one = bench()
    one.pace.called(100, 0.001)
    one.acceptor.adapt()
    assert one.poller.watched == {one.fd: True}
    one.pace.called(100, 10.0)
    one.acceptor.adapt()
    assert one.poller.watched == {one.fd: False}


def test_a_worker_with_something_before_it_steps_back_for_one_that_has_less(bench):
    one = bench()
    one.row.load(1)
    one.other.load(1)
    assert one.acceptor.fair(True, NOW) == 1
    one.step_back()
    assert not one.poller.watched
    assert one.acceptor.takes
    assert one.acceptor.due_at() == pytest.approx(NOW + LOOK_AGAIN)


def test_where_connections_shall_be_even_it_steps_back_for_one_that_keeps_fewer(bench):
    one, plain = bench(fast=True, even=True), bench(fast=True)
    for each in (one, plain):
        each.other.load(0)
        each.row.cells[CONNECTIONS], each.other.cells[CONNECTIONS] = 10, 9
    assert one.acceptor.fair(False, NOW) == 1
    for each in (one, plain):
        each.other.cells[CONNECTIONS] = 8
    assert one.acceptor.fair(False, NOW) == 0
    assert plain.acceptor.fair(False, NOW) == 1


def test_a_worker_that_does_not_take_what_is_left_to_it_is_not_waited_for_each_time(bench):
    one = bench(fast=True, even=True)
    one.other.load(0)
    one.row.cells[CONNECTIONS], one.other.cells[CONNECTIONS] = 10, 0
    assert one.acceptor.fair(False, NOW) == 0
    connect(one.listener).close()
    now = NOW + STEP_BACK + LOOK_AGAIN
    assert one.acceptor.due(now, False) == [one.fd]
    assert one.acceptor.fair(False, now) == 1
    assert one.acceptor.accept(one.fd, now) is not None
    assert one.acceptor.fair(False, now) == 1
    assert one.acceptor.fair(False, now + HASTE) == 0


def test_a_worker_that_has_taken_what_was_left_to_it_gets_the_next_one_too(bench):
    one = bench(fast=True, even=True)
    one.other.load(0)
    one.row.cells[CONNECTIONS], one.other.cells[CONNECTIONS] = 10, 0
    assert one.acceptor.fair(False, NOW) == 0
    now = NOW + STEP_BACK + LOOK_AGAIN
    assert one.acceptor.due(now, False) == [one.fd]
    assert one.acceptor.fair(False, now) == 1
    assert one.acceptor.accept(one.fd, now) is None
    assert one.acceptor.fair(False, now) == 0


def test_it_looks_again_soon_and_insists_in_the_end(bench):
    one = bench()
    one.step_back()
    now = NOW
    assert one.acceptor.due(now, True) == []
    while now < NOW + STEP_BACK - LOOK_AGAIN / 2:
        now += LOOK_AGAIN
        assert one.acceptor.due(now + 1e-9, True) == [one.fd]
        share = one.acceptor.fair(True, now + 1e-9)
    assert share == 1
    connect(one.listener).close()
    assert one.acceptor.accept(one.fd, now) is not None
    # The next one is left to the other again.
    one.step_back(now)


def test_it_comes_back_at_once_when_it_has_nothing_before_it(bench):
    one = bench()
    one.step_back()
    assert one.acceptor.due(NOW, False) == []
    assert one.poller.watched
    one.step_back(NOW + 100)


def test_what_a_paused_worker_gets_it_looks_at_later(bench):
    one = bench()
    one.acceptor.pause(NOW + 1)
    assert not one.acceptor.takes
    assert one.acceptor.due(NOW + 0.9, False) == []
    assert one.acceptor.due(NOW + 1, False) == [one.fd]
    assert one.acceptor.watching


def test_without_descriptors_it_tries_again_in_a_second(bench, monkeypatch, caplog):
    one = bench()

    class Exhausted:
        def accept(self):
            raise OSError(24, "Too many open files")

    source = one.acceptor._sources[one.fd]
    monkeypatch.setattr(source, "listener", Exhausted())
    assert one.acceptor.accept(one.fd, NOW) is None
    assert not one.poller.watched
    assert one.acceptor.due_at() == NOW + module.RETRY
    assert "Cannot accept connections, they wait: Too many open files (raise the limit" in caplog.text

    # It is told once, however long that lasts, and again when it has been over for a while.
    now = NOW
    for _ in range(100):
        now += module.RETRY
        assert one.acceptor.due(now, False) == [one.fd]
        assert one.acceptor.accept(one.fd, now) is None
    assert caplog.text.count("Cannot accept") == 1
    one.acceptor.accept(one.fd, now + module.RECOVERED + 1)
    assert caplog.text.count("Cannot accept") == 2


@pytest.mark.parametrize("ends", [False, True])
def test_a_listener_that_is_left(bench, ends):
    one = bench()
    queued = connect(one.listener)
    if ends:
        one.listener.turn_away()
    assert one.acceptor.leave(ends, NOW) == []
    assert one.acceptor.finished is not ends
    if ends:
        assert one.acceptor.accept(one.fd, NOW) is not None
        assert one.acceptor.accept(one.fd, NOW) is None
        assert one.acceptor.due(NOW + HANDSHAKES, False) == [one.fd]
        assert one.acceptor.accept(one.fd, NOW + HANDSHAKES) is None
        assert one.acceptor.finished
    assert not one.poller.watched
    queued.close()


def test_where_nobody_is_kept_out_the_queue_is_emptied_at_once(bench):
    one = bench()
    queued = [connect(one.listener) for _ in range(3)]
    assert len(one.acceptor.leave(True, NOW)) == 3
    assert one.acceptor.finished
    for connection in queued:
        connection.close()


def test_a_borrowed_slot_is_left_alone(bench):
    one = bench()
    borrowed = [listen(), listen()]
    one.acceptor.borrow(3, borrowed)
    assert len(one.poller.watched) == 3
    one.acceptor.leave(False, NOW, 3)
    assert list(one.poller.watched) == [one.fd]
    assert [listener.socket.fileno() for listener in borrowed] == [-1, -1]


def test_a_unix_listener_that_turns_away_is_closed_when_it_is_empty(bench, tmp_path):
    one = bench()
    (listener,) = open_all([UnixAddress(str(tmp_path / "s"))], 16, 0, (os.getuid(), os.getgid()))
    fd = listener.socket.fileno()
    one.acceptor.borrow(3, [listener])
    assert one.acceptor.accept(fd, NOW) is None
    assert fd in one.acceptor
    if listener.turn_away():
        assert one.acceptor.accept(fd, NOW) is None
        assert fd not in one.acceptor
    listener.remove()
