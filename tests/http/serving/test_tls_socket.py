"""The socket of a TLS connection behaves as a plain one that never waits: both ends in this process."""

import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unicorn_http.serving.tls import RECORD, TlsSocket, records


@given(
    st.lists(st.one_of(st.integers(0, 50), st.integers(RECORD - 2, RECORD + 2), st.just(3 * RECORD + 7)), max_size=9)
)
def test_records_are_full_and_hold_the_same_bytes(sizes):
    parts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    cut = [bytes(record) for record in records(parts)]
    assert b"".join(cut) == b"".join(parts)
    assert all(len(record) == RECORD for record in cut[:-1])
    assert len(cut[-1]) <= RECORD


def test_a_large_part_is_not_copied_but_at_its_ends():
    body = bytes(10 * RECORD)
    cut = list(records([b"head", body, b"tail"]))
    assert sum(isinstance(record, memoryview) and record.obj is body for record in cut) == 9


@pytest.fixture(scope="module")
def context(tmp_path_factory) -> ssl.SSLContext:
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{path}.crt", path)
    return context


class Pair:
    """A connection: `server` is what is tested, `client` a plain SSLSocket that does not wait either."""

    def __init__(self, context: ssl.SSLContext) -> None:
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        self.server = TlsSocket(context.wrap_socket(ours, server_side=True, do_handshake_on_connect=False))
        self.client = trusting.wrap_socket(theirs, do_handshake_on_connect=False, suppress_ragged_eofs=False)
        done = 0
        while done < 2:
            done = 0
            for side in (self.client.do_handshake, self.server.shake_hands):
                try:
                    side()
                    done += 1
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass

    def received(self, least: int = 1) -> bytes:
        """What the client has got."""
        seen = b""
        while len(seen) < least:
            try:
                seen += self.client.recv(RECORD)
            except ssl.SSLWantReadError:
                break
        return seen


@pytest.fixture
def pair(context) -> Iterator[Pair]:
    pair = Pair(context)
    yield pair
    pair.server.close()
    pair.client.close()


def test_reading_what_has_not_come_would_block(pair):
    with pytest.raises(BlockingIOError):
        pair.server.recv(65536)
    assert not pair.server.wants_write


def test_several_full_records_are_read_at_once(pair):
    data = bytes(range(256)) * 64
    sent = 0
    got = b""
    pieces = []
    while len(got) < 3 * RECORD:
        if sent < 3:
            try:
                pair.client.send(data)
                sent += 1
            except ssl.SSLWantWriteError:
                pass
        try:
            pieces.append(pair.server.recv(65536))
            got += pieces[-1]
        except BlockingIOError:
            pass
    assert got == data * 3


def test_what_was_not_sent_goes_on_where_it_stopped(pair):
    """The retry is longer than what was tried before, as after further answers have been put behind it."""
    head, body = b"h" * 100, bytes(range(256)) * 4096
    sent = pair.server.sendmsg((head, body))
    assert 0 < sent < len(head) + len(body)
    left = memoryview((head + body)[sent:] + b"more")
    with pytest.raises(BlockingIOError):
        pair.server.send(left)
    seen = b""
    while left:
        seen += pair.received()
        try:
            left = left[pair.server.send(left) :]
        except BlockingIOError:
            continue
    while piece := pair.received():
        seen += piece
    assert seen == head + body + b"more"


def test_closing_tells_the_client_that_this_was_all(pair):
    pair.server.send(b"all")
    pair.server.close()
    assert pair.received(3) == b"all"
    assert pair.client.recv(1) == b""


def test_closing_after_abort_does_not(pair):
    pair.server.send(b"a part")
    pair.server.abort()
    pair.server.close()
    assert pair.received(6) == b"a part"
    with pytest.raises(ssl.SSLEOFError):
        pair.client.recv(1)


def test_after_shutdown_the_client_may_go_on_sending_to_nobody(pair):
    pair.server.send(b"all")
    pair.server.shutdown(socket.SHUT_WR)
    assert pair.received(3) == b"all"
    assert pair.client.recv(1) == b""
    pair.client.send(b"unread")
    assert len(pair.server.recv(65536)) > 6  # no longer decrypted, and thrown away anyway
    with pytest.raises(OSError, match="Broken pipe"):
        pair.server.send(b"never in the clear")
