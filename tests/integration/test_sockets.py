"""Sockets come and go with settings and slots, and whatever comes back serves as if it had never been away."""

import re
import signal
import socket
from pathlib import Path

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def asked(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


def all_answer(port: int, times: int = 30) -> None:
    assert all(asked(port).startswith(b"HTTP/1.1 200") for _ in range(times))


def is_closed(port: int) -> bool:
    try:
        asked(port)
    except OSError:
        return True
    return False


@pytest.fixture
def configured(serve, tmp_path):
    """A server that reads where to listen from its configuration file; `write` changes that."""

    def start(content: str, *arguments: str) -> ServerProcess:
        write(content)
        server = serve(APP, *arguments, bind=False, ready=False)
        server.wait_for("Ready: generation 1")
        return server

    def write(content: str) -> None:
        (tmp_path / "unicorn.conf.py").write_text(content)

    start.write = write
    return start


def reload(server: ServerProcess, generation: int) -> None:
    server.signal(signal.SIGHUP)
    server.wait_for(f"Reloaded: generation {generation} ")


@pytest.mark.parametrize("options", [(), ("--reuse-port", "--workers", "3"), ("--preload", "--workers", "2")])
def test_an_address_that_is_left_and_taken_again_serves(configured, options):
    one, other = free_port(), free_port()
    server = configured(f"bind = '127.0.0.1:{one}'\n", *options)
    for generation in range(2, 6):
        here, there = (other, one) if generation % 2 == 0 else (one, other)
        configured.write(f"bind = '127.0.0.1:{here}'\n")
        reload(server, generation)
        all_answer(here, 20)
        wait_until(lambda port=there: is_closed(port), what="the end of the former address")


def test_an_address_that_is_wanted_again_before_the_reload_is_complete_serves(configured, tmp_path):
    one, other = free_port(), free_port()
    server = configured(f"bind = '127.0.0.1:{one}'\n")
    configured.write(f"bind = '127.0.0.1:{other}'\n")
    reload(server, 2)
    (tmp_path / "app.py").write_text("import time\ntime.sleep(0.5)\n" + APP)
    for port in (one, other):
        configured.write(f"bind = '127.0.0.1:{port}'\n")
        server.signal(signal.SIGHUP)
        server.wait_for("Handling signal: hup", count=2 if port == one else 3)
    server.wait_for("Reloaded: generation 4 ")
    all_answer(other)


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_slots_that_go_and_come_back_at_once_lose_no_connection(serve, options):
    server = serve(APP, "--reuse-port", "--workers", "3", *options)
    for _ in range(3):
        for number in (signal.SIGTTOU, signal.SIGTTOU, signal.SIGTTIN, signal.SIGTTIN):
            server.signal(number)
        all_answer(server.port, 40)
    for size in (2, 1):
        server.signal(signal.SIGTTOU)
        wait_until(lambda size=size: len(server.worker_pids()) <= size, what="the smaller pool")
    all_answer(server.port, 40)


def test_reuse_port_that_is_turned_off_by_a_reload_stays_until_the_restart(configured):
    port = free_port()
    bind = f"bind = '127.0.0.1:{port}'\nworkers = 3\n"
    server = configured(bind + "reuse_port = True\n")
    configured.write(bind)
    reload(server, 2)
    server.wait_for("Setting reuse_port has changed; that takes effect after a restart")
    all_answer(port, 40)


def test_workers_have_no_listener_but_their_own(serve):
    server = serve(APP, "--reuse-port", "--workers", "4", "--preload")
    counts = {len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.worker_pids()}
    assert len(counts) == 1, "all workers have as many descriptors"


def test_a_unix_socket_that_is_left_and_taken_again_serves(configured, tmp_path):
    port = free_port()
    path = tmp_path / "s"
    server = configured(f"bind = ['unix:{path}', '127.0.0.1:{port}']\n")
    configured.write(f"bind = '127.0.0.1:{port}'\n")
    reload(server, 2)
    wait_until(lambda: not path.exists(), what="the end of the socket's file")
    configured.write(f"bind = ['unix:{path}', '127.0.0.1:{port}']\n")
    reload(server, 3)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(str(path))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    assert re.search(r"\[(ERROR|CRITICAL)\]", server.output) is None
