"""A subreaper becomes the parent of what its dead children leave behind."""

import subprocess
import sys

import pytest

from unicorn_core.arbiter.subreaper import become_subreaper

ADOPTION = """
import os, sys
from unicorn_core.arbiter.subreaper import become_subreaper
assert "ctypes" not in sys.modules
assert become_subreaper()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    if os.fork():
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    os._exit(7)
os.close(reader)
os.waitpid(child, 0)
os.close(writer)
orphan, status = os.wait()
assert orphan != child
assert os.waitstatus_to_exitcode(status) == 7
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_an_orphan_is_adopted_and_can_be_reaped() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPTION], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


def test_other_systems_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not become_subreaper()


def test_without_ctypes_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert not become_subreaper()
