"""Logs that cannot be written cost their lines and nothing else; the log of errors, or stderr, says so now and then."""

import re
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.process import limit

pytestmark = [
    pytest.mark.each_worker_class,
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full"),
]

SINKS = ("--log-file", "/dev/full", "--access-logfile", "/dev/full")
CANNOT = r"\[ERROR\] Cannot write to the log file '/dev/full': No space left on device; lines lost so far: \d+"
STDERR_IS_FULL = ("/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh", sys.executable, "-m", "unicorn_cli")
STDOUT_IS_FULL = ("/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "unicorn_cli")


@pytest.fixture
def start(serve, apps, tmp_path) -> Callable[..., ServerProcess]:
    """A server of wire_app that nobody can hear: it serves when its socket does."""

    def start(*arguments: str, **options) -> ServerProcess:
        unix = tmp_path / "s"
        server = serve("", *arguments, application="wire_app:app", cwd=apps, unix=unix, ready=False, **options)
        wait_until(lambda: answers(server), what="an answer")
        return server

    return start


def answers(server: ServerProcess) -> bool:
    try:
        return server.get("/hello") == b"hello"
    except OSError:
        return False


def test_everything_is_served_while_no_log_can_be_written(start, wire):
    server = start(*SINKS)
    connection = wire(server)
    for _ in range(50):
        assert connection.get("/hello").body == b"hello"
    assert connection.get("/complains?x").body == b"complained"  # to wsgi.errors
    for path, status in (("/raises?x", 500), ("/hello", 200)):
        for _ in range(20):
            assert connection.get(path).status == status
    assert server.exchange(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert server.stop() == 0
    lines = server.output.splitlines()
    assert lines, "stderr must tell"
    assert all(re.search(CANNOT, line) for line in lines), server.output
    assert len(lines) <= 2, "one of the arbiter, one of the worker"


def test_an_access_log_that_cannot_be_written_is_told_of_in_the_error_log(serve, wire, apps):
    server = serve("", "--access-logfile", "/dev/full", application="wire_app:app", cwd=apps)
    connection = wire(server)
    for _ in range(50):
        assert connection.get("/hello").body == b"hello"
    server.wait_for(CANNOT)
    assert server.output.count("Cannot write") == 1
    assert "Traceback" not in server.output


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_a_log_is_written_again_when_the_disk_has_room(serve, wire, apps, tmp_path):
    log = tmp_path / "access"
    words = ("--access-logfile", str(log), "--access-logformat", "%(U)s")
    server = serve("", *words, application="wire_app:app", cwd=apps)
    (pid,) = server.worker_pids()
    connection = wire(server)
    connection.get("/hello")
    wait_until(lambda: log.read_text() == "/hello\n", what="a line")
    limit(pid, resource.RLIMIT_FSIZE, log.stat().st_size)
    for _ in range(20):
        assert connection.get("/pid").status == 200
    server.wait_for(r"Cannot write to the log file '.*/access': File too large")
    limit(pid, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    connection.get("/nothing")
    wait_until(lambda: log.read_text().endswith("/nothing\n"), what="a new line")
    # The line of the last request may have come after the limit was lifted; those before are lost.
    assert log.read_text() in ("/hello\n/nothing\n", "/hello\n/pid\n/nothing\n")


@pytest.mark.parametrize("command", [STDERR_IS_FULL, STDOUT_IS_FULL], ids=["stderr", "stdout"])
def test_standard_streams_that_cannot_be_written_cost_nothing(start, wire, command):
    server = start("--access-logfile", "-", command=command)
    connection = wire(server)
    for path in ("/hello", "/raises?x", "/complains?x") * 5:
        assert connection.get(path).status == (500 if path.startswith("/raises") else 200)
    assert server.stop() == 0
    assert "Logging error" not in server.output


def test_files_are_reopened_on_a_full_disk_and_afterwards(start, wire, tmp_path):
    """USR1 finds a log that could not be written, and a new one that can."""
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    server = start("--log-file", str(log))
    log.unlink()
    server.signal(signal.SIGUSR1)
    wait_until(log.exists, what="the new file")
    connection = wire(server)

    def told() -> bool:
        assert connection.get("/raises?x").status == 500
        return log.read_text().count("RuntimeError: before start_response x") > 2

    wait_until(told, what="lines in the new file")
    assert "Traceback" not in server.output
