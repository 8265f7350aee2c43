"""Workers and the arbiter as an operator knows them: signals, crashes, timeouts, and what none of them may cost."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

ONE = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one"]
"""
# Of another size: the bytecode of a file that changes twice within a second and keeps its size counts as current.
TWO = ONE.replace("one", "two") + "# changed\n"


@pytest.fixture
def start(serve, apps) -> Callable[..., ServerProcess]:
    """A server of wire_app."""
    return lambda *arguments, **options: serve("", *arguments, application="wire_app:app", cwd=apps, **options)


def begun(path) -> None:
    wait_until(path.with_name(path.name + ".begun").exists, what="the start of the request")


class SteadyClient:
    """Asks without pause, over new connections and over one that is kept, until it is stopped; counts what came."""

    def __init__(self, server: ServerProcess, wire, path: str = "/") -> None:
        self.answers: list[bytes] = []
        self.failures: list[str] = []
        self._server, self._wire, self._path = server, wire, path
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._new_each), threading.Thread(target=self._kept)]

    def __enter__(self) -> "SteadyClient":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)

    def saw(self, body: bytes) -> None:
        wait_until(lambda: body in self.answers[-5:] or self.failures, timeout=20, what=f"the answer {body!r}")

    def _new_each(self) -> None:
        while not self._stop.is_set():
            try:
                connection = self._wire(self._server)
                self.answers.append(connection.get(self._path, "Connection: close").body)
                connection.close()
            except Exception as error:
                self.failures.append(f"new: {error!r}")

    def _kept(self) -> None:
        connection = None
        while not self._stop.is_set():
            try:
                connection = connection or self._wire(self._server)
                answer = connection.get(self._path)
                self.answers.append(answer.body)
                if answer["connection"] == "close":
                    connection.close()
                    connection = None
            except Exception as error:
                self.failures.append(f"kept: {error!r}")
                connection = None


# Stopping


@pytest.mark.parametrize("workers", ["1", "3"])
def test_term_lets_a_running_request_finish(start, wire, tmp_path, workers):
    server = start("--workers", workers)
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert connection.answer().body == b"through"
    assert server.wait() == 0
    server.wait_for("Shutting down: Master")


def test_term_lets_a_running_stream_finish(start, wire, tmp_path):
    server = start()
    connection = wire(server)
    connection.ask(f"/gate-between-blocks?{tmp_path}/go")
    connection.head()
    assert connection.chunk() == b"first"
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert (connection.chunk(), connection.chunk()) == (b"second", b"")
    assert server.wait() == 0


@pytest.mark.parametrize("listener", ["tcp", "unix"])
def test_connections_that_wait_in_the_accept_queue_at_term_are_answered(start, wire, tmp_path, listener):
    server = start(unix=tmp_path / "s" if listener == "unix" else None)
    running = wire(server)
    running.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    queued = [wire(server) for _ in range(20)]
    for connection in queued:
        connection.ask("/hello")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert running.answer().body == b"through"
    assert [connection.answer().body for connection in queued] == [b"hello"] * 20
    assert server.wait() == 0


def test_pipelined_requests_that_came_before_term_are_answered(start, wire, tmp_path):
    server = start()
    running = wire(server)
    running.send(
        b"GET /gate?%b/go HTTP/1.1\r\nHost: test\r\n\r\n" % bytes(tmp_path) + b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    begun(tmp_path / "go")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert running.answer().body == b"through"
    assert running.answer().body == b"hello"
    assert server.wait() == 0


def test_a_kept_connection_may_bring_its_request_while_the_server_stops(start, wire, tmp_path):
    server = start("--keep-alive", "5")
    idle, running = wire(server), wire(server)
    assert idle.get("/hello").body == b"hello"
    running.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert running.answer().body == b"through"
    while (answer := idle.get("/hello"))["connection"] is None:
        assert answer.body == b"hello"
    assert answer["connection"] == "close"
    assert idle.rest() == b""
    assert server.wait() == 0


def test_after_term_nobody_can_connect(start, wire):
    server = start()
    assert server.stop() == 0
    with pytest.raises(ConnectionRefusedError):
        wire(server)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_do_not_wait_for_requests(start, wire, tmp_path, number):
    server = start("--workers", "2")
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    assert server.stop(number, timeout=5) == 0
    assert connection.is_cut()
    assert connection.seen == b""


def test_a_second_term_does_not_wait_for_requests(start, wire, tmp_path):
    server = start()
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    assert server.running
    assert server.stop(signal.SIGTERM, timeout=5) == 0


@pytest.mark.only_worker_class("sync", "gthread", reason="gevent and eventlet end such a request by themselves")
def test_graceful_timeout_bounds_the_stop(start, wire, tmp_path):
    server = start("--graceful-timeout", "1")
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    (pid,) = server.worker_pids()
    assert server.stop(signal.SIGTERM, timeout=8) == 0
    server.wait_for(rf"Worker \(pid:{pid}\) did not leave in time and is killed")


@pytest.mark.parametrize("preload", [(), ("--preload",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_to_all_processes_at_once_stops_all_and_is_no_error(start, left_of, number, preload):
    """As a terminal sends its interrupt, and some supervisors the end: the others may have left before the arbiter."""
    server = start("--workers", "3", *preload)
    os.killpg(server.pid, number)
    assert server.wait(10) == 0
    assert "Traceback" not in server.output
    assert "[ERROR]" not in server.output
    assert not left_of(server)


def test_requests_while_the_server_stops_are_answered_or_refused(start, wire):
    """Whoever the server has accepted gets an answer; whoever comes later is refused.

    Or reset, where nothing keeps new clients out (elsewhere than on Linux), between the last accept and the close of
    the listener: no answer is ever cut.
    """
    server = start("--workers", "2")
    with SteadyClient(server, wire, "/hello") as client:
        client.saw(b"hello")
        assert server.stop() == 0
    assert set(client.answers) == {b"hello"}
    late = (
        ("ConnectionRefusedError",) if sys.platform == "linux" else ("ConnectionRefusedError", "ConnectionResetError")
    )
    assert [failure for failure in client.failures if not any(name in failure for name in late)] == []


@pytest.mark.each_worker_class
def test_term_does_not_wait_for_the_rest_of_a_request_until_the_worker_is_killed(start, wire):
    server = start("--graceful-timeout", "6")
    connection = wire(server)
    assert connection.get("/hello").body == b"hello"
    connection.send(b"GET /hello HT")
    late = wire(server)
    late.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    assert wire(server).get("/hello").body == b"hello"
    assert server.stop() == 0
    assert "did not leave in time" not in server.output


@pytest.mark.each_worker_class
def test_whoever_waits_for_room_in_a_full_worker_is_let_in_when_there_is_some(start, wire, tmp_path):
    server = start("--worker-connections", "4")
    held = [wire(server) for _ in range(4)]
    for number, connection in enumerate(held):
        connection.ask(f"/gate?{tmp_path}/go{number}", "Connection: close")
    begun(tmp_path / "go0")
    waiting = wire(server)
    waiting.ask("/hello")
    began = time.monotonic()
    for number in range(4):
        (tmp_path / f"go{number}").touch()
    for connection in held:
        assert connection.answer().body == b"through"
    answered = time.monotonic()
    assert waiting.answer().body == b"hello"
    # A worker that looked only when it next beats would do so after up to half a second.
    assert time.monotonic() - answered < max(0.25, answered - began)


def test_connections_beyond_worker_connections_are_answered_at_term_too(start, wire):
    server = start("--worker-connections", "2", "--keep-alive", "2")
    idle = [wire(server) for _ in range(2)]
    for connection in idle:
        assert connection.get("/hello").body == b"hello"
    queued = [wire(server) for _ in range(5)]
    for connection in queued:
        connection.ask("/hello", "Connection: close")
    server.signal(signal.SIGTERM)
    assert [connection.answer().body for connection in queued] == [b"hello"] * 5
    assert server.wait() == 0


def test_what_the_application_registered_with_atexit_runs(serve, tmp_path):
    source = "import atexit, pathlib\natexit.register(pathlib.Path('left').touch)\n" + ONE
    server = serve(source)
    assert not (tmp_path / "left").exists()
    assert server.stop() == 0
    assert (tmp_path / "left").exists()


# Workers that end


def test_a_worker_killed_by_sigkill_is_replaced(start, wire):
    server = start("--workers", "3")
    before = server.worker_pids()
    os.kill(before[1], signal.SIGKILL)
    server.wait_for(rf"\[ERROR\] Worker \(pid:{before[1]}\) was sent SIGKILL! Perhaps out of memory\?\n")
    server.wait_for(r"Ready: generation 1 serves with workers: 3", count=2)
    after = server.worker_pids()
    assert len(after) == 3
    assert set(before) - set(after) == {before[1]}
    assert wire(server).get("/hello").body == b"hello"


def test_a_worker_killed_in_a_request_is_named_with_the_request(start, wire, tmp_path):
    server = start()
    (pid,) = server.worker_pids()
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    os.kill(pid, signal.SIGKILL)
    server.wait_for(rf"\(pid:{pid}\) was sent SIGKILL! Perhaps out of memory\? It was busy with: GET /gate\?")
    assert wire(server).get("/hello").body == b"hello"


def test_a_worker_asked_to_end_finishes_and_is_replaced(start, wire, tmp_path):
    server = start()
    (pid,) = server.worker_pids()
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    os.kill(pid, signal.SIGTERM)
    (tmp_path / "go").touch()
    assert connection.answer().body == b"through"
    server.wait_for(rf"Worker exiting \(pid: {pid}\)")
    assert wire(server).get("/hello").body == b"hello"
    assert server.worker_pids() != [pid]


def test_workers_leave_by_themselves_when_the_arbiter_is_killed(start, wire, left_of, tmp_path):
    server = start("--workers", "3")
    workers = server.worker_pids()
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    server.signal(signal.SIGKILL)
    server.wait_for("has lost its arbiter and leaves", count=2)
    (tmp_path / "go").touch()
    assert connection.answer().body == b"through"
    server.wait_for("has lost its arbiter and leaves", count=3)
    wait_until(lambda: not left_of(server), what="the end of the workers")
    for pid in workers:
        server.wait_for(rf"Worker exiting \(pid: {pid}\)")


@pytest.mark.only_worker_class("sync", reason="a request keeps its one thread from showing a sign of life")
def test_a_worker_that_hangs_is_named_with_its_request_and_replaced(start, wire, tmp_path):
    server = start("--workers", "2", "--timeout", "1")
    before = server.worker_pids()
    stuck = wire(server)
    stuck.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    with SteadyClient(server, wire, "/hello") as client:
        pid = int(server.wait_for(r"\[CRITICAL\] WORKER TIMEOUT \(pid:(\d+)\)")[1])
        server.wait_for(rf"Worker \(pid:{pid}\) was silent for \d\.\d s; busy with: GET /gate\?{tmp_path}/never")
        server.wait_for(r"Ready: generation 1 serves with workers: 2", count=2)
    assert pid in before
    assert client.answers
    assert not client.failures
    assert stuck.is_cut()
    assert stuck.seen == b""
    # Where it hung stands in the log as well.
    server.wait_for(r"was aborted at:\n[\s\S]*in wait_for_file")


def test_a_worker_that_hangs_where_python_cannot_be_interrupted_is_killed(serve, wire):
    source = """
import ctypes

def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        ctypes.PyDLL(None).sleep(30)  # with the interpreter's lock held
    start_response("200 OK", [])
    return [b"fine"]
"""
    server = serve(source, "--timeout", "1")
    (pid,) = server.worker_pids()
    wire(server).ask("/hang")
    server.wait_for(rf"WORKER TIMEOUT \(pid:{pid}\)")
    assert wire(server).get("/").body == b"fine"
    assert server.worker_pids() != [pid]


def test_an_idle_worker_does_not_time_out(start, wire):
    server = start("--timeout", "2", "--keep-alive", "1")
    (pid,) = server.worker_pids()
    for _ in range(3):
        connection = wire(server)
        assert connection.get("/pid").body == str(pid).encode()
        assert connection.rest() == b""  # closed after at least a second of idleness


def test_an_application_may_run_processes_of_its_own(serve, wire):
    source = """
import os, subprocess, sys

def app(environ, start_response):
    text = subprocess.run([sys.executable, "-c", "print('from a child')"], capture_output=True, check=True).stdout
    child = os.fork()
    if child == 0:
        os._exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    start_response("200 OK", [])
    return [b"%b and %d" % (text.strip(), code)]
"""
    server = serve(source)
    before = server.worker_pids()
    assert [wire(server).get("/").body for _ in range(3)] == [b"from a child and 7"] * 3
    assert server.worker_pids() == before


# Recycling


@pytest.mark.parametrize("workers", [1, 3])
def test_max_requests_recycles_workers_without_a_failed_request(start, wire, workers):
    server = start("--workers", str(workers), "--max-requests", "20", "--max-requests-jitter", "10")
    with SteadyClient(server, wire, "/pid") as client:
        wait_until(lambda: len(set(client.answers)) >= workers + 2 or client.failures, what="new workers")
    assert not client.failures
    server.wait_for(r"\[INFO\] Autorestarting worker after current request\.")
    wait_until(lambda: len(server.worker_pids()) == workers, what=f"{workers} workers")


def test_max_requests_counts_requests_not_connections(start, wire):
    server = start("--max-requests", "10")
    connection = wire(server)
    pids = {connection.get("/pid").body for _ in range(10)}
    assert pids == {str(server.worker_pids()[0]).encode()}
    server.wait_for("Autorestarting worker after current request")
    server.wait_for("Booting worker with pid", count=2)


# Reloading


@pytest.mark.parametrize("workers", ["1", "3"])
def test_hup_serves_changed_code_without_a_failed_request(serve, wire, tmp_path, workers):
    server = serve(ONE, "--workers", workers)
    before = server.worker_pids()
    with SteadyClient(server, wire) as client:
        client.saw(b"one")
        (tmp_path / "app.py").write_text(TWO)
        server.signal(signal.SIGHUP)
        server.wait_for(rf"Reloaded: generation 2 serves with workers: {workers}")
        client.saw(b"two")
        wait_until(lambda: not set(before) & set(server.worker_pids()), what="the end of the old workers")
    assert not client.failures
    assert set(client.answers) == {b"one", b"two"}
    assert wire(server).get("/").body == b"two"


def test_hup_lets_running_requests_of_the_old_code_finish(serve, wire, tmp_path):
    source = """
import time, pathlib

def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] == "/slow":
        pathlib.Path("go.begun").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
    return [b"one"]
"""
    server = serve(source)
    slow = wire(server)
    slow.ask("/slow")
    begun(tmp_path / "go")
    (tmp_path / "app.py").write_text(TWO)
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    assert wire(server).get("/").body == b"two"
    (tmp_path / "go").touch()
    assert slow.answer().body == b"one"
    wait_until(lambda: len(server.worker_pids()) == 1, what="the end of the old worker")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("def app(:\n", r"^SyntaxError: "),
        ("raise RuntimeError('at import')\n", r"^RuntimeError: at import\n"),
        ("import no_such_module\n", r"^ModuleNotFoundError: No module named 'no_such_module'\n"),
        ("import os\nos._exit(9)\n", r"the worker ended \(exited with code 9\)"),
        ("app = 'no application'\n", r"is no application: it is not callable"),
    ],
)
def test_hup_to_broken_code_keeps_the_old_one_serving(serve, wire, tmp_path, broken, told):
    server = serve(ONE, "--workers", "3")
    before = server.worker_pids()
    with SteadyClient(server, wire) as client:
        (tmp_path / "app.py").write_text(broken)
        server.signal(signal.SIGHUP)
        server.wait_for(r"\[ERROR\] Reload failed: generation 2 is withdrawn, the old one keeps serving")
        wait_until(lambda: server.worker_pids() == before, what="the end of the new workers")
        client.saw(b"one")
    assert not client.failures
    assert set(client.answers) == {b"one"}
    assert len(re.findall(told, server.output, re.MULTILINE)) == 1, server.output
    (tmp_path / "app.py").write_text(TWO)
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 3 serves")
    wait_until(lambda: not set(before) & set(server.worker_pids()), what="the end of the old workers")
    assert wire(server).get("/").body == b"two"


def test_hup_reads_the_configuration_file_anew(serve, wire, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("workers = 1\n")
    server = serve(ONE)
    (tmp_path / "unicorn.conf.py").write_text("workers = 3\nserver_header = 'changed'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2 serves with workers: 3")
    wait_until(lambda: len(server.worker_pids()) == 3, what="three workers")
    assert wire(server).get("/")["server"] == "changed"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "workers = 'many'\n",
            r"Reload refused, nothing changed: setting workers = 'many' \(file .*unicorn\.conf\.py\)",
        ),
        ("1 / 0\n", r"Reload refused, nothing changed: configuration file .*ZeroDivisionError"),
        ("protocol = 'nonsense'\n", r"Reload refused, nothing changed: protocol 'nonsense' is not known"),
    ],
)
def test_hup_to_a_wrong_configuration_file_changes_nothing(serve, wire, tmp_path, content, told):
    (tmp_path / "unicorn.conf.py").write_text("workers = 1\n")
    server = serve(ONE)
    before = server.worker_pids()
    (tmp_path / "unicorn.conf.py").write_text(content)
    server.signal(signal.SIGHUP)
    server.wait_for(told)
    assert wire(server).get("/").body == b"one"
    assert server.worker_pids() == before


def test_many_hups_at_once_end_in_the_last_code(serve, wire, tmp_path):
    server = serve(ONE, "--workers", "2")
    with SteadyClient(server, wire) as client:
        for number in range(5):
            (tmp_path / "app.py").write_text(ONE.replace("one", f"number {number}") + "#" * number)
            server.signal(signal.SIGHUP)
            server.wait_for("Handling signal: hup", count=number + 1)
        client.saw(b"number 4")
        wait_until(lambda: len(server.worker_pids()) == 2, timeout=20, what="two workers")
    assert not client.failures


def test_term_during_a_reload_stops(serve, wire, tmp_path):
    server = serve(ONE, "--workers", "2")
    (tmp_path / "app.py").write_text("import time\ntime.sleep(30)\n" + TWO)
    server.signal(signal.SIGHUP)
    server.wait_for("Booting worker with pid", count=4)
    assert server.stop(timeout=10) == 0


# Resizing


def test_ttin_and_ttou_change_the_number_of_workers(start, wire):
    server = start("--workers", "1")
    first = server.worker_pids()
    server.signal(signal.SIGTTIN)
    server.wait_for("Handling signal: ttin")
    wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
    server.wait_for("Ready: generation 1 serves with workers: 2")
    server.signal(signal.SIGTTOU)
    wait_until(lambda: server.worker_pids() == first, what="one worker")
    server.signal(signal.SIGTTOU)
    server.wait_for("Handling signal: ttou", count=2)
    assert wire(server).get("/pid").body == str(first[0]).encode()


def test_resizing_fails_no_request(start, wire):
    server = start("--workers", "2")
    with SteadyClient(server, wire, "/hello") as client:
        for round_ in range(3):
            server.signal(signal.SIGTTIN)
            server.wait_for("Ready: generation 1 serves with workers: 3", count=round_ + 1)
            server.signal(signal.SIGTTOU)
            wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
    assert not client.failures
    assert client.answers


# Boot


@contextmanager
def failing(serve, source: str, *arguments: str, **options) -> Iterator[ServerProcess]:
    server = serve(source, *arguments, ready=False, **options)
    yield server
    assert 'Traceback (most recent call last):\n  File "<frozen' not in server.output
    assert "unicorn_core/" not in server.output, "the traceback shows the user's code alone"


@pytest.mark.parametrize("workers", ["1", "4"])
@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def app(:\n", "SyntaxError: "),
        ("def boot():\n    raise RuntimeError('at import')\n\nboot()\n", "RuntimeError: at import"),
    ],
)
def test_an_application_that_fails_to_import_is_shown_once_and_ends_with_code_3(serve, workers, source, told):
    with failing(serve, source, "--workers", workers) as server:
        assert server.wait(10) == 3
        assert len(re.findall("Traceback", server.output)) <= 1
        assert len(re.findall(rf"^{re.escape(told)}", server.output, re.MULTILINE)) == 1, server.output
        assert 'app.py", line ' in server.output
        server.wait_for(r"application 'app:app' failed to boot: \w+: .*\(working folder ")


@pytest.mark.parametrize("workers", ["1", "4"])
@pytest.mark.parametrize("code", [0, 1, 9])
def test_a_process_that_ends_while_it_boots_ends_the_server_with_code_3(serve, workers, code):
    with failing(serve, f"import os\nos._exit({code})\n", "--workers", workers) as server:
        assert server.wait(10) == 3
        server.wait_for(rf"the worker ended \(exited with code {code}\) before it was ready")


def test_an_application_that_exits_while_it_is_imported_ends_the_server_with_code_3(serve):
    with failing(serve, "import sys\nsys.exit(0)\n") as server:
        assert server.wait(10) == 3
        server.wait_for("failed to boot: SystemExit: 0")


def test_a_missing_module_says_where_it_was_looked_for(serve, tmp_path):
    with failing(serve, "", application="nowhere:app") as server:
        assert server.wait(10) == 3
        server.wait_for(rf"cannot import 'nowhere:app': there is no module 'nowhere' in {tmp_path} or elsewhere")
        assert "Traceback" not in server.output


def test_a_file_name_in_place_of_a_module_gets_a_hint(serve):
    with failing(serve, ONE, application="app.py") as server:
        assert server.wait(10) == 3
        server.wait_for("did you mean app:app?")


@pytest.mark.parametrize(
    ("source", "application", "told"),
    [
        (ONE, "app:missing", r"has no attribute 'missing'"),
        ("app = 5\n", "app:app", r"'app:app' is no application: it is not callable but of type 'int'"),
        ("x = 1\n", "app", r"module 'app' has no attribute 'application' or 'app'"),
        (ONE, "app:app.deep.er", r"has no attribute 'app.deep.er'"),
        (ONE, "app:app +", r"cannot read 'app \+'"),
        ("def make():\n    return 5\n", "app:make()", r"is no application: it is not callable"),
        (ONE, "app:ONE()", r"has no attribute 'ONE'"),
        (ONE, "app:app(open('x'))", r"must be literals"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "4"])
def test_what_is_no_application_ends_with_code_4(serve, source, application, told, workers):
    with failing(serve, source, "--workers", workers, application=application) as server:
        assert server.wait(10) == 4
        assert len(re.findall(told, server.output)) == 1, server.output
        assert "Traceback" not in server.output


def test_a_factory_that_raises_ends_with_code_3_and_its_traceback(serve):
    with failing(serve, "def make():\n    raise LookupError('no such tenant')\n", application="app:make()") as server:
        assert server.wait(10) == 3
        server.wait_for(r"Traceback[\s\S]*in make\n[\s\S]*LookupError: no such tenant")


@pytest.mark.only_worker_class("sync", "gthread", reason="to import a library may take as long on a busy machine")
def test_a_boot_that_takes_too_long_ends_the_server(serve):
    server = serve("import time\ntime.sleep(30)\n", "--worker-boot-timeout", "1", ready=False)
    assert server.wait(10) == 3
    server.wait_for(r"the worker was not ready after \d s \(setting worker_boot_timeout\)")
    server.wait_for(r"was aborted at:\n[\s\S]*app\.py\", line 2")


def test_a_crash_loop_backs_off_and_recovers(serve, wire, tmp_path):
    """Once workers were ready, one that fails to boot is tried again, later each time."""
    server = serve(ONE)
    (pid,) = server.worker_pids()
    (tmp_path / "app.py").write_text("raise RuntimeError('broken meanwhile')\n")
    os.kill(pid, signal.SIGKILL)
    server.wait_for(r"Slot 0: \d times in a row: .*; next try in [\d.]+ s", count=2)
    assert server.running
    assert server.output.count("RuntimeError: broken meanwhile\n") <= 2
    (tmp_path / "app.py").write_text(TWO)
    server.wait_for("Ready: generation 1 serves with workers: 1", count=2)
    assert wire(server).get("/").body == b"two"


SLOW_BOOT = """
import pathlib
import time


def wait(name):
    pathlib.Path(name + ".begun").touch()
    until = time.monotonic() + 20
    while not pathlib.Path(name).exists() and time.monotonic() < until:
        time.sleep(0.005)


wait("boot")


def app(environ, start_response):
    start_response("200 OK", [])
    if environ["PATH_INFO"] != "/":
        wait(environ["PATH_INFO"][1:])
    return [b"fine"]
"""


@pytest.mark.parametrize("what", ["a further reload", "term"])
def test_a_worker_that_serves_before_the_arbiter_knows_it_loses_no_request(serve, wire, tmp_path, what):
    """The arbiter, busy with the configuration, has not read that the new worker is ready, and dismisses it."""
    (tmp_path / "unicorn.conf.py").write_text("workers = 1\n")
    (tmp_path / "boot").touch()
    server = serve(SLOW_BOOT)
    (tmp_path / "boot").unlink()
    (tmp_path / "boot.begun").unlink()
    busy = wire(server)
    busy.ask("/old")
    begun(tmp_path / "old")
    server.signal(signal.SIGHUP)
    begun(tmp_path / "boot")
    (tmp_path / "unicorn.conf.py").write_text(SLOW_BOOT.replace('"boot"', '"conf"'))
    server.signal(signal.SIGHUP)
    begun(tmp_path / "conf")
    # The new worker gets ready, and a request, while the arbiter waits for its configuration.
    connection = wire(server)
    connection.ask("/new")
    (tmp_path / "boot").touch()
    begun(tmp_path / "new")
    if what == "term":
        (tmp_path / "unicorn.conf.py").write_text("workers = 1\n")
        server.signal(signal.SIGTERM)
    (tmp_path / "conf").touch()
    server.wait_for("Handling signal: term" if what == "term" else "Reloaded: generation 3")
    (tmp_path / "new").touch()
    assert connection.answer().body == b"fine"
    (tmp_path / "old").touch()
    assert busy.answer().body == b"fine"
