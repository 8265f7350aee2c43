"""Signals of the arbiter: in which order it learns of them."""

import os
import signal
from collections.abc import Iterator

import pytest

from unicorn_core.arbiter.signals import SignalInbox


@pytest.fixture
def inbox() -> Iterator[SignalInbox]:
    inbox = SignalInbox()
    yield inbox
    inbox.close()


def test_ends_of_processes_come_last_and_once(inbox: SignalInbox) -> None:
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTIN):
        os.kill(os.getpid(), number)
    assert inbox.take() == [signal.SIGHUP, signal.SIGTTIN, signal.SIGTTIN, signal.SIGCHLD]
    assert inbox.take() == []


def test_of_signals_that_were_pending_together_the_ends_of_processes_come_last(inbox: SignalInbox) -> None:
    with inbox.blocked():
        for number in (signal.SIGTERM, signal.SIGCHLD):
            os.kill(os.getpid(), number)
    assert inbox.take() == [signal.SIGTERM, signal.SIGCHLD]
