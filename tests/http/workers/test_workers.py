"""What the arbiter asks of a worker: lame duck, borrowed listeners, leaving."""

import socket
from collections.abc import Callable, Iterator

import pytest
from worker_driver import WorkerThread, ask, connect, hello, listen

from unicorn_core.listen.listener import Listener
from unicorn_core.testing.server import wait_until
from unicorn_core.worker.messages import Borrow, Drain, GiveBack, LameDuck

pytestmark = pytest.mark.each_worker_class
linux = pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="only Linux can keep new clients out")


@pytest.fixture
def start(worker_thread) -> Iterator[Callable[..., WorkerThread]]:
    running: list[WorkerThread] = []

    def start(*arguments: object, **settings: object) -> WorkerThread:
        worker = worker_thread(*arguments, **settings).__enter__()
        running.append(worker)
        return worker

    yield start
    for worker in running:
        worker.__exit__(None, None, None)


def accepts_nobody(listener: Listener) -> bool:
    """A new client gets no answer, although it is connected, or does not even get so far."""
    try:
        with connect(listener, 0.1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            return not connection.recv(1)
    except OSError:
        return True


# Lame duck


def test_a_lame_duck_accepts_and_ends_every_connection_with_its_next_answer(start):
    server = start()
    kept = connect(server.listener)
    assert b"Connection" not in ask(kept)
    server.tell(LameDuck())
    wait_until(lambda: b"Connection: close" in ask(connect(server.listener)), what="the lame duck")
    assert b"Connection: close" in ask(kept)
    assert kept.recv(1) == b""
    assert server.running


def test_a_lame_duck_keeps_idle_connections_until_they_ask(start):
    server = start()
    kept = connect(server.listener)
    ask(kept)
    server.tell(LameDuck())
    kept.settimeout(0.3)
    with pytest.raises(TimeoutError):
        kept.recv(1)
    assert b"Connection: close" in ask(kept)


def test_a_lame_duck_answers_all_pipelined_requests(start):
    server = start()
    server.tell(LameDuck())
    wait_until(lambda: b"Connection: close" in ask(connect(server.listener)), what="the lame duck")
    connection = connect(server.listener)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
    answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"hello") == 3
    assert answers.count(b"Connection: close") == 1


# Leaving


def test_a_worker_that_leaves_alone_leaves_the_queue_to_others(start):
    listener = listen()
    server = start(hello, [Listener(listener.socket.dup())])
    ask(connect(listener)).endswith(b"hello")
    server.tell(Drain())
    wait_until(lambda: accepts_nobody(listener), what="the end of accepting")
    waiting = connect(listener)
    successor = start(hello, [Listener(listener.socket.dup())])
    assert ask(waiting).endswith(b"hello")
    assert successor.running
    listener.close()


@linux
@pytest.mark.parametrize("ends", [True, False])
def test_a_worker_empties_the_queue_of_a_listener_that_turns_new_clients_away(start, ends):
    """Also if it is not told so: it may have been asked by a signal."""
    listener = listen()
    waiting = [connect(listener) for _ in range(5)]
    listener.turn_away()
    server = start(hello, [Listener(listener.socket.dup())])
    server.tell(Drain(ends))
    for connection in waiting:
        assert ask(connection).endswith(b"hello")
    wait_until(lambda: not server.running, what="the end of the worker")
    listener.close()


@pytest.mark.parametrize("ends", [True, False])
def test_a_worker_itself_turns_nobody_away(start, ends):
    """Others may go on listening: the next generation, if only another address ends, or the next master."""
    listener = listen()
    server = start(hello, [Listener(listener.socket.dup())])
    server.tell(Drain(ends))
    wait_until(lambda: not server.running, what="the end of the worker")
    connect(listener, 0.2).close()
    listener.close()


# Borrowing


def borrowed(server: WorkerThread, slot: int) -> Listener:
    """A listener of a slot, whose socket the worker has, too."""
    listener = listen()
    server.tell(Borrow(slot, 1), listener.socket.fileno())
    return listener


def test_a_borrowed_listener_is_served_until_it_is_given_back(start):
    server = start()
    listener = borrowed(server, 3)
    kept = connect(listener)
    assert ask(kept).endswith(b"hello")
    server.tell(GiveBack(3, ends=False))
    wait_until(lambda: accepts_nobody(listener), what="the end of accepting")
    # The socket is not closed, its queue is left alone, and the connections stay.
    waiting = connect(listener)
    assert ask(kept).endswith(b"hello")
    assert ask(connect(server.listener)).endswith(b"hello")
    server.tell(Borrow(3, 1), listener.socket.fileno())
    assert ask(waiting).endswith(b"hello")
    listener.close()


def test_what_waits_in_a_slot_that_ends_is_answered(start):
    server = start()
    listener = listen()
    waiting = [connect(listener) for _ in range(10)]
    listener.turn_away()
    server.tell(Borrow(3, 1), listener.socket.fileno())
    server.tell(GiveBack(3, ends=True))
    listener.close()
    for connection in waiting:
        assert ask(connection).endswith(b"hello")
    assert ask(connect(server.listener)).endswith(b"hello")


def refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, 0.1).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        pass  # kept out, but the listener is open
    return False


def test_a_slot_that_ends_is_closed(start):
    server = start()
    listener = borrowed(server, 3)
    address = listener.socket.getsockname()
    ask(connect(listener))
    listener.turn_away()
    server.tell(GiveBack(3, ends=True))
    listener.close()
    wait_until(lambda: refused(address), what="the end of the listener")
    assert ask(connect(server.listener)).endswith(b"hello")


def test_giving_back_what_was_not_borrowed_changes_nothing(start):
    server = start()
    server.tell(GiveBack(7, ends=True))
    assert ask(connect(server.listener)).endswith(b"hello")


@pytest.mark.parametrize("ends", [False, True])
def test_draining_ends_what_was_borrowed_too(start, ends):
    server = start()
    listener = borrowed(server, 3)
    ask(connect(listener))
    if ends:
        waiting = [connect(listener) for _ in range(5)]
        server.tell(Drain(ends=True))
        for connection in waiting:
            assert ask(connection).endswith(b"hello")
    server.tell(Drain(ends))
    wait_until(lambda: accepts_nobody(listener), what="the end of accepting")
    listener.close()


def test_what_is_borrowed_while_draining_is_left_alone(start):
    server = start(keepalive=20)
    kept = connect(server.listener)
    ask(kept)
    server.tell(Drain())
    listener = borrowed(server, 3)
    wait_until(lambda: accepts_nobody(listener), what="the end of accepting")
    ask(kept)
    wait_until(lambda: not server.running, what="the end of the worker")
    listener.close()


def test_a_full_worker_accepts_again_as_soon_as_there_is_room(start):
    server = start(worker_connections=2)
    first, second = connect(server.listener), connect(server.listener)
    ask(first), ask(second)
    third = connect(server.listener)
    third.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    third.settimeout(0.2)
    with pytest.raises(TimeoutError):
        third.recv(1)
    first.close()
    assert third.recv(65536).endswith(b"hello")
