"""A connection that has ended leaves nothing to the garbage collector: that would cost more than accepting it does."""

import gc

import pytest
from worker_driver import WorkerThread, ask, connect

from unicorn_core.testing.server import wait_until
from unicorn_http.semantics.chunked import ChunkedDecoder
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.workers.connection import Connection
from unicorn_http.wsgi.request import WsgiRequest, environ_key

CHUNKED = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def connections() -> int:
    return sum(type(each) is Connection for each in gc.get_objects())


def test_a_remembered_request_keeps_no_connection():
    request = WsgiRequest(FieldNames(environ_key), environ={"REMOTE_ADDR": "192.0.2.1"}, outlet=(outlet := object()))
    assert outlet in gc.get_referents(request)
    assert outlet not in gc.get_referents(request.detached())
    assert request.detached().environ == {}


@pytest.mark.each_worker_class
@pytest.mark.only_worker_class("sync", "gthread", reason="their connections are of this class")
def test_ended_connections_are_gone_at_once(worker_class):
    with WorkerThread(**worker_class.settings) as worker:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                with connect(worker.listener) as connection:
                    ask(connection)
                    connection.sendall(CHUNKED)
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    while connection.recv(65536):
                        pass
            # The one that was served last may still be known to who served it.
            wait_until(lambda: connections() <= 1, what="that the ended connections are gone")
            assert sum(type(each) is ChunkedDecoder for each in gc.get_objects()) == 0
        finally:
            gc.enable()
