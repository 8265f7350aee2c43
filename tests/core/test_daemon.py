"""Whoever starts the server in the background learns at the terminal whether it came up, and is never left waiting."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PRELUDE = """
import os, signal, sys, time
from pathlib import Path
from unicorn_core.arbiter.daemon import detach_stdio, go_to_background
# Where the tests run in the background of a script, it is ignored from the start.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.umask(0o027)
print("before")
background = go_to_background()
"""


def run(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run to its end; that also waits for the daemon unless it has let go of the output."""
    command = [sys.executable, "-c", PRELUDE + script]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20, check=False)


def appears(path: Path) -> str:
    """The content of a file as soon as there is one."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            if text := path.read_text():
                return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def test_the_command_leaves_with_0_once_the_server_is_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    done = run("time.sleep(0.3); background.started()", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - begun >= 0.3


def test_a_failure_is_shown_and_gives_the_exit_code(tmp_path: Path) -> None:
    done = run("background.failed(3, 'worker failed to boot:\\nno module')", tmp_path)
    assert (done.returncode, done.stderr) == (3, "worker failed to boot:\nno module\n")


def test_a_very_long_failure_neither_blocks_nor_is_lost(tmp_path: Path) -> None:
    done = run("background.failed(3, 'x' * 1_000_000)", tmp_path)
    assert done.returncode == 3
    assert len(done.stderr) > 30_000


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit('unseen')"])
def test_a_death_without_a_report_is_told_in_one_line(tmp_path: Path, end: str) -> None:
    done = run(f"Path('pid').write_text(str(os.getpid())); detach_stdio(); {end}", tmp_path)
    pid = (tmp_path / "pid").read_text()
    assert done.returncode == 1
    assert done.stderr == f"the server (pid {pid}) died in the background before it was ready; its log may tell why\n"


def test_a_death_is_told_though_workers_live_on(tmp_path: Path) -> None:
    script = """
detach_stdio()
if os.fork() == 0:
    background.forget()
    while not os.path.exists("seen"):
        time.sleep(0.01)
    Path("left").write_text("x")
    os._exit(0)
os._exit(0)
"""
    done = run(script, tmp_path)
    assert done.returncode == 1
    (tmp_path / "seen").touch()
    assert appears(tmp_path / "left") == "x"


def test_only_the_first_report_counts(tmp_path: Path) -> None:
    assert run("background.started(); background.failed(3, 'late'); background.started()", tmp_path).returncode == 0


def test_the_daemon_is_a_process_in_a_session_of_its_own_with_folder_and_umask_as_before(tmp_path: Path) -> None:
    done = run(
        "mask = os.umask(0)\n"
        "print(os.getsid(0) != os.getpid(), os.getpgid(0) == os.getsid(0), oct(mask), os.getcwd())\n"
        "print(os.getsid(0))\n"
        "background.started()",
        tmp_path,
    )
    before, facts, session = done.stdout.split("\n")[:3]
    # What was buffered before is written once.
    assert (before, done.stdout.count("before")) == ("before", 1)
    assert facts == f"True True 0o27 {tmp_path}"
    assert int(session) != os.getsid(0)


def test_detached_streams_lead_nowhere_but_can_be_used(tmp_path: Path) -> None:
    done = run(
        "print('last words'); detach_stdio(); print('unseen'); os.write(2, b'unseen')\n"
        "Path('facts').write_text(repr((sys.stdin.read(), [os.readlink(f'/dev/fd/{fd}') for fd in (0, 1, 2)],\n"
        "    [os.get_inheritable(fd) for fd in (0, 1, 2)])))\n"
        "background.started()",
        tmp_path,
    )
    assert (done.stdout, done.stderr) == ("before\nlast words\n", "")
    assert eval((tmp_path / "facts").read_text()) == ("", ["/dev/null"] * 3, [True] * 3)


def test_streams_that_were_closed_are_detached_as_well(tmp_path: Path) -> None:
    script = "os.closerange(0, 3); detach_stdio(); os.fstat(2); Path('x').write_text('y'); background.started()"
    assert run(script, tmp_path).returncode == 0
    assert (tmp_path / "x").read_text() == "y"


def test_a_command_without_standard_streams_learns_of_the_end_as_well(tmp_path: Path) -> None:
    script = "detach_stdio(); time.sleep(0.2); Path('up').write_text('x'); background.started()"
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", PRELUDE + script]
    assert subprocess.run(command, cwd=tmp_path, timeout=20, check=False).returncode == 0
    assert (tmp_path / "up").read_text() == "x"


def test_ctrl_c_ends_the_waiting_but_not_the_server(tmp_path: Path) -> None:
    script = """
detach_stdio()
Path("pid").write_text(str(os.getpid()))
while not os.path.exists("go"):
    time.sleep(0.01)
background.started()
Path("reported").write_text("x")
"""
    command = [sys.executable, "-c", PRELUDE + script]
    # A process group of its own, as a shell gives: Ctrl-C goes to all of the group.
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, process_group=0) as waiting:
        pid = appears(tmp_path / "pid")
        os.killpg(waiting.pid, signal.SIGINT)
        _, error = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert error == f"no longer waiting: the server (pid {pid}) goes on starting in the background\n"
    # Reporting to nobody does no harm.
    (tmp_path / "go").touch()
    assert appears(tmp_path / "reported") == "x"


def test_ctrl_c_right_at_the_start_leaves_nobody_hanging(tmp_path: Path) -> None:
    script = "detach_stdio(); time.sleep(3); background.started()"
    command = [sys.executable, "-c", PRELUDE.replace("print", "open('up', 'w').write('x'); print") + script]
    for pause in (0, 0.0005, 0.001, 0.002, 0.004, 0.008):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(tmp_path / "up")
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        ) as waiting:
            appears(tmp_path / "up")
            time.sleep(pause)
            os.killpg(waiting.pid, signal.SIGINT)
            # Before the fork it is Python's own KeyboardInterrupt.
            assert waiting.wait(10) in (130, -signal.SIGINT)
