"""The client that checks answers."""

import socket
import threading

import pytest
from harness.wire import WrongAnswer, exchange, still_open
from harness.workloads import HELLO, WORKLOADS, check_pipeline, verify


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, theirs


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    ],
)
def test_an_answer_is_read_no_further_than_its_end(pair, answer, body):
    ours, theirs = pair
    theirs.sendall(answer)
    assert exchange(ours) == (200, body)
    assert still_open(ours)
    assert theirs.recv(4096) == b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_an_answer_that_the_end_of_the_connection_ends(pair):
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 404 Not Found\r\n\r\ngone")
    theirs.shutdown(socket.SHUT_WR)
    assert exchange(ours) == (404, b"gone")
    assert not still_open(ours)


def test_closed_without_an_answer(pair):
    ours, theirs = pair
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        exchange(ours)


def test_pipelined_answers_are_counted(pair):
    ours, theirs = pair
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + HELLO
    sender = threading.Thread(target=theirs.sendall, args=(answer * 16,))
    sender.start()
    check_pipeline(ours)
    sender.join(5)
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(WrongAnswer, match="closed after 1 of 16"):
        check_pipeline(ours)


def test_right_and_wrong_answers():
    verify(HELLO, 200, HELLO)
    verify({"a": "b"}, 200, b'{"a": "b"}')
    for expected, status, body in [
        (HELLO, 200, b"Hello"),
        (HELLO, 500, HELLO),
        ({"a": "b"}, 200, b"no JSON"),
    ]:
        with pytest.raises(WrongAnswer):
            verify(expected, status, body)


def test_every_workload_says_what_it_is():
    for name, work in WORKLOADS.items():
        assert work.name == name
        assert work.title
