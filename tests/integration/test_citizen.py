"""The server behaves as UNIX expects: background, pid file, titles, temporary folder, process 1, lifetimes."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unicorn_core.testing.server import wait_until

APP = """
import os, tempfile

def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.getpid()} {os.getppid()} {tempfile.gettempdir()}".encode()]
"""


@pytest.fixture
def daemon(tmp_path):
    """Run the command with --daemon; whatever it leaves is ended."""
    (tmp_path / "app.py").write_text(APP)
    pidfile = tmp_path / "pid"

    def run(*arguments: str, application: str = "app:app") -> subprocess.CompletedProcess:
        options = ["--daemon", "--pid", str(pidfile), "--bind", f"unix:{tmp_path}/s"]
        command = [sys.executable, "-m", "unicorn_cli", *options, *arguments, application]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)

    yield run
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int(pidfile.read_text()), signal.SIGKILL)


def stop(pidfile: Path) -> None:
    os.kill(int(pidfile.read_text()), signal.SIGTERM)
    wait_until(lambda: not pidfile.exists(), what="the end of the daemon")


def test_the_command_returns_when_the_daemon_serves(daemon, tmp_path):
    done = daemon("--log-file", "log", "--workers", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "Ready: generation 1 serves with workers: 2" in (tmp_path / "log").read_text()
    pid = int((tmp_path / "pid").read_text())
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != pid, "it leads no session, so that it can never get a terminal"
    stop(tmp_path / "pid")


def test_a_daemon_that_cannot_start_says_why_at_the_terminal(daemon, tmp_path):
    done = daemon("--bind", f"unix:{tmp_path}/no/such/folder")
    assert done.returncode == 1
    assert re.match(r"Error: cannot listen on unix:.*", done.stderr)
    assert not (tmp_path / "pid").exists()


def test_a_daemon_whose_application_fails_shows_its_traceback_and_code(daemon, tmp_path):
    (tmp_path / "broken.py").write_text("raise ValueError('no good')\n")
    done = daemon(application="broken:app")
    assert done.returncode == 3
    assert "Traceback (most recent call last)" in done.stderr
    assert "ValueError: no good" in done.stderr.splitlines()[-1]
    wait_until(lambda: not (tmp_path / "pid").exists())


def test_a_daemon_keeps_no_standard_streams_unless_asked(daemon, tmp_path):
    daemon()
    pid = int((tmp_path / "pid").read_text())
    assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    stop(tmp_path / "pid")


def test_a_pid_file_names_the_master_and_goes_with_it(serve, tmp_path):
    server = serve(APP, "--pid", "pid")
    assert (tmp_path / "pid").read_text() == f"{server.pid}\n"
    assert server.stop() == 0
    assert not (tmp_path / "pid").exists()


def test_the_pid_file_of_a_running_server_is_not_taken(serve, tmp_path):
    first = serve(APP, "--pid", "pid")
    second = serve("", "--pid", "pid", ready=False)
    assert second.wait() == 1
    assert re.search(rf"Error: pid file {tmp_path}/pid belongs to .*{first.pid}", second.output)
    assert (tmp_path / "pid").read_text() == f"{first.pid}\n"


def test_a_stale_pid_file_is_replaced_though_its_number_is_in_use(serve, tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    server = serve(APP, "--pid", "pid")
    assert (tmp_path / "pid").read_text() == f"{server.pid}\n"


def test_a_pid_file_that_is_left_by_a_killed_server_is_replaced(serve, tmp_path):
    first = serve(APP, "--pid", "pid")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = serve("", "--pid", "pid")
    assert (tmp_path / "pid").read_text() == f"{second.pid}\n"


def test_processes_have_titles(serve):
    pytest.importorskip("setproctitle")
    server = serve(APP, "--workers", "2", "--name", "shop")
    titles = {Path(f"/proc/{pid}/cmdline").read_text().strip("\0") for pid in (server.pid, *server.worker_pids())}
    assert titles == {"unicorn: master [shop]", "unicorn: worker 0 [shop]", "unicorn: worker 1 [shop]"}


def test_tmp_upload_dir_is_where_temporary_files_go(serve, wire, tmp_path):
    (tmp_path / "uploads").mkdir()
    (tmp_path / "unicorn.conf.py").write_text("tmp_upload_dir = 'uploads'\n")
    server = serve(APP)
    assert wire(server).get("/").body.split()[2].decode() == str(tmp_path / "uploads")


def test_a_worker_is_replaced_at_the_end_of_its_lifetime(serve, wire):
    server = serve(APP, "--worker-max-lifetime", "1")
    connection = wire(server)
    (old,) = server.worker_pids()
    server.wait_for(rf"Worker \(pid:{old}\) will be replaced: it has lived long enough")
    server.wait_for(rf"Worker exiting \(pid: {old}\)", timeout=40)
    assert connection.is_cut(), "the idle connection ends with its keep-alive"
    assert int(wire(server).get("/").body.split()[0]) != old


def test_the_pool_grows_while_it_is_busy_and_shrinks_when_it_is_not(serve, wire, tmp_path):
    source = APP.replace("def app", "import time\n\ndef app").replace("    start", "    time.sleep(0.05)\n    start", 1)
    server = serve(source, "--workers", "1..3")
    assert len(server.worker_pids()) == 1
    until = time.monotonic() + 30
    while len(server.worker_pids()) < 3 and time.monotonic() < until:
        connections = [wire(server) for _ in range(6)]
        for connection in connections:
            connection.ask("/")
        for connection in connections:
            connection.answer()
            connection.close()
    assert len(server.worker_pids()) == 3
    wait_until(lambda: len(server.worker_pids()) == 2, timeout=60, what="the first shrinking")


def test_workers_auto_is_the_number_of_cpus_of_the_process(serve):
    cpus = len(os.sched_getaffinity(0))
    server = serve(APP, "--workers", "auto")
    # A quota of the container may allow less.
    assert 1 <= len(server.worker_pids()) <= cpus
