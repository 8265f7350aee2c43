"""The filter keeps new handshakes out, everything else passes."""

import errno
import os
import select
import socket
import sys

import pytest

from unicorn_core.listen import syn_filter
from unicorn_core.listen.address import InheritedAddress, TcpAddress, UnixAddress
from unicorn_core.listen.listener import Listener, open_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux's alone")


def listen(address) -> Listener:
    (listener,) = open_all([address], 16, 0, (os.getuid(), os.getgid()))
    return listener


def connect(listener: Listener, timeout: float = 5.0) -> socket.socket:
    connection = socket.socket(listener.socket.family, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    connection.connect(listener.socket.getsockname())
    return connection


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request):
    opened = listen(TcpAddress(request.param, 0))
    yield opened
    opened.close()


def test_a_new_handshake_does_not_begin(listener):
    assert syn_filter.attach(listener.socket)
    with pytest.raises(TimeoutError):
        connect(listener, 0.2)


def test_who_is_in_the_queue_can_be_accepted_and_served(listener):
    client = connect(listener)
    assert syn_filter.attach(listener.socket)
    client.sendall(b"request")
    accepted, _ = listener.socket.accept()
    assert accepted.recv(100) == b"request"
    accepted.sendall(b"x" * 100_000)
    accepted.close()
    assert len(b"".join(iter(lambda: client.recv(65536), b""))) == 100_000


def test_it_may_be_attached_again(listener):
    assert not syn_filter.attached(listener.socket)
    for _ in range(2):
        assert syn_filter.attach(listener.socket)
        assert syn_filter.attached(listener.socket)


def test_it_holds_for_all_who_share_the_socket(listener):
    other = Listener(listener.socket.dup())
    assert not other.turns_away()
    assert other.turn_away()
    other.close()
    assert listener.turns_away()
    with pytest.raises(TimeoutError):
        connect(listener, 0.2)


def test_a_client_that_was_kept_out_is_refused_once_the_listener_is_closed(listener):
    address = listener.socket.getsockname()
    syn_filter.attach(listener.socket)
    client = socket.socket(listener.socket.family, socket.SOCK_STREAM)
    client.setblocking(False)
    assert client.connect_ex(address) == errno.EINPROGRESS
    listener.close()
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    assert poll.poll(5000)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_a_unix_listener_turns_new_clients_away_too(tmp_path):
    listener = listen(UnixAddress(str(tmp_path / "s")))
    client = connect(listener)
    assert not listener.turns_away()
    assert listener.turn_away()
    assert listener.turns_away()
    with pytest.raises(ConnectionRefusedError):
        connect(listener)
    client.sendall(b"request")
    accepted, _ = listener.socket.accept()
    assert accepted.recv(100) == b"request"
    with pytest.raises(BlockingIOError):
        listener.socket.accept()
    listener.remove()


def test_an_inherited_listener_turns_nobody_away(listener):
    inherited = listen(InheritedAddress(listener.socket.dup().detach()))
    assert not inherited.turn_away()
    assert not inherited.turns_away()
    connect(listener).close()
    inherited.close()
