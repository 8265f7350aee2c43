"""The worker `sync` runs what came together in one turn, and holds small answers back only where that delays nobody.

A stopped worker process (SIGSTOP) finds everything that came meanwhile in one turn, in the order in which it came.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="gthread leaves a turn in which a request blocks")

Turn = Callable[[], contextmanager]


@pytest.fixture
def server(serve, apps) -> ServerProcess:
    return serve(application="wire_app:app", cwd=apps)


@pytest.fixture
def one_turn(server: ServerProcess) -> Turn:
    """What is sent within comes to the worker in one turn."""
    (pid,) = server.worker_pids()

    @contextmanager
    def turn() -> Iterator[None]:
        wait_until(lambda: state(pid) in "S?", what="the worker's wait in the poller, so that no order is left over")
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: state(pid) in "T?", what="the stop of the worker")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    return turn


def state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "?"  # no /proc on this system


@pytest.fixture
def clients(server, wire) -> list:
    """Connections that the worker knows already, so that their order is that of what they send."""
    connections = [wire(server) for _ in range(6)]
    for connection in connections:
        assert connection.get("/hello").body == b"hello"
    return connections


def test_all_requests_of_a_turn_are_answered(clients, one_turn):
    for _ in range(5):
        with one_turn():
            for connection in clients:
                connection.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        for connection in clients:
            assert [connection.answer().body for _ in range(3)] == [b"hello"] * 3
            assert not connection.seen


def test_after_a_call_that_blocked_no_answer_waits_for_the_next_one_that_blocks(clients, one_turn, tmp_path):
    *fast, blocking, last = clients
    for name in ("first", "second"):
        with one_turn():
            for connection in fast:
                connection.ask("/hello")
            blocking.ask(f"/gate?{tmp_path}/{name}")
            last.ask("/hello")
        wait_until((tmp_path / f"{name}.begun").exists, what="the blocking call")
        if name == "second":
            for connection in fast:
                assert connection.answer().body == b"hello"
            assert not (tmp_path / name).exists()
            assert last.is_silent()
        (tmp_path / name).touch()
        assert blocking.answer().body == b"through"
        assert last.answer().body == b"hello"
        if name == "first":
            for connection in fast:
                assert connection.answer().body == b"hello"


def test_pipelined_answers_do_not_wait_for_a_later_request_that_blocks_again(clients, one_turn, tmp_path):
    connection, blocking, *_ = clients
    blocking.ask(f"/gate?{tmp_path}/warm")
    wait_until((tmp_path / "warm.begun").exists, what="the blocking call")
    (tmp_path / "warm").touch()
    assert blocking.answer().body == b"through"
    hello = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"
    connection.send(hello * 3 + b"GET /gate?%b/go HTTP/1.1\r\nHost: test\r\n\r\n" % bytes(tmp_path) + hello)
    assert [connection.answer().body for _ in range(3)] == [b"hello"] * 3
    wait_until((tmp_path / "go.begun").exists, what="the blocking call")
    (tmp_path / "go").touch()
    assert [connection.answer().body for _ in range(2)] == [b"through", b"hello"]


@pytest.mark.parametrize("path", ["/big?100000", "/blocks", "/big-stream?131072"])
def test_a_large_or_streamed_answer_never_waits_for_others(clients, one_turn, tmp_path, path):
    streamed, blocking, *_ = clients
    with one_turn():
        streamed.ask(path)
        blocking.ask(f"/gate?{tmp_path}/go")
    answer = streamed.answer()
    assert answer.status == 200
    wait_until((tmp_path / "go.begun").exists, what="the blocking call")
    assert not (tmp_path / "go").exists()
    (tmp_path / "go").touch()
    assert blocking.answer().body == b"through"


def test_a_held_answer_goes_out_before_a_stream_to_a_slow_reader(clients, one_turn):
    fast, slow, *_ = clients
    with one_turn():
        fast.ask("/hello")
        slow.ask("/big-stream?20000000")
    assert fast.answer().body == b"hello"  # although `slow` has read nothing
    slow.head()
    assert sum(len(block) for block in iter(slow.chunk, b"")) == 20_000_000 // 65536 * 65536


def test_a_held_answer_goes_out_before_a_body_is_waited_for(clients, one_turn):
    fast, uploading, *_ = clients
    with one_turn():
        fast.ask("/hello")
        uploading.ask("/echo", "Content-Length: 4", method="POST")
    assert fast.answer().body == b"hello"
    uploading.send(b"body")
    assert uploading.answer().body == b"body"


def test_a_fault_in_a_turn_costs_only_its_own_request(clients, one_turn):
    with one_turn():
        for connection, path in zip(
            clients,
            ["/hello", "/leaves?SystemExit", "/raises?x", "/raises-later?x", "/hello", "/hello"],
            strict=True,
        ):
            connection.ask(path)
    first, left, raised, cut, *others = clients
    assert first.answer().body == b"hello"
    assert (left.answer().status, raised.answer().status) == (500, 500)
    assert cut.is_cut()
    assert [connection.answer().body for connection in others] == [b"hello"] * 2


def test_a_client_that_has_gone_when_its_held_answer_is_sent_costs_nothing(clients, one_turn, server, wire):
    with one_turn():
        for connection in clients:
            connection.ask("/hello")
        clients[0].reset()
        clients[3].close()
    for connection in clients[1:3] + clients[4:]:
        assert connection.answer().body == b"hello"
    assert wire(server).get("/hello").body == b"hello"


@pytest.mark.parametrize("left", ["reset", "close"])
def test_a_client_that_leaves_while_its_next_requests_wait_costs_nobody_else_anything(
    server, clients, one_turn, tmp_path, wire, left
):
    """Its answers are held, its connection waits for its next turn, and the write of what is held fails."""
    leaver, blocking, other, *_ = clients
    pids = server.worker_pids()
    with one_turn():
        leaver.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * 40)
        blocking.ask(f"/gate?{tmp_path}/go")
    wait_until((tmp_path / "go.begun").exists, what="the blocking call")
    getattr(leaver, left)()
    late = wire(server)  # it may get the number of a descriptor that is closed too often
    late.ask("/hello")
    (tmp_path / "go").touch()
    assert blocking.answer().body == b"through"
    assert late.answer().body == b"hello"
    for connection in (late, other):
        assert connection.get("/hello").body == b"hello"
    assert server.worker_pids() == pids


def test_a_client_that_reads_late_gets_all_answers_of_what_it_has_pipelined(server, clients, one_turn, tmp_path):
    late, blocking, *_ = clients
    pids = server.worker_pids()
    requests = b"GET /big?30000 HTTP/1.1\r\nHost: test\r\n\r\n" * 300
    with one_turn():
        late.send(requests)
        blocking.ask(f"/gate?{tmp_path}/go")
    wait_until((tmp_path / "go.begun").exists, what="the blocking call")
    (tmp_path / "go").touch()
    assert blocking.answer().body == b"through"
    assert [len(late.answer().body) for _ in range(300)] == [30000] * 300
    assert server.worker_pids() == pids
