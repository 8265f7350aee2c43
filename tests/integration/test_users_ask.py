"""What users of other servers ask for and stumble over does not happen here: a test for each row of the collection.

The rows are those of users-ask.md: `test_ask_04` is its pain point 4, `test_fault_d1` its fault D1. Each test shows the
complaint as its user would have met it; the rules behind it are tested elsewhere, at their edges.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.load import Load, application
from .support.masters import alive, children, end_all, named_by, parent

HELLO = """
import os, pathlib, time

def wait_for(name):
    pathlib.Path(name + ".begun").touch()
    while not os.path.exists(name):
        time.sleep(0.01)

def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/gate":
        wait_for(query)
    if path == "/sleep":
        time.sleep(float(query))
    if path == "/exit":
        os._exit(int(query))
    body = (VERSION if path != "/pid" and path != "/sleep" else str(os.getpid())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

VERSION = "one"
"""
BOOTS_WHEN = """
import os, pathlib, time
pathlib.Path("boot.begun").touch()
while not os.path.exists("boot"):
    time.sleep(0.01)
"""


@pytest.fixture
def start(serve) -> Callable[..., ServerProcess]:
    """A server of HELLO."""
    return lambda *arguments, source=HELLO, **options: serve(source, *arguments, **options)


def begun(path: Path) -> None:
    wait_until(path.with_name(path.name + ".begun").exists, what="the start of the request")


def serves(server: ServerProcess, wire, body: bytes) -> None:
    """Wait for an answer of this version: old workers may be there for a moment after a reload."""
    wait_until(lambda: wire(server).get("/").body == body, what=f"the answer {body!r}")


def deploy(folder: Path, source: str) -> None:
    (folder / "app.py").write_text(source)


# Reloading


def test_ask_01_a_reload_neither_loses_nor_stalls_requests(start, tmp_path):
    server = start("--workers", "2", source=application("v0"))
    with Load(server) as load:
        deploy(tmp_path, BOOTS_WHEN + application("v1"))
        server.signal(signal.SIGHUP)
        begun(tmp_path / "boot")
        load.goes_on(2000)
        (tmp_path / "boot").touch()
        load.saw("v1")
        load.goes_on()
    load.flawless()


def test_ask_02_new_code_with_an_error_does_not_end_the_service(start, wire, tmp_path):
    server = start("--workers", "2")
    before = server.worker_pids()
    deploy(tmp_path, "import a_module_that_was_not_installed\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 is withdrawn, the old one keeps serving")
    assert "ModuleNotFoundError: No module named 'a_module_that_was_not_installed'" in server.output
    assert wire(server).get("/").body == b"one"
    wait_until(lambda: server.worker_pids() == before, what="the end of the new workers")
    assert server.running


def test_ask_03_a_rolling_reload_keeps_the_pool_at_its_size(start, wire, tmp_path):
    """At no moment are there fewer workers that serve than the pool's size, or more than one process beyond it."""
    server = start("--workers", "3", "--reload-strategy", "rolling")
    deploy(tmp_path, HELLO.replace('"one"', '"two"'))
    server.signal(signal.SIGHUP)
    seen = set()

    def reloaded() -> bool:
        seen.add(len(children(server.pid)))
        assert wire(server).get("/").body in (b"one", b"two")
        return "Reloaded: generation 2" in server.output

    wait_until(reloaded, timeout=20, what="the end of the reload")
    assert seen <= {3, 4}
    wait_until(lambda: len(server.worker_pids()) == 3, what="the end of the old workers")
    assert {wire(server).get("/").body for _ in range(20)} == {b"two"}


def test_fault_d1_a_reload_to_an_app_that_cannot_be_imported_leaves_the_server_alive(start, wire, tmp_path):
    server = start("--workers", "2")
    deploy(tmp_path, "1 / 0\n")
    for number in (2, 3):
        server.signal(signal.SIGHUP)
        server.wait_for(f"Reload failed: generation {number} is withdrawn")
        assert wire(server).get("/").body == b"one"
    assert "HaltServer" not in server.output
    deploy(tmp_path, HELLO.replace('"one"', '"mended"'))
    server.signal(signal.SIGHUP)
    serves(server, wire, b"mended")


def test_fault_d2_old_workers_serve_until_new_ones_have_loaded(start, wire, tmp_path):
    server = start("--workers", "1")
    deploy(tmp_path, BOOTS_WHEN + HELLO.replace('"one"', '"two"'))
    server.signal(signal.SIGHUP)
    begun(tmp_path / "boot")
    # The new code is being imported, and will be for as long as this test likes.
    assert [wire(server).get("/").body for _ in range(50)] == [b"one"] * 50
    (tmp_path / "boot").touch()
    serves(server, wire, b"two")


# Stopping


def test_ask_04_term_answers_the_connections_in_the_accept_queue(start, wire, tmp_path):
    server = start("--workers", "1")
    running = wire(server)
    running.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    queued = [wire(server) for _ in range(30)]
    for connection in queued:
        connection.ask("/")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert [connection.answer().body for connection in [running, *queued]] == [b"one"] * 31
    assert server.wait() == 0


def test_ask_04_a_load_balancer_has_time_to_notice(start, wire):
    """drain_delay: what a Kubernetes preStop hook with a sleep is for."""
    server = start("--drain-delay", "1")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    wait_until(lambda: wire(server).get("/")["connection"] == "close", timeout=0.9, what="answers that end connections")
    assert server.wait() == 0


def test_fault_d3_term_answers_the_one_that_runs_and_the_three_that_wait(start, wire, tmp_path):
    server = start("--workers", "1")
    clients = [wire(server)]
    clients[0].ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    for _ in range(3):
        clients.append(wire(server))
        clients[-1].ask("/", "Connection: close")
    server.signal(signal.SIGTERM)
    server.wait_for("Handling signal: term")
    (tmp_path / "go").touch()
    assert [client.answer().body for client in clients] == [b"one"] * 4


# Hung workers


@pytest.mark.only_worker_class("sync", reason="a request keeps its one thread from showing a sign of life")
def test_ask_05_worker_timeout_says_which_request(start, wire, tmp_path):
    server = start("--timeout", "1")
    stuck = wire(server)
    stuck.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    pid = int(server.wait_for(r"WORKER TIMEOUT \(pid:(\d+)\)")[1])
    line = server.wait_for(rf".*GET /gate\?{tmp_path}/never.*")[0]
    assert str(pid) in line
    assert re.search(r"\d\.\d s\b", line), "the log does not say for how long"
    assert "127.0.0.1" in line, "the log does not say whose request it is"
    server.wait_for(r"in wait_for\b")
    assert wire(server).get("/").body == b"one"


@pytest.mark.only_worker_class("sync", reason="a request keeps its one thread from showing a sign of life")
def test_ask_06_timeout_is_about_silence_and_0_means_none(start, wire, tmp_path):
    """With the same request, a server with a limit ends it, and one without lets it run."""
    limited = start("--timeout", "1")
    unlimited = start("--timeout", "0")
    cut, patient = wire(limited), wire(unlimited)
    cut.ask(f"/gate?{tmp_path}/a")
    patient.ask(f"/gate?{tmp_path}/b")
    begun(tmp_path / "a")
    begun(tmp_path / "b")
    assert cut.is_cut()
    limited.wait_for("WORKER TIMEOUT")
    (tmp_path / "b").touch()
    assert patient.answer().body == b"one"
    assert "WORKER TIMEOUT" not in unlimited.output
    # An idle worker is not silent.
    idle = int(wire(limited).get("/pid").body)
    quiet = wire(limited)
    assert quiet.is_silent(1.5)
    assert quiet.get("/pid").body == str(idle).encode()


# Balance


def pids_of_two_slow_requests(server, wire) -> list[int]:
    """Who answers two requests that are asked at once over new connections."""
    connections = [wire(server), wire(server)]
    for connection in connections:
        connection.ask("/sleep?0.2")
    return [int(connection.answer().body) for connection in connections]


def test_ask_07_a_busy_worker_leaves_new_connections_to_an_idle_one(start, wire, tmp_path):
    """One worker is busy until the others have answered: a request that waited for it would wait for ever."""
    server = start("--workers", "2")
    long = wire(server)
    long.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    assert [wire(server).get("/").body for _ in range(100)] == [b"one"] * 100
    (tmp_path / "go").touch()
    assert long.answer().body == b"one"


@pytest.mark.only_worker_class("sync", reason="one request at a time")
def test_fault_d14_two_parallel_slow_requests_never_meet_on_one_worker(start, wire):
    server = start("--workers", "2")
    tries = [pids_of_two_slow_requests(server, wire) for _ in range(20)]
    met = [pids for pids in tries if pids[0] == pids[1]]
    assert not met, f"{len(met)} of 20 tries on one worker"


@pytest.mark.only_worker_class("sync", reason="one request at a time")
def test_fault_d14_kept_connections_of_slow_requests_do_not_meet_either(start, wire):
    """While requests are slow, a sync worker ends kept connections, so that the next request is balanced anew."""
    server = start("--workers", "2")
    for _ in range(3):
        pids_of_two_slow_requests(server, wire)
    connection = wire(server)
    assert connection.get("/sleep?0.2")["connection"] == "close"


# Recycling


def test_ask_08_a_worker_that_uses_too_much_memory_is_replaced_after_its_request(start, wire):
    """Memory is looked at in workers that have served for ten seconds, so that a boot that needs much is no loop."""
    leak = "leaked = []\ndef leak(path):\n    if path == '/leak': leaked.append(os.urandom(1) * 200_000_000)\n"
    source = application("v0", preamble=leak, first="leak(environ['PATH_INFO'])")
    server = start("--workers", "1", "--worker-max-memory", "150M", source=source)
    (before,) = server.worker_pids()
    with Load(server, 1, 2, 1) as load:
        assert wire(server).get("/leak").status == 200
        wait_until(lambda: len(load.workers) == 2, timeout=30, what="an answer of a successor")
        wait_until(lambda: not alive(before), what="the end of the worker that used too much")
    load.flawless()
    assert "memory" in server.output, "the log does not say why"


def test_ask_09_max_requests_resets_no_connection_and_replaces_before_death(start, wire, tmp_path):
    """The successor boots for as long as this test likes; until it is ready the old worker answers."""
    server = start("--workers", "1", "--max-requests", "5")
    (before,) = server.worker_pids()
    deploy(tmp_path, BOOTS_WHEN + HELLO)
    kept = wire(server)
    for _ in range(5):
        assert kept.get("/").body == b"one"
    begun(tmp_path / "boot")
    assert [wire(server).get("/pid").body for _ in range(20)] == [str(before).encode()] * 20
    assert kept.get("/pid").body == str(before).encode()
    (tmp_path / "boot").touch()
    wait_until(lambda: wire(server).get("/pid").body != str(before).encode(), what="an answer of the successor")
    answer = kept.get("/pid")
    assert answer.body == str(before).encode()
    while answer["connection"] is None:
        answer = kept.get("/pid")
    assert kept.rest() == b""
    wait_until(lambda: not alive(before), what="the end of the old worker")


# Keep-alive


def test_ask_14_a_request_that_came_in_time_is_answered_however_busy_the_worker_was(start, wire, tmp_path):
    """The keep-alive time is the client's: it does not pass while its request waits to be read."""
    server = start("--workers", "1", "--keep-alive", "1")
    kept, half, slow = wire(server), wire(server), wire(server)
    assert kept.get("/").body == b"one"
    half.send(b"GET / HTTP/1.1\r\nHost: te")
    slow.ask(f"/gate?{tmp_path}/go")
    begun(tmp_path / "go")
    kept.ask("/")
    half.send(b"st\r\n\r\n")
    assert slow.is_silent(2.2)
    (tmp_path / "go").touch()
    assert slow.answer().body == b"one"
    assert kept.answer().body == b"one"
    assert half.answer().body == b"one"


# Preloading


def test_ask_13_preloading_says_what_does_not_survive_a_fork(start, wire):
    source = """
import socket, threading
threading.Thread(target=threading.Event().wait, daemon=True, name="pool-of-the-application").start()
left, right = socket.socketpair()
"""
    server = start("--workers", "2", "--preload", source=source + HELLO)
    warning = server.wait_for(r"\[WARNING\].*thread.*")[0]
    assert "pool-of-the-application" in warning or re.search(r"\b1 thread", warning)
    assert "socket" in warning
    assert wire(server).get("/").body == b"one"


def test_ask_13_preloading_imports_once_and_a_reload_imports_anew(start, wire, tmp_path):
    source = "import pathlib, os\nwith open('imports', 'a') as file: file.write(f'{os.getpid()}\\n')\n"
    server = start("--workers", "3", "--preload", source=source + HELLO)
    imports = (tmp_path / "imports").read_text().split()
    assert len(imports) == 1
    assert int(imports[0]) not in [server.pid, *server.worker_pids()]
    deploy(tmp_path, source + HELLO.replace('"one"', '"two"'))
    server.signal(signal.SIGHUP)
    serves(server, wire, b"two")
    assert len((tmp_path / "imports").read_text().split()) == 2


# Containers


def test_ask_17_no_heartbeat_goes_through_the_disk(start, wire, tmp_path):
    """Nothing that a worker has open could block it: no file in a folder, however small the container's /tmp."""
    server = start("--workers", "1", environment={"TMPDIR": "/nonexistent", "HOME": "/nonexistent"})
    (pid,) = server.worker_pids()
    assert wire(server).get("/").body == b"one"
    targets = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    files = [target for target in targets if target.startswith("/") and not target.startswith(("/dev/", "/memfd:"))]
    assert files == []


def test_ask_18_a_container_without_a_home_logs_no_errors(start, wire):
    """Whatever offers to control the server, it is not there unless asked for, and its absence is no error."""
    lost = {"HOME": "/nonexistent", "TMPDIR": "/nonexistent", "XDG_RUNTIME_DIR": None, "XDG_STATE_HOME": None}
    server = start("--workers", "2", environment=lost)
    assert wire(server).get("/").body == b"one"
    assert server.stop() == 0
    assert not re.search(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback", server.output)


def test_ask_18_workers_inherit_no_descriptor_of_another(start, tmp_path):
    """All workers have the same number of descriptors: the youngest has not got those of its elders."""
    server = start("--workers", "4")
    counts = {len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.worker_pids()}
    assert len(counts) == 1


@pytest.fixture
def as_pid_1() -> list[str]:
    """A prefix that runs a command as process 1 of a namespace of its own."""
    prefix = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system")
    if os.geteuid() != 0:
        prefix = [*prefix[:1], "--user", "--map-root-user", *prefix[1:]]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, timeout=20)
    if tried.returncode:
        pytest.skip(f"no process namespaces here: {tried.stderr.strip()}")
    return prefix


def test_ask_25_as_process_1_it_reaps_strangers_and_stops_on_term(start, wire, tmp_path, as_pid_1):
    """An application leaves orphans to process 1. They are reaped, and none is taken for a worker."""
    source = HELLO.replace(
        'if path == "/sleep":',
        'if path == "/orphan":\n        orphan()\n    if path == "/sleep":',
    )
    source += """
def orphan():
    # A child that leaves a grandchild behind; that ends at once, and its new parent is process 1.
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os._exit(3)
        os._exit(0)
    os.waitpid(child, 0)
"""
    server = start("--workers", "2", source=source, command=[*as_pid_1, sys.executable, "-m", "unicorn_cli"])
    (init,) = children(server.pid)
    try:
        before = set(children(init))
        assert len(before) == 2
        for _ in range(20):
            assert wire(server).get("/orphan").body == b"one"
        wait_until(lambda: not zombies_of(init), what="the end of the orphans")
        assert set(children(init)) == before
        assert not re.search(r"\[(WARNING|ERROR|CRITICAL)\]", server.output)
        os.kill(init, signal.SIGTERM)
        assert server.wait() == 0
    finally:
        if server.running:
            os.kill(init, signal.SIGKILL)  # unshare itself takes no signal while it waits


def zombies_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, its_parent = entry.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(its_parent) == pid:
            found.append(int(entry.parent.name))
    return found


# Crashes


def test_ask_19_a_boot_failure_shows_its_reason_once_and_ends_the_server(start):
    server = start("--workers", "4", source="raise RuntimeError('no database')\n", ready=False)
    assert server.wait() == 3
    assert server.output.count("RuntimeError: no database\n") == 1
    assert server.output.count("Traceback") == 1
    assert len(server.output.splitlines()) < 25


def test_ask_19_an_application_that_exits_while_it_boots_ends_the_server(start):
    server = start("--workers", "2", source="import sys\nsys.exit('no database')\n", ready=False)
    assert server.wait() == 3
    assert "no database" in server.output


def test_ask_19_a_crash_loop_backs_off_and_does_not_flood_the_log(start, wire, tmp_path):
    """Workers that came up once cannot boot any more: they are tried ever more rarely, and the pool heals by itself."""
    server = start("--workers", "2")
    deploy(tmp_path, "raise RuntimeError('the disk is full')\n")
    began = time.monotonic()
    for pid in server.worker_pids():
        os.kill(pid, signal.SIGKILL)
    # Two at first, two at once after the kill, and two each after half a second and a second.
    server.wait_for("Booting worker", count=8)
    assert time.monotonic() - began > 1.4
    assert server.output.count("RuntimeError: the disk is full\n") == 1
    deploy(tmp_path, HELLO)
    server.wait_for(r"Ready: generation 1 serves with workers: 2", count=2)
    assert wire(server).get("/").body == b"one"


def test_ask_19_an_exit_inside_a_request_costs_that_request_only(start, wire):
    server = start("--workers", "1")
    for code in (0, 3, 4):
        connection = wire(server)
        connection.ask(f"/exit?{code}")
        assert connection.is_cut()
        assert connection.seen == b""
        assert wire(server).get("/").body == b"one"
    assert server.running


# systemd


def test_ask_21_an_upgrade_keeps_the_service_and_its_pid_file(start, wire, tmp_path):
    """What makes USR2 usable under a service manager: the pid file (PIDFile=) always names who serves."""
    pidfile = tmp_path / "pid"
    server = start("--workers", "1", "--upgrade-mode", "auto", "--pid", str(pidfile))
    assert named_by(pidfile) == server.pid
    try:
        server.signal(signal.SIGUSR2)
        wait_until(lambda: not server.running, timeout=15, what="the end of the old master")
        wait_until(lambda: named_by(pidfile) not in (0, server.pid), what="the pid file of the new master")
        new = named_by(pidfile)
        assert alive(new)
        assert parent(int(wire(server).get("/pid").body)) == new
    finally:
        end_all(server)
