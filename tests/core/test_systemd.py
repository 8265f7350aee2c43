"""Sockets come from the service manager only if they are meant for this process, and it hears how the service does."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from unicorn_core.arbiter import systemd
from unicorn_core.arbiter.systemd import Notifier, inherited_sockets, without_manager
from unicorn_core.errors import UnicornError

PID = 4321


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as the service manager's, and its name in NOTIFY_SOCKET."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@unicorn-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name.replace("@", "\0", 1) if request.param == "abstract" else name)
        sock.settimeout(5)
        yield sock, name


def environ(name: str, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": name, **more}


def test_sockets_are_counted_from_three_on() -> None:
    assert inherited_sockets({"LISTEN_FDS": "2", "LISTEN_PID": str(PID)}, PID) == [3, 4]
    assert inherited_sockets({"LISTEN_FDS": "0", "LISTEN_PID": str(PID)}, PID) == []


@pytest.mark.parametrize(
    "variables", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": str(PID)}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}]
)
def test_sockets_that_are_not_for_this_process_are_left_alone(variables: dict[str, str]) -> None:
    assert inherited_sockets(variables, PID) == []


@pytest.mark.parametrize("name", ["LISTEN_FDS", "LISTEN_PID"])
@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "٣", "9" * 5000])
def test_nonsense_is_refused_by_the_variables_name(name: str, text: str) -> None:
    variables = {"LISTEN_FDS": "1", "LISTEN_PID": str(PID)} | {name: text}
    with pytest.raises(UnicornError, match=f"^{name} = .* must be a whole number; unset it"):
        inherited_sockets(variables, PID)


def test_too_many_sockets_are_refused() -> None:
    with pytest.raises(UnicornError, match="LISTEN_FDS = 5000: at most"):
        inherited_sockets({"LISTEN_FDS": "5000", "LISTEN_PID": str(PID)}, PID)


def test_children_get_none_of_the_sockets_variables() -> None:
    variables = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "web", "LISTEN_PIDFDID": "7", "PATH": "/bin"}
    assert without_manager(variables) == {"PATH": "/bin"}
    assert "LISTEN_FDS" in variables


def test_each_message_reaches_the_manager_in_its_words(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier(environ(name), PID)
    notifier.ready("3 workers serve")
    assert sock.recv(1024) == b"READY=1\nSTATUS=3 workers serve"
    notifier.ready()
    assert sock.recv(1024) == b"READY=1"
    notifier.status("reloading: 1 of 3 are ready")
    assert sock.recv(1024) == b"STATUS=reloading: 1 of 3 are ready"
    notifier.stopping()
    assert sock.recv(1024) == b"STOPPING=1"
    notifier.main_pid(77)
    assert sock.recv(1024) == b"MAINPID=77"
    notifier.watchdog()
    assert sock.recv(1024) == b"WATCHDOG=1"


def test_a_reload_tells_the_monotonic_time_in_microseconds(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    before = time.monotonic_ns()
    Notifier(environ(name), PID).reloading()
    first, second = sock.recv(1024).decode().split("\n")
    assert first == "RELOADING=1"
    told = int(second.removeprefix("MONOTONIC_USEC="))
    assert before // 1000 <= told <= time.monotonic_ns() // 1000


def test_a_status_cannot_smuggle_in_another_assignment(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    Notifier(environ(name), PID).status("a\nMAINPID=1\r\n \ud800")
    assert sock.recv(1024) == b"STATUS=a MAINPID=1 ?"


@pytest.mark.parametrize("name", ["", "vsock:2:1234", "relative", "/nowhere/notify", "/" + "x" * 500, "@nobody\0"])
def test_without_a_manager_every_message_is_dropped(name: str) -> None:
    notifier = Notifier(environ(name) if name else {}, PID)
    notifier.ready("up")
    notifier.reloading()
    notifier.stopping()
    notifier.status("x")
    notifier.main_pid(1)
    notifier.watchdog()


def test_a_manager_that_does_not_read_holds_nobody_up(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "PATIENCE", 0.01)
    sock, name = manager
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    notifier = Notifier(environ(name), PID)
    begun = time.monotonic()
    for _ in range(30):
        notifier.status("x" * 1000)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(PID)}, 0.25),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": ""}, 0.25),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_served_at_half_of_its_time(variables: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ("/run/notify", **variables), PID).watchdog_interval == interval
    assert Notifier(variables, PID).watchdog_interval is None
