"""What may go wrong around the processes costs what it must and nothing else."""

import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from unicorn_core.testing.server import wait_until

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_logs_that_cannot_be_reopened_cost_nobody_s_life(serve, wire, tmp_path, options):
    (tmp_path / "logs").mkdir()
    server = serve(APP, "--workers", "2", "--log-file", "logs/error", *options, ready=False)
    log = tmp_path / "logs" / "error"
    wait_until(lambda: log.exists() and "Ready: generation 1" in log.read_text())
    server.port = int(re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", log.read_text())[1])
    kept = log.open()
    before = wire(server).get("/").status
    shutil.rmtree(tmp_path / "logs")
    server.signal(signal.SIGUSR1)
    seen: list[str] = []

    def told() -> bool:
        seen.append(kept.read())
        return "".join(seen).count("cannot reopen the log file") >= 3

    wait_until(told, what="three lines, of the master and the workers")
    assert before == wire(server).get("/").status == 200
    assert server.stop() == 0


@pytest.mark.only_worker_class("sync", "gthread", reason="that user may be unable to import more of this Python")
def test_rotated_logs_of_workers_with_another_user_are_reopened(serve, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/") and not folder.stat().st_mode & 0o005 and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    server = serve(APP, "--user", "nobody", "--log-file", "error", ready=False)
    log = tmp_path / "error"
    wait_until(lambda: log.exists() and "Ready: generation 1" in log.read_text())
    log.rename(tmp_path / "error.1")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists)
    time.sleep(0.2)
    assert "without having been asked" not in (tmp_path / "error.1").read_text() + log.read_text()
    assert server.stop() == 0
    assert "Worker exiting" in log.read_text(), "a line of the worker in the new file"


def test_a_child_of_the_application_is_no_worker(serve, wire):
    source = """
import multiprocessing, os, time

def app(environ, start_response):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join(5)
    start_response("200 OK", [])
    return [f"{child.exitcode} {os.getpid()}".encode()]
"""
    server = serve(source)
    code, pid = wire(server).get("/").body.split()
    assert int(code) == -signal.SIGTERM
    assert wire(server).get("/").body.split()[1] == pid
    assert "will be replaced" not in server.output


@pytest.mark.only_worker_class("sync", "gthread", "gevent", reason="eventlet's threads are not waited for at the end")
def test_executors_of_the_application_finish_their_work_at_a_graceful_stop(serve, wire, tmp_path):
    source = """
import pathlib, time
from concurrent.futures import ThreadPoolExecutor

executor = ThreadPoolExecutor(1)

def work():
    time.sleep(0.7)
    pathlib.Path("done").touch()

def app(environ, start_response):
    executor.submit(work)
    start_response("200 OK", [])
    return [b"ok"]
"""
    server = serve(source)
    assert wire(server).get("/", "Connection: close").status == 200
    assert server.stop() == 0
    assert (tmp_path / "done").exists()


def test_a_mold_that_is_stuck_does_not_keep_the_server_from_ending(serve, wire, left_of):
    server = serve(APP, "--preload", "--graceful-timeout", "1")
    mold = int(server.wait_for(r"mold with pid: (\d+)")[1])
    os.kill(mold, signal.SIGSTOP)
    os.kill(int(wire(server).get("/").body), signal.SIGKILL)
    server.wait_for("was sent SIGKILL! Perhaps out of memory?")
    assert server.stop(timeout=10) == 0
    wait_until(lambda: not left_of(server))


def test_molds_of_reloads_that_failed_leave(serve, tmp_path, left_of):
    server = serve(APP, "--preload", "--reload-canary", "/")
    (tmp_path / "app.py").write_text(APP.replace("200 OK", "503 Service Unavailable"))
    for number in range(2, 5):
        server.signal(signal.SIGHUP)
        server.wait_for(f"generation {number} is withdrawn")
    wait_until(lambda: len(left_of(server)) == 3, what="the end of all but the arbiter, one mold and one worker")


def test_a_server_whose_workers_boot_costs_no_cpu_time(serve):
    server = serve("import time\ntime.sleep(3)\n" + APP, ready=False)
    server.wait_for("Booting worker")
    time.sleep(1.5)
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert used < 0.75, "half of the time would be a busy loop"


@pytest.mark.only_worker_class("sync", reason="it names another class in the file, which a command line overrides")
def test_hup_to_a_worker_class_that_cannot_be_imported_changes_nothing(serve, wire, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("")
    server = serve(APP)
    (tmp_path / "mine.py").write_text("def broken(:\n")
    (tmp_path / "unicorn.conf.py").write_text("worker_class = 'mine:Worker'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload refused, nothing changed: setting worker_class = 'mine:Worker'")
    assert wire(server).get("/").status == 200


def test_settings_that_need_a_restart_do_not_change_with_a_reload(serve, wire, tmp_path):
    (tmp_path / "unicorn.conf.py").write_text("umask = 0\n")
    source = APP.replace("str(os.getpid())", "str(os.getuid())")
    server = serve(source)
    before = wire(server).get("/").body
    (tmp_path / "unicorn.conf.py").write_text("user = 65534\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Setting user has changed; that takes effect after a restart")
    server.wait_for("Reloaded: generation 2")
    server.wait_for("Worker exiting")
    assert wire(server).get("/").body == before
