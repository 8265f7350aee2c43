"""A binary upgrade (USR2) gives the listeners, the environment and the pid file to a new master, or changes nothing.

How it behaves under load is shown in test_under_load.py.
"""

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.masters import alive, children, end_all, ends, masters, named_by, new_master, parent, workers_of

APP = """
import json, os, sys
def app(environ, start_response):
    told = {"pid": os.getpid(), "version": "one", "environ": dict(os.environ), "cwd": os.getcwd(), "argv": sys.argv}
    body = json.dumps(told).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
GATED = """
import os, pathlib, time
pathlib.Path("boot.begun").touch()
while not os.path.exists("boot"):
    time.sleep(0.01)
"""
MODES = pytest.mark.parametrize("mode", ["manual", "auto"])


@pytest.fixture
def start(serve) -> Iterator[Callable[..., ServerProcess]]:
    servers: list[ServerProcess] = []

    def run(*arguments: str, **options) -> ServerProcess:
        servers.append(serve(APP, *arguments, **options))
        return servers[-1]

    yield run
    for server in servers:
        end_all(server)


def deploy(folder: Path, source: str = APP.replace('"one"', '"two"')) -> None:
    (folder / "app.py").write_text(source)


def told_by(server: ServerProcess) -> dict:
    return json.loads(server.get("/"))


def serves(server: ServerProcess, version: str) -> None:
    wait_until(lambda: told_by(server)["version"] == version, timeout=15, what=f"an answer of version {version}")


def upgrade_under_way(server: ServerProcess) -> int:
    """USR2, and wait for the new process, which need not be ready; gives its pid."""
    known = set(children(server.pid))
    server.signal(signal.SIGUSR2)
    wait_until(lambda: set(children(server.pid)) - known, what="a new process")
    return max(set(children(server.pid)) - known)


# What the new master gets


@MODES
def test_the_new_master_serves_new_code_at_the_same_address(start, tmp_path, mode):
    server = start("--upgrade-mode", mode)
    deploy(tmp_path)
    new = new_master(server, workers=1)
    if mode == "manual":
        server.signal(signal.SIGTERM)
    ends(server.pid)
    answers = [told_by(server) for _ in range(10)]
    assert {answer["version"] for answer in answers} == {"two"}
    assert {parent(answer["pid"]) for answer in answers} == {new}


def test_without_a_word_both_masters_serve(start, tmp_path):
    server = start("--workers", "1")
    deploy(tmp_path)
    new_master(server, workers=1)
    wait_until(lambda: told_by(server)["version"] == "two", what="the new code")
    wait_until(lambda: told_by(server)["version"] == "one", what="the old code")


def test_the_application_finds_the_same_environment_folder_and_arguments(start, tmp_path):
    server = start("--upgrade-mode", "auto", "--env", "GIVEN=by a setting", environment={"OURS": "of the shell"})
    before = told_by(server)
    assert before["environ"]["OURS"] == "of the shell"
    new_master(server, workers=1)
    ends(server.pid)
    after = told_by(server)
    assert after["environ"] == before["environ"]
    assert after["cwd"] == before["cwd"]
    assert after["argv"] == before["argv"]


def test_a_relative_chdir_and_config_mean_what_they_meant_at_first(start, tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "app.py").write_text(APP)
    (tmp_path / "conf.py").write_text("chdir = 'below'\nupgrade_mode = 'auto'\n")
    server = start("--config", "conf.py")
    for _ in range(2):
        (old,) = masters(server)
        new_master(server, workers=1)
        ends(old)
        assert told_by(server)["cwd"] == str(tmp_path / "below")


def test_settings_that_only_a_restart_changes_are_those_of_the_file_now(start, tmp_path):
    """The reason for upgrades: what a reload cannot change, they can."""
    configuration = tmp_path / "unicorn.conf.py"
    configuration.write_text("upgrade_mode = 'auto'\nworkers = 1\n")
    server = start()
    configuration.write_text(f"upgrade_mode = 'auto'\nworkers = 2\npidfile = {str(tmp_path / 'pid')!r}\n")
    new = new_master(server, workers=2)
    ends(server.pid)
    wait_until((tmp_path / "pid").exists, what="the pid file")
    assert named_by(tmp_path / "pid") == new


@MODES
def test_a_unix_socket_stays_when_the_master_that_made_it_ends(start, tmp_path, mode):
    path = tmp_path / "s"
    server = start("--upgrade-mode", mode, unix=path)
    inode = path.stat().st_ino
    new = new_master(server, workers=1)
    if mode == "manual":
        server.signal(signal.SIGTERM)
    ends(server.pid)
    assert path.stat().st_ino == inode
    assert parent(told_by(server)["pid"]) == new
    # The last one takes it along.
    os.kill(new, signal.SIGTERM)
    ends(new)
    assert not path.exists()


def test_a_unix_socket_stays_when_the_upgrade_is_taken_back(start, tmp_path):
    path = tmp_path / "s"
    server = start(unix=path)
    new = new_master(server, workers=1)
    os.kill(new, signal.SIGTERM)
    ends(new)
    assert parent(told_by(server)["pid"]) == server.pid
    assert server.stop() == 0
    assert not path.exists()


def test_several_addresses_are_handed_over(start, tmp_path):
    path = tmp_path / "other"
    server = start("--bind", f"unix:{path}", "--upgrade-mode", "auto", "--workers", "2")
    for _ in range(2):
        (old,) = masters(server)
        new = new_master(server, workers=2)
        ends(old)
        assert parent(told_by(server)["pid"]) == new
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert b"200 OK" in client.recv(65536)


@pytest.mark.parametrize("options", [("--reuse-port",), ("--preload",)], ids=lambda given: given[0].strip("-"))
def test_an_upgrade_works_with(start, tmp_path, options):
    server = start("--workers", "2", "--upgrade-mode", "auto", *options)
    deploy(tmp_path)
    new_master(server, workers=2)
    ends(server.pid)
    assert {told_by(server)["version"] for _ in range(10)} == {"two"}


def test_the_new_master_reloads_and_resizes_like_any_other(start, tmp_path):
    server = start("--upgrade-mode", "auto")
    new = new_master(server, workers=1)
    ends(server.pid)
    os.kill(new, signal.SIGTTIN)
    wait_until(lambda: len(workers_of(server, new)) == 2, what="two workers")
    deploy(tmp_path)
    os.kill(new, signal.SIGHUP)
    server.wait_for("Reloaded: generation 2 serves")
    serves(server, "two")
    os.kill(new, signal.SIGTERM)
    ends(new)
    with pytest.raises(ConnectionRefusedError):
        server.connect()


# Pid files


def test_the_pid_file_of_the_new_master_is_renamed_when_the_old_one_is_gone(start, tmp_path):
    pidfile, second = tmp_path / "pid", tmp_path / "pid.2"
    server = start("--pid", str(pidfile))
    assert named_by(pidfile) == server.pid
    new = new_master(server, workers=1)
    assert (named_by(pidfile), named_by(second)) == (server.pid, new)
    server.signal(signal.SIGTERM)
    ends(server.pid)
    wait_until(lambda: named_by(pidfile) == new and not second.exists(), what="the renamed pid file")
    os.kill(new, signal.SIGTERM)
    ends(new)
    assert not pidfile.exists()


def test_the_pid_file_of_the_old_master_stays_when_the_new_one_goes(start, tmp_path):
    pidfile, second = tmp_path / "pid", tmp_path / "pid.2"
    server = start("--pid", str(pidfile))
    new = new_master(server, workers=1)
    os.kill(new, signal.SIGTERM)
    ends(new)
    assert not second.exists()
    assert named_by(pidfile) == server.pid


@pytest.mark.parametrize("listener", ["tcp", "unix"])
def test_the_new_master_takes_over_when_the_old_one_is_killed(start, tmp_path, listener):
    """The workers of the old one leave, but what they listened to is not theirs to close."""
    pidfile, second = tmp_path / "pid", tmp_path / "pid.2"
    server = start("--pid", str(pidfile), unix=tmp_path / "s" if listener == "unix" else None)
    new = new_master(server, workers=1)
    server.signal(signal.SIGKILL)
    ends(server.pid)
    server.wait_for("has lost its arbiter and leaves")
    wait_until(lambda: named_by(pidfile) == new and not second.exists(), what="the new pid file")
    wait_until(lambda: parent(told_by(server)["pid"]) == new, what="answers of the new master")


# What can go wrong


@MODES
@pytest.mark.parametrize("broken", ["def app(:\n", "import os\nos._exit(1)\n", "app = 1\n"])
def test_a_new_master_that_cannot_boot_leaves_the_old_one_serving(start, tmp_path, mode, broken):
    pidfile = tmp_path / "pid"
    server = start("--workers", "2", "--upgrade-mode", mode, "--pid", str(pidfile))
    before = server.worker_pids()
    deploy(tmp_path, broken)
    new = upgrade_under_way(server)
    ends(new)
    told = len(server.output)
    wait_until(lambda: str(new) in server.output, what="a word about the new master")
    assert server.worker_pids() == before
    assert told_by(server)["version"] == "one"
    assert server.running
    assert named_by(pidfile) == server.pid
    assert not pidfile.with_name("pid.2").exists()
    assert "[ERROR]" in server.output, server.output[told:]
    # And another try can succeed.
    deploy(tmp_path)
    new = new_master(server, workers=2)
    if mode == "manual":
        server.signal(signal.SIGTERM)
    ends(server.pid)
    serves(server, "two")


@MODES
def test_a_new_master_that_is_killed_while_it_boots_leaves_the_old_one_serving(start, tmp_path, mode):
    server = start("--upgrade-mode", mode)
    deploy(tmp_path, GATED + APP)
    new = upgrade_under_way(server)
    wait_until((tmp_path / "boot.begun").exists, what="the import in the new master's worker")
    os.kill(new, signal.SIGKILL)
    ends(new)
    server.wait_for(rf"{new}.*SIGKILL|SIGKILL.*{new}")
    assert told_by(server)["version"] == "one"
    assert server.running
    (tmp_path / "boot").touch()  # its worker is still importing, and leaves once it can


def test_the_old_master_waits_until_the_new_one_serves(start, tmp_path):
    server = start("--upgrade-mode", "auto")
    before = server.worker_pids()
    deploy(tmp_path, GATED + APP.replace('"one"', '"two"'))
    upgrade_under_way(server)
    wait_until((tmp_path / "boot.begun").exists, what="the import of the new code")
    assert {told_by(server)["version"] for _ in range(20)} == {"one"}
    assert set(before) <= set(server.worker_pids())
    (tmp_path / "boot").touch()
    ends(server.pid)
    serves(server, "two")


def test_a_second_usr2_while_an_upgrade_is_under_way_is_ignored_and_said_to_be(start, tmp_path):
    server = start()
    deploy(tmp_path, GATED + APP)
    new = upgrade_under_way(server)
    wait_until((tmp_path / "boot.begun").exists, what="the import of the new code")
    server.signal(signal.SIGUSR2)
    server.wait_for(r"\[WARNING\].*[Uu]pgrade|\[WARNING\].*USR2")
    assert [pid for pid in children(server.pid) if pid not in server.worker_pids()] == [new]
    (tmp_path / "boot").touch()
    server.wait_for(r"Ready: generation \d+ serves", count=2)
    # Nor when it serves beside this one.
    server.signal(signal.SIGUSR2)
    server.wait_for("Handling signal: usr2", count=3)
    server.wait_for(r"\[WARNING\].*[Uu]pgrade|\[WARNING\].*USR2", count=2)
    assert len(masters(server)) == 2


def test_a_usr2_to_the_new_master_while_the_old_one_is_there_is_ignored(start):
    server = start()
    new = new_master(server, workers=1)
    os.kill(new, signal.SIGUSR2)
    server.wait_for("Handling signal: usr2", count=2)
    server.wait_for(r"\[WARNING\].*[Uu]pgrade|\[WARNING\].*USR2")
    assert masters(server) == [server.pid, new]


def test_an_upgrade_while_a_reload_runs_ends_in_one_master_with_the_new_code(start, tmp_path):
    server = start("--workers", "2", "--upgrade-mode", "auto")
    deploy(tmp_path, GATED + APP.replace('"one"', '"two"'))
    server.signal(signal.SIGHUP)
    wait_until((tmp_path / "boot.begun").exists, what="the import of the new code")
    server.signal(signal.SIGUSR2)
    server.wait_for("Handling signal: usr2")
    assert told_by(server)["version"] == "one"
    (tmp_path / "boot").touch()
    ends(server.pid)
    (new,) = masters(server)
    assert {told_by(server)["version"] for _ in range(10)} == {"two"}
    wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
    assert workers_of(server, new) == server.worker_pids()


@MODES
def test_a_stop_of_the_old_master_while_the_new_one_boots_leaves_the_clients_to_that(start, tmp_path, mode):
    """TERM to the old master is how an upgrade by hand ends: too early, it makes clients wait, and loses none."""
    server = start("--upgrade-mode", mode)
    deploy(tmp_path, GATED + APP.replace('"one"', '"two"'))
    upgrade_under_way(server)
    wait_until((tmp_path / "boot.begun").exists, what="the import of the new code")
    server.signal(signal.SIGTERM)
    ends(server.pid)
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        (tmp_path / "boot").touch()
        assert b"200 OK" in client.recv(65536)
    serves(server, "two")


def test_winch_lets_the_workers_go_and_hup_brings_them_back(start, tmp_path):
    server = start("--workers", "2")
    server.signal(signal.SIGWINCH)
    wait_until(lambda: not server.worker_pids(), what="the end of the workers")
    assert server.running
    with server.connect() as client:  # waits in the queue
        client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        server.signal(signal.SIGHUP)
        assert b"200 OK" in client.recv(65536)
    wait_until(lambda: len(server.worker_pids()) == 2, what="two workers")
    assert server.stop() == 0


# Exit codes


@MODES
def test_both_masters_end_with_code_0(start, tmp_path, mode):
    """The new one is a child of this test's own when the old one has ended, as it would be process 1's."""
    server = start("--upgrade-mode", mode)
    new = new_master(server, workers=1)
    if mode == "manual":
        server.signal(signal.SIGTERM)
    ends(server.pid)
    wait_until(lambda: not server.running, what="the end of the old master")
    assert server.wait_for("Shutting down: Master")
    assert server._process.returncode == 0
    os.kill(new, signal.SIGTERM)
    ends(new)
    assert server.wait() == 0
    assert "Traceback" not in server.output
    assert not alive(new)
