"""Slow and idle clients delay nobody, and every wait for them ends."""

import time

import pytest

from unicorn_core.testing.server import wait_until

pytestmark = pytest.mark.each_worker_class

HEAD = b"GET /hello HTTP/1.1\r\nHost: test\r\nX-Filler: " + b"a" * 500 + b"\r\n\r\n"


def start(serve, apps, *arguments):
    return serve("", *arguments, application="wire_app:app", cwd=apps)


def test_a_hundred_clients_that_dribble_their_heads_delay_no_other(serve, wire, apps):
    server = start(serve, apps)
    dribblers = [wire(server) for _ in range(100)]
    other = wire(server)
    for at in range(100):
        for dribbler in dribblers:
            dribbler.send(HEAD[at : at + 1])
        assert other.get("/hello").body == b"hello"
    for dribbler in dribblers:
        dribbler.send(HEAD[100:])
    assert [dribbler.answer().body for dribbler in dribblers] == [b"hello"] * 100


@pytest.mark.parametrize("workers", [1, 3])
def test_a_head_that_is_not_complete_in_time_is_answered_408(serve, wire, apps, workers):
    server = start(serve, apps, "--request-head-timeout", "1", "--workers", str(workers))
    connection, silent, other = wire(server), wire(server), wire(server)
    connection.send(HEAD[:20])
    assert connection.answer().status == 408
    assert connection.is_cut()
    # Nothing at all is no request that could be answered.
    assert silent.rest() == b""
    assert wire(server).get("/hello").body == b"hello"
    other.close()


def test_dribbling_does_not_extend_the_time_for_a_head(serve, wire, apps):
    server = start(serve, apps, "--request-head-timeout", "1")
    connection = wire(server)
    connection.socket.settimeout(0.05)
    for byte in HEAD:
        connection.send(bytes([byte]))
        try:
            connection.seen += connection.socket.recv(4096)
            break
        except TimeoutError:
            continue
    assert connection.seen.startswith(b"HTTP/1.1 408 ")


def test_the_next_request_on_a_connection_has_the_same_time_for_its_head(serve, wire, apps):
    server = start(serve, apps, "--request-head-timeout", "1", "--keep-alive", "30")
    connection = wire(server)
    assert connection.get("/hello").body == b"hello"
    connection.send(HEAD[:20])
    assert connection.answer().status == 408


def test_a_body_that_stops_coming_is_answered_408(serve, wire, apps):
    server = start(serve, apps, "--request-body-timeout", "1")
    connection = wire(server)
    connection.ask("/echo", "Content-Length: 100", method="POST", body=b"not all")
    assert connection.answer().status == 408
    assert connection.is_cut()
    assert wire(server).get("/hello").body == b"hello"


def test_an_idle_connection_is_closed_after_keepalive_without_a_word(serve, wire, apps):
    server = start(serve, apps, "--keep-alive", "1")
    connection = wire(server)
    assert connection.get("/hello").body == b"hello"
    assert connection.rest() == b""


def test_a_request_that_has_begun_is_not_idle(serve, wire, apps):
    """The first bytes of a request that came together with the one before it count as its beginning."""
    server = start(serve, apps, "--keep-alive", "1", "--request-head-timeout", "30")
    connection = wire(server)
    connection.send(HEAD + HEAD[:20])
    assert connection.answer().body == b"hello"
    idle = wire(server)
    assert idle.get("/hello").body == b"hello"
    assert idle.rest() == b""  # its keep-alive, which began later, is over
    connection.send(HEAD[20:])
    assert connection.answer().body == b"hello"


def test_a_request_that_began_behind_another_is_answered_408(serve, wire, apps):
    server = start(serve, apps, "--keep-alive", "30", "--request-head-timeout", "1")
    connection = wire(server)
    connection.send(HEAD + HEAD[:20])
    assert connection.answer().body == b"hello"
    assert connection.answer().status == 408


def test_beyond_worker_connections_further_ones_wait_and_are_served_later(serve, wire, apps):
    server = start(serve, apps, "--worker-connections", "3", "--keep-alive", "30")
    served = [wire(server) for _ in range(3)]
    for connection in served:
        assert connection.get("/hello").body == b"hello"
    waiting = [wire(server) for _ in range(3)]
    for connection in waiting:
        connection.ask("/hello")
    assert all(connection.is_silent() for connection in waiting)
    for connection in served:
        assert connection.get("/hello").body == b"hello"
    for connection in served:
        connection.close()
    for connection in waiting:
        assert connection.answer().body == b"hello"


def test_waiting_connections_are_served_when_idle_ones_time_out(serve, wire, apps):
    server = start(serve, apps, "--worker-connections", "2", "--keep-alive", "1")
    served = [wire(server) for _ in range(2)]
    for connection in served:
        assert connection.get("/hello").body == b"hello"
    late = wire(server)
    assert late.get("/hello").body == b"hello"
    assert [connection.rest() for connection in served] == [b""] * 2


def test_hundreds_of_idle_connections_delay_no_other(serve, wire, apps):
    server = start(serve, apps, "--worker-connections", "2000", "--keep-alive", "60")
    idle = [wire(server) for _ in range(400)]
    for connection in idle[::4]:
        assert connection.get("/hello").body == b"hello"
    other = wire(server)
    for _ in range(100):
        assert other.get("/hello").body == b"hello"
    for connection in idle:
        connection.close()
    wait_until(lambda: other.get("/hello").body == b"hello", what="an answer")


def test_a_client_that_stops_reading_does_not_take_a_part_for_the_whole(serve, wire, apps):
    """Where the end of the connection ends the body, only a reset shows that there was more."""
    server = start(serve, apps, "--response-write-timeout", "1")
    connection = wire(server)
    connection.ask("/big?20000000", version="1.0")
    time.sleep(3.5)
    with pytest.raises(ConnectionResetError):
        connection.rest()
