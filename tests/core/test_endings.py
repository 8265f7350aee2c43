"""The log says how a worker ended, in words an operator can use, and shows the user's part of the stacks."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from unicorn_core.arbiter import endings
from unicorn_core.arbiter.handle import Handle, exit_in_words
from unicorn_core.hooks import WorkerView
from unicorn_core.worker.channel import Channel
from unicorn_core.worker.scoreboard import Scoreboard, nameless_file

CRASH = """Fatal Python error: Segmentation fault

Thread 0x00007f35dd062b80 (most recent call first):
  File "/srv/app/jobs.py", line 3 in wait

Current thread 0x00007f35dd062b80 (most recent call first):
  File "/usr/lib/python3.13/ctypes/__init__.py", line 538 in string_at
  File "/srv/app/app.py", line 6 in app
  File "/x/unicorn_http/wsgi/gateway.py", line 54 in serve
  File "/x/unicorn_core/worker/child.py", line 58 in live
  File "/x/click/core.py", line 911 in invoke

Extension modules: msgspec._core (total: 1)"""


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str, *arguments: object) -> None:
        self.lines.append(text % arguments)

    debug = error


def ended(status: int, **changes: object) -> list[str]:
    left, _ = socket.socketpair()
    view = WorkerView(1, os.getpid(), None, None, lambda: 0)  # type: ignore[arg-type]
    handle = Handle(1, 0, 1, Channel(left), Scoreboard().take(), [], nameless_file("test"), view, pid=77)
    if stacks := changes.pop("stacks", ""):
        os.write(handle.stacks, str(stacks).encode())
    for name, value in changes.items():
        setattr(handle, name, value)
    log = Log()
    endings.explain(handle, status, log)  # type: ignore[arg-type]
    handle.close()
    return log.lines


def status_of(code: str) -> int:
    process = subprocess.Popen([sys.executable, "-c", code])
    return os.waitpid(process.pid, 0)[1]


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (signal.SIGKILL, "Worker (pid:77) was sent SIGKILL! Perhaps out of memory?"),
        (signal.SIGSEGV, "Worker (pid:77) was sent SIGSEGV! It crashed in C code."),
        (signal.SIGXCPU, "Worker (pid:77) was sent SIGXCPU! It used up its limit of CPU time."),
        (signal.SIGUSR2, "Worker (pid:77) was sent SIGUSR2!"),
    ],
)
def test_signals_are_explained_in_words(number: signal.Signals, told: str) -> None:
    assert ended(status_of(f"import os; os.kill(os.getpid(), {int(number)})")) == [told]


def test_an_exit_that_nobody_asked_for_is_told() -> None:
    assert ended(status_of("import os; os._exit(4)")) == [
        "Worker (pid:77) exited with code 4 without having been asked to"
    ]


def test_a_worker_that_told_why_it_cannot_boot_needs_no_further_line() -> None:
    assert ended(status_of("import os; os._exit(3)"), told=True) == []


def test_of_a_crash_the_user_s_part_of_the_stacks_is_shown() -> None:
    lines = ended(int(signal.SIGSEGV), stacks=CRASH)
    assert lines[0] == "Worker (pid:77) was sent SIGSEGV! It crashed in C code."
    assert "app.py" in lines[1]
    assert "jobs.py" in lines[1]
    assert "unicorn_" not in lines[1]
    assert "click" not in lines[1]


def test_a_hang_in_c_code_says_that_the_stacks_are_all_there_is() -> None:
    lines = ended(
        int(signal.SIGKILL), aborted=True, stacks=CRASH.removeprefix("Fatal Python error: Segmentation fault")
    )
    assert "stuck in C code" in lines[0]
    assert "app.py" in lines[1]


def test_a_hang_that_the_worker_explained_itself_is_not_explained_again() -> None:
    stack = "Current thread 0x01 (most recent call first):\n" + '  File "/srv/app/app.py", line 6 in app\n'
    assert ended(status_of("import os; os._exit(1)"), aborted=True, stacks=stack) == []


def test_real_time_signals_have_no_name_but_a_number() -> None:
    assert exit_in_words(int(signal.SIGRTMIN + 5)).startswith("was sent signal ")


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_of_the_two_dumps_of_a_hang_one_is_shown_in_whatever_order_they_came(ours_first: bool, threads: int) -> None:
    others = [
        f'Thread 0x0{n} (most recent call first):\n  File "/srv/app/jobs.py", line {n} in wait\n'
        for n in range(1, threads)
    ]
    dump = "\n".join(
        [*others, 'Current thread 0x09 (most recent call first):\n  File "/srv/app/app.py", line 6 in app\n']
    )
    fatal = f"Fatal Python error: Aborted\n\n{dump}"
    lines = ended(
        status_of("import os; os._exit(1)"), aborted=True, stacks=dump + fatal if ours_first else fatal + dump
    )
    if threads == 1:
        assert lines == []
    else:
        assert len(lines) == 1
        assert (lines[0].count("app.py"), lines[0].count("jobs.py")) == (1, 1)
