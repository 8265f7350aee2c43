"""With preload_app the application is imported once a generation, outside of the arbiter, and everything else holds."""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

COUNTED = """
import os
with open("imports", "a") as file:
    file.write(f"{os.getpid()}\\n")

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"%s {os.getpid()}".encode()]
"""


@pytest.fixture
def preload(serve, tmp_path) -> Callable[..., ServerProcess]:
    """A server whose application counts its imports."""
    return lambda *arguments, code="one", **options: serve(COUNTED % code, "--preload", *arguments, **options)


def imports(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "imports").read_text().split()]


def mold_of(server: ServerProcess, count: int = 1) -> int:
    return int(server.wait_for(r"mold with pid: (\d+)", count=count)[1])


def test_the_application_is_imported_once_for_all_workers_and_not_in_the_arbiter(preload, wire, tmp_path):
    server = preload("--workers", "3")
    assert imports(tmp_path) == [mold_of(server)]
    assert server.pid not in imports(tmp_path)
    assert wire(server).get("/").body.startswith(b"one ")


def test_hup_serves_new_code_from_a_new_mold(preload, wire, tmp_path, serve):
    server = preload("--workers", "2")
    (tmp_path / "app.py").write_text(COUNTED % "two, and of another length")
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    server.wait_for("Worker exiting", count=2)
    assert wire(server).get("/").body.startswith(b"two")
    assert len(imports(tmp_path)) == 2
    server.wait_for(rf"Mold exiting \(pid: {imports(tmp_path)[0]}\)")


def test_a_worker_that_dies_is_forked_anew_from_the_same_mold(preload, wire, tmp_path):
    server = preload()
    os.kill(int(wire(server).get("/").body.split()[1]), signal.SIGKILL)
    server.wait_for("Ready: generation 1", count=2)
    assert wire(server).get("/").body.startswith(b"one")
    assert len(imports(tmp_path)) == 1


def test_workers_outlive_their_mold_and_a_new_one_is_made_when_it_is_needed(preload, wire, tmp_path):
    server = preload()
    os.kill(mold_of(server), signal.SIGKILL)
    server.wait_for(r"Mold \(pid:\d+\) was sent SIGKILL; another one is made when a worker is needed")
    pid = int(wire(server).get("/").body.split()[1])
    os.kill(pid, signal.SIGKILL)
    mold_of(server, count=2)
    server.wait_for("Ready: generation 1", count=2)
    assert wire(server).get("/").body.startswith(b"one")


def test_broken_code_is_rolled_back_with_its_traceback(preload, wire, tmp_path):
    server = preload("--workers", "2")
    (tmp_path / "app.py").write_text("def app(:\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 is withdrawn")
    assert server.output.count("SyntaxError") == 2, "once in the traceback, once in the line below it"
    assert wire(server).get("/").body.startswith(b"one")


def test_an_application_that_fails_to_import_ends_the_start_with_3(serve):
    server = serve("raise ValueError('no good')", "--preload", "--workers", "3", ready=False)
    assert server.wait() == 3
    assert server.output.count("Traceback (most recent call last)") == 1
    assert "failed to boot: ValueError: no good" in server.output


def test_what_is_no_application_ends_the_start_with_4(serve):
    assert serve("other = 1", "--preload", ready=False).wait() == 4


@pytest.mark.only_worker_class("sync", "gthread", reason="green threads that wait are no stack of the process's own")
def test_an_import_that_takes_too_long_ends_the_start(serve):
    server = serve("import time\ntime.sleep(60)\n", "--preload", "--worker-boot-timeout", "1", ready=False)
    assert server.wait() == 3
    server.wait_for("worker_boot_timeout")
    assert re.search(r"Mold \(pid:\d+\) was aborted at:\n  File .*app.py", server.output)


def test_a_factory_is_called_once(serve, wire, tmp_path):
    source = COUNTED.replace("with open", "def create():\n  with open").replace("    file.write", "    file.write")
    server = serve(
        source % "made" + "\ndef make():\n    create()\n    return app\n",
        "--preload",
        "--workers",
        "2",
        application="app:make()",
    )
    assert wire(server).get("/").body.startswith(b"made")
    assert len(imports(tmp_path)) == 1


def test_threads_and_sockets_of_the_application_are_warned_of(serve):
    source = """
import socket, threading
waiting = threading.Event()
threading.Thread(target=waiting.wait, name="poller", daemon=True).start()
database = socket.create_server(("127.0.0.1", 0))

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""
    server = serve(source, "--preload", "--workers", "2")
    found = server.wait_for(r"The application may suffer from preload_app: (.*)")[1]
    assert "threads, which the workers will not have: poller" in found
    assert re.search(r"open sockets, which all workers will share: at \('127\.0\.0\.1', \d+\)", found)


def test_a_harmless_application_is_not_warned_of(preload):
    assert "may suffer" not in preload("--workers", "2").output


def test_recycling_fails_no_request(preload, wire):
    server = preload("--workers", "2", "--max-requests", "20")
    connection = wire(server)

    def recycled() -> bool:
        nonlocal connection
        answer = connection.get("/")
        assert answer.body.startswith(b"one")
        if answer["connection"] == "close":
            connection = wire(server)
        return server.output.count("will be replaced") >= 4

    wait_until(recycled, timeout=20, what="four workers that were replaced")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_leaves_neither_mold_nor_worker(preload, left_of, number):
    server = preload("--workers", "2")
    assert server.stop(number) == 0
    wait_until(lambda: not left_of(server))


def test_molds_and_workers_leave_when_the_arbiter_is_killed(preload, left_of):
    server = preload("--workers", "2")
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not left_of(server))


def test_usr1_reopens_the_log_in_the_mold_too(preload, wire, tmp_path):
    server = preload("--log-file", str(tmp_path / "log"), ready=False)
    log = tmp_path / "log"
    wait_until(lambda: log.exists() and "Ready: generation 1" in log.read_text())
    log.rename(tmp_path / "log.1")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)
    server.signal(signal.SIGTTIN)
    # The new worker's lines come from a process that the mold has forked.
    wait_until(lambda: "Booting worker" in log.read_text(), what="a line of the new worker in the new file")


def test_where_orphans_are_not_adopted_the_mold_reaps_its_workers(serve, tmp_path):
    program = """
import sys
from unicorn_core.arbiter import arbiter
from unicorn_core import BaseApplication

arbiter.become_subreaper = lambda: False

class Site(BaseApplication):
    def load_config(self):
        for name, value in dict(bind="127.0.0.1:0", workers=2, preload_app=True).items():
            self.set(name, value)

    def load(self):
        import os
        def app(environ, start_response):
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        return app

Site().run()
"""
    (tmp_path / "program.py").write_text(program)
    command = (sys.executable, str(tmp_path / "program.py"))
    server = ServerProcess("", cwd=tmp_path, command=command, bind=False)
    try:
        server.wait_for("Ready: generation 1")
        server.port = int(server.wait_for(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
        os.kill(int(server.get("/")), signal.SIGKILL)
        server.wait_for("was sent SIGKILL! Perhaps out of memory")
        server.wait_for("Ready: generation 1", count=2)
        assert server.get("/")
        assert server.stop() == 0
    finally:
        print(server.output)
        server.kill()
