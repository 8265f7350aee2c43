"""The worker class gthread: as many requests at a time as there are threads, fast ones beside slow ones."""

import os
import re
import signal
import threading
import time

import pytest

from unicorn_core.testing.server import wait_until

pytestmark = pytest.mark.only_worker_class("gthread", reason="its own promises")

APP = """
import os, pathlib, threading, time

running = 0
most = 0
lock = threading.Lock()

def app(environ, start_response):
    global running, most
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    with lock:
        running += 1
        most = max(most, running)
    try:
        if path.startswith("/sleep"):
            time.sleep(float(query))
        elif path == "/gate":
            pathlib.Path(query + ".begun").touch()
            while not pathlib.Path(query).exists():
                time.sleep(0.005)
        body = f"{most} {os.getpid()} {environ['wsgi.multithread']}"
    finally:
        with lock:
            running -= 1
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body.encode()]
"""


@pytest.fixture
def start(serve):
    return lambda *arguments, source=APP: serve(source, *arguments)


def begun(path) -> None:
    wait_until(path.with_name(path.name + ".begun").exists, what="the start of the request")


@pytest.mark.parametrize("options", [("--threads", "4"), ("--worker-class", "gthread", "--threads", "4")])
def test_threads_turn_sync_into_gthread_and_the_start_says_so(start, wire, options):
    server = start(*options)
    server.wait_for("Using worker: gthread")
    assert wire(server).get("/").body.endswith(b"True")


def test_one_thread_leaves_sync_as_it_is(start, wire):
    server = start("--threads", "1")
    server.wait_for("Using worker: sync")
    assert wire(server).get("/").body.endswith(b"False")


def test_as_many_requests_run_at_a_time_as_there_are_threads_and_no_more(start, wire):
    server = start("--threads", "4")
    connections = [wire(server) for _ in range(12)]
    for _ in range(3):
        for connection in connections:
            connection.ask("/sleep?0.1")
        most = max(int(connection.answer().body.split()[0]) for connection in connections)
    assert most == 4


def test_a_fast_request_does_not_wait_for_slow_ones(start, wire, tmp_path):
    server = start("--threads", "4")
    slow = [wire(server) for _ in range(3)]
    for number, connection in enumerate(slow):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    quick = wire(server)
    for _ in range(50):
        assert quick.get("/").status == 200
    for number, connection in enumerate(slow):
        (tmp_path / f"go{number}").touch()
        assert connection.answer().status == 200


def test_an_answer_that_was_held_when_another_request_blocked_is_sent_by_the_next_leader(start, wire, tmp_path):
    server = start("--threads", "4")
    warm = [wire(server) for _ in range(16)]
    blocking = wire(server)
    for round_ in range(10):
        # All are asked at once, so that they are answered in one turn, in which one blocks.
        gate = tmp_path / f"go{round_}"
        for number, connection in enumerate(warm):
            if number == 8:
                blocking.ask(f"/gate?{gate}")
            connection.ask("/")
        for connection in warm:
            assert connection.answer().status == 200, "while the other still blocks"
        begun(gate)
        gate.touch()
        assert blocking.answer().status == 200


def test_while_all_threads_are_busy_new_connections_wait_and_the_worker_lives(start, wire, tmp_path):
    server = start("--threads", "2", "--timeout", "1")
    busy = [wire(server) for _ in range(2)]
    for number, connection in enumerate(busy):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    waiting = wire(server)
    waiting.ask("/")
    # Two reports of threads that are busy for longer than `timeout`; the worker itself is not silent.
    server.wait_for(r"has a thread that is busy with: GET /gate\S* HTTP/1.1 from 127.0.0.1, for [\d.]+ s, at:", count=2)
    assert "WORKER TIMEOUT" not in server.output
    for number in range(2):
        (tmp_path / f"go{number}").touch()
    assert waiting.answer().status == 200
    assert all(connection.answer().status == 200 for connection in busy)


def test_a_stuck_thread_is_reported_once_with_its_stack_and_the_worker_is_not_ended(start, wire, tmp_path):
    server = start("--threads", "4", "--timeout", "1")
    stuck = wire(server)
    stuck.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    server.wait_for(r"busy with: GET /gate(?:.*\n)+?.*in app")
    healthy = wire(server)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert healthy.get("/").status == 200
    assert server.output.count("has a thread that is busy with") == 1
    assert "will be replaced" not in server.output
    (tmp_path / "go").touch()
    assert stuck.answer().status == 200


def test_a_worker_with_too_many_stuck_threads_is_replaced_and_the_healthy_ones_finish(start, wire, tmp_path):
    server = start("--threads", "2", "--timeout", "1", "--stuck-threads", "50")
    stuck = wire(server)
    stuck.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    server.wait_for(r"will be replaced: 1 of its 2 threads are stuck")
    server.wait_for("Booting worker", count=2)
    assert wire(server).get("/").status == 200
    (tmp_path / "go").touch()
    assert stuck.answer().status == 200
    server.wait_for("Worker exiting")


def test_a_thread_that_keeps_all_others_from_running_is_as_a_worker_that_hangs(start, wire):
    """In C code, with the interpreter's lock: then nobody leads, and the arbiter acts."""
    source = APP.replace(
        'path == "/gate"', 'path == "/c":\n            ctypes.PyDLL(None).sleep(60)\n        elif path == "/gate"'
    )
    server = start("--threads", "3", "--timeout", "1", source="import ctypes\n" + source)
    stuck = wire(server)
    stuck.ask("/c")
    assert stuck.is_cut()
    server.wait_for(r"was silent for [\d.]+ s; busy with: GET /c HTTP/1.1")
    server.wait_for("Booting worker", count=2)
    assert wire(server).get("/").status == 200


def test_term_lets_all_running_requests_finish(start, wire, tmp_path):
    server = start("--threads", "4")
    running = [wire(server) for _ in range(4)]
    for number, connection in enumerate(running):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    queued = [wire(server) for _ in range(5)]
    for connection in queued:
        connection.ask("/")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    for number in range(4):
        (tmp_path / f"go{number}").touch()
    assert all(connection.answer().status == 200 for connection in (*running, *queued))
    assert server.wait() == 0


def test_an_exit_of_the_application_costs_its_request_only(start, wire):
    source = APP.replace(
        "        body = f", '        if path == "/exit":\n            raise SystemExit(3)\n        body = f'
    )
    server = start("--threads", "3", source=source)
    kept = wire(server)
    pid = kept.get("/").body.split()[1]
    for _ in range(5):
        assert wire(server).get("/exit").status == 500
    assert kept.get("/").body.split()[1] == pid


def test_max_requests_counts_the_requests_of_all_threads(start, wire):
    server = start("--threads", "4", "--max-requests", "40")
    connections = [wire(server) for _ in range(8)]
    for _ in range(5):
        for connection in connections:
            connection.ask("/sleep?0.005")
        for connection in connections:
            assert connection.answer().status == 200
    server.wait_for("will be replaced: max_requests: 4")


def test_kept_connections_of_slow_applications_are_kept(start, wire):
    server = start("--threads", "2", "--workers", "2")
    connection = wire(server)
    assert {connection.get("/sleep?0.02")["connection"] for _ in range(40)} == {None}


def test_many_threads_of_clients_get_their_own_answers(start, wire, tmp_path):
    server = start("--threads", "4")
    wrong: list[object] = []

    def ask(number: int) -> None:
        connection = wire(server)
        for turn in range(60):
            path = "/sleep?0.003" if (number + turn) % 5 == 0 else "/"
            if turn % 3 == 2:
                connection.ask("/")
                connection.ask(path)
                answers = [connection.answer(), connection.answer()]
            else:
                answers = [connection.get(path)]
            wrong.extend(answer for answer in answers if answer.status != 200)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert not any(client.is_alive() for client in clients)
    assert wrong == []
    (pid,) = server.worker_pids()
    assert re.search(r"\[ERROR\]", server.output) is None, os.kill(pid, 0)
