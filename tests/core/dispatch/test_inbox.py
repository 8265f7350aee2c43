"""What a task worker has been sent: who runs it, what is told of it, and that nothing stays behind."""

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from unicorn_core.dispatch.app import TaskApp, batched
from unicorn_core.dispatch.rules.places import WINDOW, begun
from unicorn_core.dispatch.wire import flow, shared
from unicorn_core.dispatch.wire.blocking import Wire
from unicorn_core.dispatch.wire.frames import LIMIT, Flag, Frame, Kind, encode, route
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.wire.slabs import RETAINED
from unicorn_core.dispatch.worker.execution import Execution
from unicorn_core.dispatch.worker.inbox import Inbox, OwnInbox, SharedInbox
from unicorn_core.worker.scoreboard import IN_FLIGHT, PASSED_OVER, REQUESTS, Row, Scoreboard

QUIET = logging.getLogger("unicorn.test")


class Doubles(TaskApp):
    @batched(max_size=3, max_wait=5.0)
    def double(self, numbers):
        return [2 * number for number in numbers]


class Peer:
    """The dispatcher's end, and the inbox at the other."""

    def __init__(self, kind: type[OwnInbox | SharedInbox]) -> None:
        self.socket, theirs = socket.socketpair()
        self.wire = Wire(self.socket, LIMIT)
        self.row: Row = Scoreboard().take()
        self.inbox: Inbox = kind(Wire(theirs, LIMIT), self.row)
        if isinstance(self.inbox, SharedInbox):
            threading.Thread(target=self.inbox.read, daemon=True).start()

    def send(
        self,
        number: int,
        *args: object,
        kind: Kind = Kind.REQUEST,
        body: bytes = b"",
        flags: int = 0,
        action: str = "double",
    ) -> None:
        body = body or Serializer().pack_call(args, {})[0]
        self.socket.sendall(b"".join(encode(Frame(kind, number, route("a:A", action), body, flags=flags))))

    def begun(self, count: int) -> list[int]:
        """The places, of so many, whose calls seem to have been taken."""
        highest, passed = int(self.row.cells[REQUESTS]), int(self.row.cells[PASSED_OVER])
        return [place for place in range(1, count + 1) if begun(place, highest, passed)]

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def cells(self) -> tuple[float, float]:
        return self.row.cells[REQUESTS], self.row.cells[IN_FLIGHT]


@pytest.fixture(params=[OwnInbox, SharedInbox])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    peer = Peer(request.param)
    yield peer
    peer.socket.close()


def test_the_row_tells_how_many_calls_were_taken_and_how_many_run(peer: Peer) -> None:
    for number in range(1, 4):
        peer.send(number)
    first, second = peer.inbox.take(), peer.inbox.take()
    assert peer.cells() == (2, 2)
    peer.inbox.forget(first)
    third = peer.inbox.take_like(second.frame.route, float("inf"))
    assert peer.cells() == (3, 2)
    for task in (second, third):
        peer.inbox.forget(task)
    assert peer.cells() == (3, 0)


def test_the_row_tells_which_calls_were_passed_over_for_a_list(peer: Peer) -> None:
    for number, action in enumerate(["double", "other", "double", "third", "double", "other"], 1):
        peer.send(number, action=action)
    first = peer.inbox.take()
    assert peer.begun(6) == [1]
    like = first.frame.route
    assert peer.inbox.take_like(like, float("inf")).place == 3
    assert peer.begun(6) == [1, 3]
    assert peer.inbox.take_like(like, float("inf")).place == 5
    assert peer.begun(6) == [1, 3, 5]
    second = peer.inbox.take()
    assert peer.begun(6) == [1, 2, 3, 5]
    assert peer.inbox.take_like(second.frame.route, float("inf")).place == 6
    assert peer.begun(6) == [1, 2, 3, 5, 6]
    assert peer.inbox.take().place == 4
    assert peer.begun(6) == [1, 2, 3, 4, 5, 6]


def test_no_more_calls_are_passed_over_than_the_row_can_tell(peer: Peer) -> None:
    peer.send(1)
    for number in range(2, WINDOW + 2):
        peer.send(number, action="other")
    peer.send(WINDOW + 2)
    peer.end()
    like = peer.inbox.take().frame.route
    assert peer.inbox.take_like(like, time.monotonic() + 0.2) is None
    peer.inbox.take()
    assert peer.inbox.take_like(like, time.monotonic() + 10).place == WINDOW + 2
    assert peer.begun(WINDOW + 2) == [1, 2, WINDOW + 2]


def test_answers_that_nobody_gives_back_are_waited_for_up_to_a_number_of_bytes(peer: Peer) -> None:
    buffer = bytes(RETAINED // 4)
    for number in range(10):
        _, descriptors = peer.inbox.lend(number, [buffer])
        if not descriptors:
            pytest.skip("no shared memory here")
        shared.close(descriptors)
    assert [number for number, _ in peer.inbox._lent] == [6, 7, 8, 9]
    for number in (6, 7, 8, 9):
        peer.inbox._take_back(number)
    assert peer.inbox._lent_size == 0


def test_many_threads_count_right() -> None:
    peer = Peer(SharedInbox)
    together = threading.Barrier(8)

    def run() -> None:
        together.wait(10)
        while (task := peer.inbox.take()) is not None:
            peer.inbox.forget(task)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(2000):
        peer.send(number)
    peer.end()
    for thread in threads:
        thread.join(20)
    assert peer.cells() == (2000, 0)


def test_a_stream_gets_no_more_credit_than_the_window(peer: Peer) -> None:
    peer.send(1)
    task = peer.inbox.take()
    task.credit = 0
    peer.send(1, kind=Kind.CREDIT, body=flow.grant(1 << 60))
    peer.inbox.attend(task)
    assert task.credit == flow.WINDOW


def run_all(peer: Peer) -> list[Frame]:
    """Run what was sent; gives the answers."""
    Execution(peer.inbox, {"a:A": Doubles()}, Serializer(), peer.row, QUIET, 1, LIMIT).run()  # type: ignore[arg-type]
    answers = []
    while (received := peer.wire.glance()) is not None:
        answers.append(received[0])
    return answers


def test_a_call_that_is_refused_in_a_batch_is_forgotten_like_the_others(peer: Peer) -> None:
    peer.send(1, 1)
    peer.send(2)
    peer.send(3, 3)
    peer.end()
    assert {frame.id: frame.kind for frame in run_all(peer)} == {1: Kind.RESULT, 2: Kind.ERROR, 3: Kind.RESULT}
    assert not peer.inbox._tasks
    assert peer.cells() == (3, 0)


def test_a_stream_of_a_batched_action_has_one_value(peer: Peer) -> None:
    peer.send(1, 1, flags=Flag.STREAM)
    peer.send(2, 2)
    peer.send(3, 3, flags=Flag.STREAM)
    peer.end()
    answers = [(frame.id, Kind(frame.kind)) for frame in run_all(peer)]
    assert answers == [(1, Kind.ITEM), (1, Kind.END), (2, Kind.RESULT), (3, Kind.ITEM), (3, Kind.END)]
