"""Listeners: what may be bound, what is refused in one clear line, and what is left behind: nothing."""

import os
import signal
import socket
import stat
import sys
import time

import pytest

from unicorn_core.testing.server import wait_until


@pytest.fixture
def start(serve, apps):
    """A server of wire_app."""
    return lambda *arguments, **options: serve("", *arguments, application="wire_app:app", cwd=apps, **options)


def ask(address: str | tuple[str, int], family: socket.AddressFamily = socket.AF_INET) -> bytes:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(address)
        client.sendall(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_port_in_use_ends_with_code_1_and_one_clear_line(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        began = time.monotonic()
        server = start("--bind", f"127.0.0.1:{port}", ready=False)
        assert server.wait(10) == 1
        assert time.monotonic() - began < 8
    assert f"Error: cannot listen on 127.0.0.1:{port}: the address is in use" in server.output
    assert "Traceback" not in server.output
    assert "Booting worker" not in server.output


def test_a_port_that_becomes_free_is_taken(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("--bind", f"127.0.0.1:{port}", ready=False)
        server.wait_for("Starting unicorn")
    server.wait_until_ready()
    assert ask(("127.0.0.1", port)).endswith(b"hello")


def test_a_restarted_server_gets_its_port_at_once(serve, apps, wire):
    first = serve("", application="wire_app:app", cwd=apps)
    connection = wire(first)
    assert connection.get("/hello").body == b"hello"
    assert first.stop(signal.SIGINT) == 0
    second = serve("", "--bind", f"127.0.0.1:{first.port}", application="wire_app:app", cwd=apps)
    assert ask(("127.0.0.1", first.port)).endswith(b"hello")
    assert second.running


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:99999", "a port is a number from 0 to 65535"),
        ("http://127.0.0.1", "known are tcp://, unix: and fd://"),
        ("::1:80", "an IPv6 address stands in brackets"),
        ("unix:", "the path of the unix socket is missing"),
        ("fd://x", "a file descriptor must be a number"),
        ("no-such-host.invalid:80", "the host name cannot be resolved"),
        ("203.0.113.1:80", "annot assign requested address"),
        ("unix:/no/such/folder/s", "No such file or directory"),
        ("fd://77", "ad file descriptor"),
    ],
)
def test_an_address_that_cannot_be_bound_ends_with_code_1_and_one_clear_line(start, address, told):
    server = start("--bind", address, ready=False)
    assert server.wait(15) == 1
    last = server.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert told in last
    assert address in last
    assert "Traceback" not in server.output


def test_several_binds_are_all_served(start, tmp_path):
    path = tmp_path / "s"
    server = start("--bind", f"unix:{path}", "--bind", "127.0.0.1:0", "--workers", "2")
    line = server.wait_for(r"Listening at: (.*) \(\d+\)")[1].split(",")
    assert len(line) == 3
    for address in line:
        if address.startswith("unix:"):
            assert ask(str(path), socket.AF_UNIX).endswith(b"hello")
        else:
            assert ask(("127.0.0.1", int(address.rpartition(":")[2]))).endswith(b"hello")
    assert server.stop() == 0
    assert not path.exists()


def test_ipv6(start):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 on this machine")
    server = start("--bind", "[::1]:0")
    port = int(server.wait_for(r"http://\[::1\]:(\d+)")[1])
    assert ask(("::1", port), socket.AF_INET6).endswith(b"hello")


def test_when_one_of_several_binds_fails_none_is_left(start, tmp_path):
    path = tmp_path / "s"
    server = start("--bind", f"unix:{path}", "--bind", "unix:/no/such/folder/s", ready=False)
    assert server.wait(10) == 1
    assert not path.exists()


@pytest.mark.parametrize(("umask", "mode"), [("0", 0o777), ("0o022", 0o755), ("077", 0o700), ("18", 0o755)])
def test_a_unix_socket_is_made_under_umask_and_removed_at_exit(start, tmp_path, umask, mode):
    path = tmp_path / "s"
    server = start("--umask", umask, unix=path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert server.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_every_way_of_stopping_removes_the_unix_socket(start, tmp_path, number):
    server = start(unix=tmp_path / "s")
    assert server.stop(number) == 0
    assert not (tmp_path / "s").exists()


def test_a_failed_boot_removes_the_unix_socket(serve, tmp_path):
    server = serve("1 / 0", unix=tmp_path / "s", ready=False)
    assert server.wait(10) == 3
    assert not (tmp_path / "s").exists()


def test_a_stale_unix_socket_is_replaced(start, tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.is_socket()
    start(unix=path)
    assert ask(str(path), socket.AF_UNIX).endswith(b"hello")


def test_the_socket_of_a_killed_server_is_replaced(start, tmp_path, left_of):
    path = tmp_path / "s"
    first = start(unix=path)
    first.signal(signal.SIGKILL)
    first.wait()
    wait_until(lambda: not left_of(first), what="the end of its workers")
    assert path.is_socket()
    start(unix=path)
    assert ask(str(path), socket.AF_UNIX).endswith(b"hello")


def test_a_unix_socket_on_which_somebody_listens_is_refused(start, tmp_path):
    path = tmp_path / "s"
    first = start(unix=path)
    second = start(unix=path, ready=False)
    assert second.wait(10) == 1
    assert f"cannot listen on unix:{path}: the address is in use" in second.output
    assert ask(str(path), socket.AF_UNIX).endswith(b"hello")
    assert first.running


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_refused_and_left_alone(start, tmp_path, kind):
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    else:
        path.mkdir()
    server = start(unix=path, ready=False)
    assert server.wait(10) == 1
    assert f"cannot listen on unix:{path}: the path exists and is no socket" in server.output
    assert path.is_dir() if kind == "folder" else path.read_text() == "precious"


def test_a_socket_that_somebody_else_put_there_meanwhile_is_left_alone(start, tmp_path):
    path = tmp_path / "s"
    server = start(unix=path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        assert server.stop() == 0
        assert path.is_socket()


@pytest.mark.skipif(sys.platform != "linux", reason="the abstract namespace is Linux's")
def test_an_abstract_unix_socket(start):
    name = f"unicorn-test-{os.getpid()}"
    server = start("--bind", f"unix:@{name}")
    server.wait_for(f"unix:@{name}")
    assert ask("\0" + name, socket.AF_UNIX).endswith(b"hello")


INHERIT = """
import os, socket, sys
if sys.argv[1] == "tcp":
    listener = socket.create_server(("127.0.0.1", 0))
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
os.dup2(listener.fileno(), 9)
os.execv(sys.executable, [sys.executable, "-m", "unicorn_cli", *sys.argv[2:]])
"""


def test_an_inherited_tcp_socket(start):
    server = start("--bind", "fd://9", "--workers", "2", command=(sys.executable, "-c", INHERIT, "tcp"))
    addresses = server.wait_for(r"Listening at: (.*) \(\d+\)")[1].split(",")
    assert len(addresses) == 2
    for address in addresses:
        assert ask(("127.0.0.1", int(address.rpartition(":")[2]))).endswith(b"hello")


def test_an_inherited_unix_socket_is_not_removed(start, tmp_path):
    path = tmp_path / "s"
    server = start("--bind", "fd://9", command=(sys.executable, "-c", INHERIT, str(path)))
    server.wait_for(f"unix:{path}")
    assert ask(str(path), socket.AF_UNIX).endswith(b"hello")
    assert server.stop() == 0
    assert path.is_socket()


def test_the_environ_on_a_unix_socket(start, wire, tmp_path):
    server = start(unix=tmp_path / "s")
    connection = wire(server)
    connection.send(b"GET /environ HTTP/1.1\r\nHost: example.org:8443\r\n\r\n")
    environ = eval(connection.answer().body)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("example.org", "8443")
    connection.send(b"GET /environ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    environ = eval(connection.answer().body)
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"] == "80"
