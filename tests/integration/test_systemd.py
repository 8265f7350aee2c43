"""Under systemd unicorn takes the sockets it is given, and tells what it does: Type=notify, in order and in time.

The test plays the service manager: it holds the listening sockets, hands them over at exec (support/handed_over.py),
and reads what comes to NOTIFY_SOCKET.
"""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.load import Load, application
from .support.masters import alive, end_all, masters, parent, workers_of

SUPPORT = Path(__file__).parent / "support"
ENVIRONMENT = """
import json, os
def app(environ, start_response):
    body = json.dumps({"pid": os.getpid(), **os.environ}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
GATED = """
import os, pathlib, time
pathlib.Path("boot.begun").touch()
while not os.path.exists("boot"):
    time.sleep(0.01)
"""


class Notices:
    """What a service manager reads from its end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(0.01)
        self._seen: list[dict[str, str]] = []

    @property
    def all(self) -> list[dict[str, str]]:
        """Every message so far, as its assignments."""
        while True:
            try:
                message = self.socket.recv(65536)
            except TimeoutError:
                return self._seen
            self._seen.append(dict(line.split("=", 1) for line in message.decode().splitlines()))

    @property
    def states(self) -> list[str]:
        """The changes of state, in order."""
        names = ("READY", "RELOADING", "STOPPING", "MAINPID")
        return [name for message in self.all for name in names if name in message]

    def wait_for(self, *states: str) -> None:
        """Wait until just these changes have come."""
        wait_until(
            lambda: len(self.states) >= len(states), timeout=20, what=f"the notices {states}; there are {self.all}"
        )
        assert self.states == list(states)


@pytest.fixture
def notices(tmp_path) -> Iterator[Notices]:
    made = Notices(str(tmp_path / "notify"))
    yield made
    made.socket.close()


@pytest.fixture
def start(serve) -> Iterator[Callable[..., ServerProcess]]:
    servers = []

    def run(*arguments: str, source: str = ENVIRONMENT, notices: Notices | None = None, **options) -> ServerProcess:
        environment = options.pop("environment", {})
        if notices:
            environment["NOTIFY_SOCKET"] = notices.address
        servers.append(serve(source, *arguments, environment=environment, **options))
        return servers[-1]

    yield run
    for server in servers:
        end_all(server)


@pytest.fixture
def activate(start, tmp_path) -> Callable[..., ServerProcess]:
    """Start a server with listening sockets handed over, as systemd does for a .socket unit."""

    def run(sockets: list[socket.socket], *arguments: str, variables=None, ready: bool = True, **options):
        address = str(tmp_path / "manager")
        with socket.socket(socket.AF_UNIX) as manager:
            manager.bind(address)
            manager.listen()
            manager.settimeout(20)
            command = [sys.executable, str(SUPPORT / "handed_over.py"), address]
            server = start(
                *arguments,
                command=[*command, sys.executable, *options.pop("script", (str(SUPPORT / "without_bind.py"),))],
                ready=False,
                **options,
            )
            connection, _ = manager.accept()
            with connection:
                given = {"LISTEN_FDS": str(len(sockets)), "LISTEN_PID": "PID", **(variables or {})}
                socket.send_fds(connection, [json.dumps(given).encode()], [sock.fileno() for sock in sockets])
        os.unlink(address)
        if ready:
            server.wait_for(r"Ready: generation \d+ serves")
        return server

    return run


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def ask(address: str | tuple[str, int], path: str = "/") -> dict[str, str]:
    """What the application answers over a new connection."""
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as client:
        client.settimeout(15)
        client.connect(address)
        return asked(client, path)


def asked(client: socket.socket, path: str = "/") -> dict[str, str]:
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    answer = b"".join(iter(lambda: client.recv(65536), b""))
    return json.loads(answer.partition(b"\r\n\r\n")[2])


# Socket activation


def test_sockets_that_were_handed_over_are_served(activate, tcp, tmp_path):
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "s"))
    unix.listen()
    server = activate([tcp, unix])
    pids = {ask(tcp.getsockname())["pid"], ask(str(tmp_path / "s"))["pid"]}
    assert pids <= set(server.worker_pids())
    assert f"http://127.0.0.1:{tcp.getsockname()[1]}" in server.output
    assert f"unix:{tmp_path}/s" in server.output
    unix.close()


def test_handed_over_sockets_come_instead_of_bind(activate, tcp):
    """As with gunicorn: what the unit says holds, not what the command line or the default says."""
    server = activate([tcp], script=("-m", "unicorn_cli"))
    listening = re.search(r"Listening at: (.*) \(", server.output)[1]
    assert listening == f"http://127.0.0.1:{tcp.getsockname()[1]}"


def test_what_was_queued_before_the_start_is_answered(activate, tcp):
    with socket.create_connection(tcp.getsockname(), 15) as early:
        early.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        activate([tcp])
        assert b"200 OK" in early.recv(65536)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_manager_s_socket_outlives_the_server(activate, tmp_path, kind):
    """A restart of the service loses nobody: who comes in between waits in the queue of the socket."""
    path = tmp_path / "s"
    sock = socket.create_server(("127.0.0.1", 0)) if kind == "tcp" else socket.socket(socket.AF_UNIX)
    if kind == "unix":
        sock.bind(str(path))
        sock.listen()
    address = sock.getsockname()
    with sock:
        first = activate([sock])
        assert ask(address)["pid"] in first.worker_pids()
        assert first.stop() == 0
        if kind == "unix":
            assert path.exists()
        with socket.socket(sock.family) as between:
            between.settimeout(5)
            between.connect(address)
            second = activate([sock])
            assert asked(between)["pid"] in second.worker_pids()


def test_a_stop_under_load_leaves_its_clients_to_the_next_start(activate, tcp):
    """Requests that come while the service restarts wait, and none is lost."""
    address = tcp.getsockname()
    first = activate([tcp], "--workers", "2", source=application("v0"))
    with Load(first, address=address) as load:
        for number in range(1, 4):
            last = first
            assert last.stop() == 0
            first = activate([tcp], "--workers", "2", source=application(f"v{number}"))
            load.saw(f"v{number}")
    load.flawless()


@pytest.mark.parametrize("variables", [{"LISTEN_PID": "1"}, {"LISTEN_FDS": "0"}])
def test_sockets_that_were_meant_for_another_process_are_left_alone(activate, tcp, variables):
    server = activate([tcp], script=("-m", "unicorn_cli"), variables=variables)
    port = int(re.search(r"Listening at: http://127\.0\.0\.1:(\d+) ", server.output)[1])
    assert port != tcp.getsockname()[1]
    assert ask(("127.0.0.1", port))["pid"] in server.worker_pids()


def test_the_application_does_not_see_the_variables_of_activation(activate, tcp):
    """Else a subprocess of the application could take descriptor 3 for a socket of its own."""
    activate([tcp], variables={"LISTEN_FDNAMES": "web"})
    assert not [name for name in ask(tcp.getsockname()) if name.startswith("LISTEN_")]


def test_a_handed_over_descriptor_that_is_no_listening_socket_is_refused_in_one_line(activate):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        server = activate([wrong], ready=False)
        assert server.wait() == 1
    assert server.output.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in server.output


def test_reloads_and_upgrades_keep_the_handed_over_sockets(activate, tcp):
    server = activate([tcp], "--upgrade-mode", "auto")
    before = ask(tcp.getsockname())["pid"]
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    server.wait_for("Worker exiting")
    reloaded = ask(tcp.getsockname())["pid"]
    assert reloaded != before
    server.signal(signal.SIGUSR2)
    wait_until(lambda: not server.running, timeout=15, what="the end of the old master")
    (new,) = masters(server)
    assert ask(tcp.getsockname())["pid"] in workers_of(server, new)
    assert not [name for name in ask(tcp.getsockname()) if name.startswith("LISTEN_")]


# Notices


def test_ready_is_told_when_all_workers_are(start, notices, tmp_path):
    server = start("--workers", "2", source=GATED + ENVIRONMENT, notices=notices, ready=False)
    wait_until((tmp_path / "boot.begun").exists, what="the import of the application")
    assert notices.states == []
    (tmp_path / "boot").touch()
    server.wait_until_ready()
    notices.wait_for("READY")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_stopping_is_told_at_once(start, notices, wire, number):
    server = start(notices=notices)
    assert server.stop(number) == 0
    notices.wait_for("READY", "STOPPING")


def test_stopping_is_told_before_the_last_request_is_answered(start, notices, wire, tmp_path):
    source = GATED.replace("boot", "request").replace("\n", "\n    ")
    server = start(
        source=f"def wait():{source}pass\n{ENVIRONMENT.replace('body =', 'wait(); body =')}", notices=notices
    )
    connection = wire(server)
    connection.ask("/")
    wait_until((tmp_path / "request.begun").exists, what="the request")
    server.signal(signal.SIGTERM)
    notices.wait_for("READY", "STOPPING")
    assert server.running
    (tmp_path / "request").touch()
    assert connection.answer().status == 200
    assert server.wait() == 0


def test_reloading_is_told_with_its_time_and_ready_when_the_new_code_serves(start, notices, tmp_path):
    """Type=notify-reload: systemctl reload returns when the reload is over."""
    server = start("--workers", "2", notices=notices)
    notices.wait_for("READY")
    (tmp_path / "app.py").write_text(GATED + ENVIRONMENT)
    before = monotonic()
    server.signal(signal.SIGHUP)
    notices.wait_for("READY", "RELOADING")
    (told,) = [message for message in notices.all if "RELOADING" in message]
    assert told["RELOADING"] == "1"
    assert before <= int(told["MONOTONIC_USEC"]) / 1e6 <= monotonic()
    wait_until((tmp_path / "boot.begun").exists, what="the import of the new code")
    notices.wait_for("READY", "RELOADING")
    (tmp_path / "boot").touch()
    notices.wait_for("READY", "RELOADING", "READY")
    server.wait_for("Reloaded: generation 2")


def test_a_reload_that_fails_is_over_as_well(start, notices, tmp_path):
    server = start(notices=notices)
    (tmp_path / "app.py").write_text("def app(:\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 is withdrawn")
    notices.wait_for("READY", "RELOADING", "READY")


def test_a_reload_to_a_wrong_configuration_is_over_as_well(start, notices, tmp_path):
    configuration = tmp_path / "unicorn.conf.py"
    configuration.write_text("timeout = 30\n")
    server = start(notices=notices)
    configuration.write_text("timeout = 'long'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload refused")
    notices.wait_for("READY", "RELOADING", "READY")


def test_the_watchdog_is_fed_in_time_and_only_if_it_is_asked_for(start, notices):
    server = start(notices=notices, environment={"WATCHDOG_USEC": "400000"})
    came: list[float] = []

    def fed() -> bool:
        if sum("WATCHDOG" in message for message in notices.all) > len(came):
            came.append(monotonic())
        return len(came) == 8

    wait_until(fed, timeout=10, what="eight signs of life")
    assert max(later - sooner for sooner, later in pairwise(came)) < 0.4
    assert server.stop() == 0


def test_without_a_watchdog_none_is_fed(start, notices):
    server = start(notices=notices)
    notices.wait_for("READY")
    server.signal(signal.SIGHUP)
    notices.wait_for("READY", "RELOADING", "READY")
    assert not [message for message in notices.all if "WATCHDOG" in message]


def test_a_watchdog_of_another_process_is_not_fed(start, notices):
    server = start(notices=notices, environment={"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    server.signal(signal.SIGHUP)
    notices.wait_for("READY", "RELOADING", "READY")
    assert not [message for message in notices.all if "WATCHDOG" in message]


def test_notices_go_to_an_abstract_socket_too(start):
    notices = Notices(f"@unicorn-test-{os.getpid()}")
    server = start(notices=notices)
    assert server.stop() == 0
    notices.wait_for("READY", "STOPPING")
    notices.socket.close()


@pytest.mark.parametrize("address", ["/nonexistent/notify", "relative", "@nobody-listens-here", ""])
def test_a_notify_socket_that_nobody_reads_disturbs_nothing(start, wire, address):
    server = start(environment={"NOTIFY_SOCKET": address})
    assert wire(server).get("/").status == 200
    assert server.stop() == 0
    assert "Traceback" not in server.output


def test_an_upgrade_names_the_new_main_process(start, notices):
    """Else systemd would take the end of the old master for the end of the service."""
    server = start("--upgrade-mode", "auto", notices=notices)
    notices.wait_for("READY")
    server.signal(signal.SIGUSR2)
    wait_until(lambda: not server.running, timeout=15, what="the end of the old master")
    (new,) = masters(server)
    wait_until(lambda: any("MAINPID" in message for message in notices.all), what="the name of the new master")
    assert [message["MAINPID"] for message in notices.all if "MAINPID" in message][-1] == str(new)
    assert "STOPPING" not in notices.states, "the service goes on"
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not alive(new), what="the end of the new master")
    assert notices.states[-1] == "STOPPING"


def test_an_upgrade_by_hand_names_the_main_process_when_the_old_one_ends(start, notices, wire):
    server = start(notices=notices)
    server.signal(signal.SIGUSR2)
    wait_until(lambda: len(masters(server)) == 2, what="a new master")
    server.wait_for(r"Ready: generation \d+ serves", count=2)
    new = masters(server)[1]
    server.signal(signal.SIGTERM)
    wait_until(lambda: not server.running, timeout=15, what="the end of the old master")
    wait_until(lambda: any("MAINPID" in message for message in notices.all), what="the name of the new master")
    assert [message["MAINPID"] for message in notices.all if "MAINPID" in message][-1] == str(new)
    assert parent(json.loads(wire(server).get("/").body)["pid"]) == new
    assert "STOPPING" not in notices.states, "the service goes on"
