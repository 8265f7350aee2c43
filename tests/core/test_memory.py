"""What is told about a process's memory is what it really holds, and a process that is gone holds none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from unicorn_core.arbiter.memory import resident

MIB = 1024 * 1024
HOLDER = "import sys; data = b'x' * (int(sys.argv[1]) << 20); print(flush=True); input()"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def gone() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(20)
    return process.pid


@pytest.fixture
def holders() -> Iterator[list[int]]:
    """Two processes, of which the second holds 64 MiB more."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", HOLDER]
    started = [subprocess.Popen([*command, size], stdin=pipe, stdout=pipe) for size in ("0", "64")]
    for process in started:
        assert process.stdout
        process.stdout.readline()
    yield [process.pid for process in started]
    for process in started:
        process.communicate(b"\n", timeout=20)


def test_the_resident_set_is_told_in_bytes(holders: list[int]) -> None:
    small, large = holders
    assert 1 * MIB < resident(small) < 60 * MIB
    assert 60 * MIB < resident(large) - resident(small) < 70 * MIB


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_ps_tells_the_same_where_there_is_no_proc(holders: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = resident(holders[1])
    monkeypatch.setattr(sys, "platform", "darwin")
    assert abs(resident(holders[1]) - expected) < 1 * MIB
    assert resident(gone()) == 0


def test_without_proc_and_ps_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("PATH", "/nowhere")
    assert resident(os.getpid()) == 0


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert resident(gone()) == 0


@linux_only
def test_a_process_that_was_not_reaped_yet_holds_nothing() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert resident(pid) == 0
    os.waitpid(pid, 0)
