"""Whatever an operator does to a server, no request fails that could still be answered.

Each test lets kept, pausing and one-shot clients ask thousands of times a second (support/load.py) while it reloads,
resizes, upgrades, recycles, kills or stops, and counts strictly: zero failures, or, where a process is killed, no other
failures than those of the requests that were in it. UNICORN_LOAD_FACTOR=5 repeats everything five times as often;
UNICORN_WORKER_CLASSES=all runs all of it with each worker class.
"""

import contextlib
import os
import random
import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.load import DOTS, Load, application, times
from .support.masters import alive, end_all, ends, masters, named_by, new_master, workers_of

LISTENERS = pytest.mark.parametrize("listener", ["tcp", "unix"])
WORKERS = pytest.mark.parametrize("workers", [1, 2])
STRATEGIES = pytest.mark.parametrize("strategy", ["all", "rolling"])


OPTIONS = pytest.mark.parametrize(
    "options", [(), ("--reuse-port",), ("--preload",)], ids=["-", "reuse-port", "preload"]
)
ENDED = re.compile(
    r"(end-of-file|ECONNRESET|EPIPE) (before an|after \d+ bytes of an|behind a complete) answer|.* of idleness"
)
"""How a connection of a killed worker may end; nothing was on one that was idle."""
WITHOUT_BIND = Path(__file__).parent / "support" / "without_bind.py"


class Site:
    """A server of `application(version)`, and what an operator does to it."""

    def __init__(self, folder: Path, serve: Callable[..., ServerProcess]) -> None:
        self.folder = folder
        self._serve = serve
        self.server: ServerProcess

    def deploy(self, version: str, **options: str) -> None:
        (self.folder / "app.py").write_text(application(version, **options))

    def start(
        self, *arguments: str, listener: str = "tcp", preamble: str = "", first: str = "pass", **options: object
    ) -> ServerProcess:
        self.deploy("v0", preamble=preamble, first=first)
        unix = self.folder / "s" if listener == "unix" else None
        self.server = self._serve("", *arguments, unix=unix, **options)
        return self.server

    def reload(self, load: Load, number: int) -> None:
        """Deploy version `number`, HUP, and wait until it alone answers."""
        self.deploy(f"v{number}")
        before = self.server.output.count("Reloaded: generation")
        self.server.signal(signal.SIGHUP)
        self.server.wait_for("Reloaded: generation", count=before + 1)
        load.saw(f"v{number}")


@pytest.fixture
def site(tmp_path, serve) -> Iterator[Site]:
    made = Site(tmp_path, serve)
    yield made
    end_all(made.server)


# The load itself


class Liar:
    """A server that answers every connection with one and the same, whatever was asked."""

    unix = None

    def __init__(self, answer: bytes, reset: bool) -> None:
        self._answer, self._reset = answer, reset
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if not connection.recv(65536):
                    return
                connection.sendall(self._answer)
                if self._reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)):
            pass  # a connection without a request
        self._thread.join(5)
        self._listener.close()


def _answer(path: str = "/once-0-1", length: int | None = None, closes: bool = True) -> bytes:
    body = f"v0 123 {path} {'.' * DOTS}\n"
    length = len(body) if length is None else length
    field = "Connection: close\r\n" if closes else ""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{field}\r\n{body}".encode()


@pytest.mark.parametrize(
    ("answer", "reset", "told"),
    [
        (b"", False, "end-of-file before an answer"),
        (b"", True, "ECONNRESET before an answer"),
        (_answer()[:-1], False, r"end-of-file after \d+ bytes of an answer"),
        (_answer()[:30], True, r"ECONNRESET after \d+ bytes of an answer"),
        (_answer("/once-1-1"), False, "wrong body"),
        (_answer().replace(b"..\n", b".\n!"), False, "wrong body"),
        (_answer(length=900), False, r"\d+ bytes beyond the answer"),
        (_answer().replace(b"200", b"503"), False, "status 503"),
        (_answer(closes=False), False, "asked to close, the server did not say that it does"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False, "a head that is none, or without a length"),
    ],
)
def test_the_clients_notice_a_wrong_answer(answer, reset, told):
    liar = Liar(answer, reset)
    try:
        with Load(liar, 0, 0, 1, begin=0) as load:
            wait_until(lambda: load.failures, what="a failure")
    finally:
        liar.close()
    assert re.match(told, load.failures[0].what)
    with pytest.raises(AssertionError, match=told):
        load.flawless()


def test_the_clients_notice_a_refused_connect():
    liar = Liar(b"", False)
    liar.close()
    with Load(liar, 1, 1, 1, begin=0) as load:
        wait_until(lambda: len(load.failures) > 5, what="failures")
    assert {failure.what for failure in load.failures} == {"refused"}
    with Load(liar, 1, 1, 1, begin=0, leave_when_refused=True) as load:
        load.wait()
    assert (load.failures, load.refused) == ([], 3)


def test_the_clients_notice_that_an_idle_connection_is_closed_too_early(site):
    """Against a server whose keep-alive is in truth shorter than what the clients were told."""
    server = site.start("--keep-alive", "1")
    with Load(server, 0, 2, 0, begin=0, pause=2.5, keepalive=10) as load:
        wait_until(lambda: load.failures, what="a failure")
    assert re.match(r"end-of-file after (0\.9|1\.|2\.)\d+ s of idleness", load.failures[0].what)
    with Load(server, 0, 2, 0, begin=0, pause=2.5, keepalive=1) as load:
        load.goes_on(1)
        wait_until(lambda: load.expired, what="an expired connection")
    load.flawless(at_least=1)


# Reloading


@STRATEGIES
@WORKERS
@LISTENERS
def test_ten_reloads_fail_no_request(site, strategy, workers, listener):
    server = site.start("--workers", str(workers), "--reload-strategy", strategy, listener=listener)
    with Load(server) as load:
        for number in range(1, times(10) + 1):
            site.reload(load, number)
        last = server.worker_pids()[-workers:]
    load.flawless()
    wait_until(lambda: server.worker_pids() == last, what="the end of the old workers")


@pytest.mark.each_worker_class
def test_reloads_without_waiting_for_the_one_before_fail_no_request(site):
    server = site.start("--workers", "2")
    with Load(server) as load:
        for number in range(1, times(10) + 1):
            site.deploy(f"v{number}")
            server.signal(signal.SIGHUP)
            load.goes_on(200)
        load.saw(f"v{number}")
    load.flawless()


@pytest.mark.parametrize("strategy", ["all", "rolling"])
def test_reloads_with_preload_fail_no_request(site, strategy):
    server = site.start("--workers", "2", "--preload", "--reload-strategy", strategy)
    with Load(server) as load:
        for number in range(1, times(5) + 1):
            site.reload(load, number)
    load.flawless()


@STRATEGIES
def test_reloads_with_a_socket_for_each_worker_fail_no_request(site, strategy):
    server = site.start("--workers", "2", "--reuse-port", "--reload-strategy", strategy)
    with Load(server) as load:
        for number in range(1, times(5) + 1):
            site.reload(load, number)
    load.flawless()


@STRATEGIES
def test_no_request_waits_for_new_code_that_boots_slowly(site, strategy):
    """The boot lasts until thousands of requests have been answered meanwhile."""
    server = site.start("--workers", "2", "--reload-strategy", strategy)
    booted = site.folder / "booted"
    slow = f"import time\nwhile not os.path.exists({str(booted)!r}): time.sleep(0.01)"
    with Load(server) as load:
        site.deploy("v1", preamble=slow)
        server.signal(signal.SIGHUP)
        server.wait_for("Booting worker with pid", count=3)
        load.goes_on(5000)
        assert load.versions.keys() == {"v0"}
        booted.touch()
        load.saw("v1")
        server.wait_for("Reloaded: generation 2")
    load.flawless()


@STRATEGIES
@pytest.mark.parametrize("broken", ["def app(:\n", "import no_such_module\n", "raise SystemExit(3)\n"])
def test_a_reload_to_broken_code_fails_no_request(site, strategy, broken):
    server = site.start("--workers", "2", "--reload-strategy", strategy)
    before = server.worker_pids()
    with Load(server) as load:
        (site.folder / "app.py").write_text(broken)
        server.signal(signal.SIGHUP)
        server.wait_for("Reload failed: generation 2 is withdrawn, the old one keeps serving")
        load.goes_on()
        assert load.versions.keys() == {"v0"}
        if strategy == "all":
            assert set(load.workers) == set(before)
        site.reload(load, 2)
    load.flawless()


def test_a_changed_bind_closes_and_opens_just_the_listeners_that_changed(site):
    """Of three addresses one stays, one goes, one is new."""
    stays, goes, comes = free_ports(3)
    configuration = site.folder / "unicorn.conf.py"
    configuration.write_text(f"bind = ['127.0.0.1:{stays}', '127.0.0.1:{goes}']\n")
    server = site.start("--workers", "2", command=(sys.executable, str(WITHOUT_BIND)))
    with (
        Load(server, address=("127.0.0.1", stays)) as unchanged,
        Load(server, 4, 2, 4, address=("127.0.0.1", goes), leave_when_refused=True) as old,
    ):
        configuration.write_text(f"bind = ['127.0.0.1:{stays}', '127.0.0.1:{comes}']\n")
        site.reload(unchanged, 1)
        with Load(server, 4, 2, 4, address=("127.0.0.1", comes)) as new:
            new.goes_on()
        old.wait()
        unchanged.goes_on()
    unchanged.flawless()
    new.flawless()
    old.flawless(at_least=100)
    assert old.refused == old.clients


# Resizing


@pytest.mark.parametrize(
    ("listener", "options"),
    [("tcp", ()), ("unix", ()), ("tcp", ("--reuse-port",)), ("tcp", ("--preload",))],
    ids=["tcp", "unix", "reuse-port", "preload"],
)
def test_more_and_fewer_workers_fail_no_request(site, listener, options):
    server = site.start("--workers", "1", *options, listener=listener)
    (first,) = server.worker_pids()
    told = count(1)
    with Load(server) as load:
        for _ in range(times(3)):
            for number in [signal.SIGTTIN] * 3 + [signal.SIGTTOU] * 3:
                server.signal(number)
                # Two signals of a kind that come at once are one: each is taken before the next, ready or not.
                server.wait_for(r"Handling signal: tt(in|ou)", count=next(told))
            load.goes_on()
            wait_until(lambda: server.worker_pids() == [first], what="one worker")
            for size in (2, 3, 2, 1):
                server.signal(signal.SIGTTIN if size > len(server.worker_pids()) else signal.SIGTTOU)
                server.wait_for(r"Handling signal: tt(in|ou)", count=next(told))
                wait_until(lambda size=size: len(server.worker_pids()) == size, what=f"{size} workers")
                load.goes_on()
    load.flawless()


def test_bursts_of_all_signals_that_change_the_pool_fail_no_request(site):
    server = site.start("--workers", "2")
    with Load(server) as load:
        for _ in range(times(20)):
            for number in (signal.SIGTTIN, signal.SIGHUP, signal.SIGTTOU, signal.SIGUSR1):
                server.signal(number)
            load.goes_on(200)
        wait_until(lambda: len(server.worker_pids()) == 2, timeout=20, what="two workers")
    load.flawless()


def test_a_pool_that_grows_and_shrinks_by_itself_fails_no_request(site):
    """Busy clients make it grow; it shrinks again under a few clients with pauses, who lose nothing either."""
    # Busy must not depend on how many clients the machine can run beside the server.
    server = site.start("--workers", "1..3", preamble="import time", first="time.sleep(0.004)")
    assert len(server.worker_pids()) == 1
    with Load(server, 0, 8, 0) as calm:
        with Load(server, 8, 0, 16) as busy:
            wait_until(lambda: len(busy.workers) == 3, timeout=25, what="three workers")
        wait_until(lambda: len(server.worker_pids()) == 2, timeout=30, what="one worker less")
        calm.goes_on(100)
    busy.flawless(at_least=100)  # it may be over in a second
    calm.flawless(at_least=100)


# Recycling


@WORKERS
@pytest.mark.parametrize("jitter", ["0", "20"])
def test_recycling_every_50_requests_fails_no_request(site, workers, jitter):
    server = site.start("--workers", str(workers), "--max-requests", "50", "--max-requests-jitter", jitter)
    with Load(server) as load:
        wait_until(lambda: len(load.workers) >= times(15), timeout=20, what="15 workers")
    load.flawless()


def test_recycling_of_preloaded_workers_fails_no_request(site):
    server = site.start("--workers", "2", "--max-requests", "50", "--preload")
    with Load(server) as load:
        wait_until(lambda: len(load.workers) >= times(15), timeout=20, what="15 workers")
    load.flawless()


@pytest.mark.each_worker_class
def test_recycling_with_a_socket_for_each_worker_fails_no_request(site):
    server = site.start("--workers", "2", "--max-requests", "50", "--reuse-port")
    with Load(server) as load:
        wait_until(lambda: len(load.workers) >= times(15), timeout=20, what="15 workers")
    load.flawless()


# Workers that end


@OPTIONS
def test_twenty_killed_workers_fail_nothing_but_what_was_in_them(site, options):
    """A kill may cost each connection of that worker the request that is on it, and no other connection anything."""
    server = site.start("--workers", "4", *options)
    with Load(server) as load:
        costs_of_kills(server, load, times(20))


@pytest.mark.each_worker_class
def test_a_killed_worker_that_was_alone_fails_nothing_but_what_was_in_it(site):
    """Until there is another one, new connections wait in the queue."""
    server = site.start("--workers", "1")
    with Load(server) as load:
        costs_of_kills(server, load, times(5))


def costs_of_kills(server: ServerProcess, load: Load, number: int) -> None:
    """Kill workers, the oldest first, once they are old enough not to count as a crash loop."""
    serving_since: dict[int, float] = {}
    killed: set[int] = set()

    def old_enough() -> bool:
        for pid in load.workers:
            serving_since.setdefault(pid, monotonic())
        return any(monotonic() - since > 1.1 for pid, since in serving_since.items() if pid not in killed)

    for _ in range(number):
        wait_until(old_enough, timeout=20, what="a worker that has served for a while")
        victim = min(serving_since.keys() - killed, key=serving_since.__getitem__)
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
        server.wait_for(rf"\(pid:{victim}\) was sent SIGKILL")
        load.goes_on(200)
    # A client has one connection, and goes on with a new one; it may notice a kill only after the next.
    costs = Counter(failure.client for failure in load.failures)
    assert max(costs.values(), default=0) <= number, load
    for failure in load.failures:
        assert ENDED.match(failure.what), load
        assert failure.worker in killed | {0}, load
    assert load.requests > 500


@pytest.mark.each_worker_class
@LISTENERS
def test_workers_that_are_told_to_leave_fail_no_request(site, listener):
    server = site.start("--workers", "2", listener=listener)
    with Load(server) as load:
        for _ in range(times(5)):
            oldest = server.worker_pids()[0]
            os.kill(oldest, signal.SIGTERM)
            wait_until(lambda oldest=oldest: not alive(oldest), what="the end of the worker")
            load.goes_on(200)
    load.flawless()


# Upgrading


@LISTENERS
def test_upgrades_that_end_the_old_master_by_themselves_fail_no_request(site, listener):
    pidfile = site.folder / "pid"
    server = site.start("--workers", "2", "--upgrade-mode", "auto", "--pid", str(pidfile), listener=listener)
    with Load(server) as load:
        for number in range(1, times(3) + 1):
            site.deploy(f"v{number}")
            (old,) = masters(server)
            new = new_master(server, workers=2)
            load.saw(f"v{number}")
            ends(old)
            wait_until(lambda new=new: named_by(pidfile) == new, what="the pid file of the new master")
            wait_until(lambda: not pidfile.with_name("pid.2").exists(), what="the end of the second pid file")
            assert masters(server) == [new]
        load.goes_on()
        # All that the old masters left serves on: their workers are gone, their listeners are not.
        assert len(server.worker_pids()) == 2
    load.flawless()


@LISTENERS
def test_an_upgrade_by_hand_fails_no_request(site, listener):
    """USR2; WINCH to the old master once the new one serves; TERM to it once the new one is trusted."""
    pidfile = site.folder / "pid"
    server = site.start("--workers", "2", "--pid", str(pidfile), listener=listener)
    with Load(server) as load:
        for number in range(1, times(2) + 1):
            site.deploy(f"v{number}")
            (old,) = masters(server)
            new = new_master(server, workers=2)
            load.saw(f"v{number}")
            assert named_by(pidfile.with_name("pid.2")) == new
            assert masters(server) == [old, new]
            os.kill(old, signal.SIGWINCH)
            wait_until(lambda old=old: not workers_of(server, old), what="the end of the old workers")
            load.goes_on()
            os.kill(old, signal.SIGTERM)
            ends(old)
            wait_until(lambda new=new: named_by(pidfile) == new, what="the pid file of the new master")
            wait_until(lambda: not pidfile.with_name("pid.2").exists(), what="the end of the second pid file")
            load.goes_on()
    load.flawless()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGQUIT])
def test_an_upgrade_that_is_taken_back_fails_no_request(site, end):
    """USR2, WINCH to the old master, then second thoughts: HUP brings its workers back, and the new one goes.

    QUIT to the new master is quick, and may cost what is on its connections; so they are drained by WINCH first.
    """
    pidfile = site.folder / "pid"
    server = site.start("--workers", "2", "--pid", str(pidfile))
    (old,) = masters(server)
    with Load(server) as load:
        site.deploy("v1")
        new = new_master(server, workers=2)
        os.kill(old, signal.SIGWINCH)
        wait_until(lambda: not workers_of(server, old), what="the end of the old workers")
        load.saw("v1")
        site.deploy("v2")
        os.kill(old, signal.SIGHUP)
        wait_until(lambda: len(workers_of(server, old)) == 2, what="new workers of the old master")
        load.saw("v2")
        if end is signal.SIGQUIT:
            os.kill(new, signal.SIGWINCH)
            wait_until(lambda: not workers_of(server, new), what="the end of the new master's workers")
        os.kill(new, end)
        ends(new)
        load.goes_on()
        assert masters(server) == [old]
        assert named_by(pidfile) == old
        wait_until(lambda: not pidfile.with_name("pid.2").exists(), what="the end of the second pid file")
    load.flawless()
    assert server.running


# Stopping


@pytest.mark.each_worker_class
@pytest.mark.parametrize("options", [(), ("--reuse-port",)], ids=["shared", "reuse-port"])
@LISTENERS
def test_term_answers_what_runs_and_what_waits_in_the_accept_queue(site, wire, options, listener):
    gate = site.folder / "go"
    begun = site.folder / "begun"
    waits = (
        f"import pathlib, time\n"
        f"def wait(environ):\n"
        f"    if environ['PATH_INFO'] == '/slow':\n"
        f"        pathlib.Path({str(begun)!r} + str(os.getpid())).touch()\n"
        f"        while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    )
    server = site.start("--workers", "2", *options, listener=listener, preamble=waits, first="wait(environ)")
    running = [wire(server)]
    running[0].ask("/slow")
    # Connections are not handed out by turns: more requests until each worker has one.
    while not wait_briefly(lambda: len(list(site.folder.glob("begun*"))) == 2):
        assert len(running) < 40, "two workers were never busy at once"
        running.append(wire(server))
        running[-1].ask("/slow")
    queued = [wire(server) for _ in range(50)]
    for connection in queued:
        connection.ask("/queued")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    gate.touch()
    for connection in [*running, *queued]:
        answer = connection.answer()
        assert answer.body.endswith(b".\n")
        # What ran when the signal came may have said nothing of the end: then the next request over it is answered.
        while answer["connection"] is None:
            answer = connection.get("/next")
        assert answer["connection"] == "close"
        assert connection.rest() == b""
    assert server.wait() == 0


@pytest.mark.parametrize("options", [(), ("--reuse-port",)], ids=["shared", "reuse-port"])
@WORKERS
def test_term_resets_nobody(site, workers, options):
    """Who was accepted by the kernel is answered, who comes later is refused; nobody hangs and nobody is cut."""
    for _ in range(times(3)):
        server = site.start("--workers", str(workers), *options)
        with Load(server, 8, 4, 32, leave_when_refused=True) as load:
            load.goes_on(1000)
            assert server.stop() == 0
            load.wait()
        load.flawless()
        assert load.refused == load.clients


@pytest.mark.each_worker_class
def test_term_on_a_unix_socket_resets_nobody(site):
    for _ in range(times(3)):
        server = site.start("--workers", "2", listener="unix")
        with Load(server, 8, 4, 32, leave_when_refused=True) as load:
            load.goes_on(1000)
            assert server.stop() == 0
            load.wait()
        load.flawless()
        assert load.refused == load.clients


@pytest.mark.each_worker_class
def test_a_lame_duck_answers_new_connections_and_lets_every_connection_end(site, wire):
    server = site.start("--workers", "2", "--drain-delay", "2")
    kept = wire(server)
    assert kept.get("/before")["connection"] is None
    with Load(server, leave_when_refused=True) as load:
        server.signal(signal.SIGTERM)
        server.wait_for("Handling signal: term")
        # The workers are told one after the other.
        wait_until(lambda: kept.get("/after")["connection"] == "close", timeout=1, what="a lame duck")
        wait_until(
            lambda: all(wire(server).get("/new")["connection"] == "close" for _ in range(4)),
            timeout=1,
            what="another one",
        )
        assert wire(server).get("/new")["connection"] == "close"
        before = load.requests
        load.goes_on(1000)
        assert server.running
        assert load.refused == 0, f"{load.requests - before} answers"
        assert server.wait() == 0
        load.wait()
    load.flawless()
    assert load.refused == load.clients


def test_a_second_term_ends_the_lame_duck(site, left_of):
    server = site.start("--drain-delay", "60")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    assert server.stop(timeout=10) == 0
    assert not left_of(server)


def free_ports(number: int) -> list[int]:
    """Ports on which nobody listens, and that the system gives to no client."""
    ports: list[int] = []
    while len(ports) < number:
        port = random.randrange(15000, 30000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
    return ports


def wait_briefly(condition: Callable[[], bool]) -> bool:
    """Wait for what may, or may not, come true."""
    with contextlib.suppress(AssertionError):
        wait_until(condition, timeout=0.2)
    return condition()
