"""The worker lets its application answer a request without a connection."""

import logging
import os
import tempfile
from pathlib import Path

import pytest
from worker_driver import WorkerThread, listen

from unicorn_core.listen.address import UnixAddress
from unicorn_core.listen.listener import open_all


def probe(application, path="/health", listeners=None) -> int:
    driver = WorkerThread(application, listeners)
    try:
        return driver.worker.probe(path)
    finally:
        for listener in driver.listeners:
            listener.remove()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found", "404 Not Found", "503 Later"])
def test_the_status_is_that_of_the_application(status):
    def app(environ, start):
        start(status, [])
        return [] if status[:3] == "204" else [b"some", b"blocks"]

    assert probe(app) == int(status[:3])


def test_the_request_is_a_whole_one():
    seen = {}

    def app(environ, start):
        seen.update(environ, body=environ["wsgi.input"].read())
        start("200 OK", [])
        return [b"x"]

    listener = listen()
    port = listener.socket.getsockname()[1]
    assert probe(app, "/some%20where/ü?a=b", [listener]) == 200
    assert seen["REQUEST_METHOD"] == "GET"
    assert seen["PATH_INFO"] == "/some where/Ã¼"
    assert seen["QUERY_STRING"] == "a=b"
    assert seen["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["HTTP_HOST"] == f"127.0.0.1:{port}"
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("127.0.0.1", str(port))
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["HTTP_USER_AGENT"] == "unicorn-canary"
    assert seen["body"] == b""


def test_on_an_ipv6_address_host_has_brackets():
    seen = {}

    def app(environ, start):
        seen.update(environ)
        start("200 OK", [])
        return [b"x"]

    listener = listen("::1")
    probe(app, listeners=[listener])
    assert seen["HTTP_HOST"].startswith("[::1]:")


def test_on_a_unix_socket_it_goes_to_localhost():
    seen = {}

    def app(environ, start):
        seen.update(environ)
        start("200 OK", [])
        return [b"x"]

    with tempfile.TemporaryDirectory() as folder:
        listeners = open_all([UnixAddress(f"{folder}/s")], 64, 0, (os.getuid(), os.getgid()))
        assert probe(app, listeners=listeners) == 200
    assert seen["HTTP_HOST"] == "localhost"


def test_the_body_is_consumed_and_closed():
    class Body:
        taken = closed = 0

        def __iter__(self):
            for _ in range(3):
                self.taken += 1
                yield b"block"

        def close(self):
            self.closed += 1

    body = Body()

    def app(environ, start):
        start("200 OK", [("Content-Length", "15")])
        return body

    assert probe(app) == 200
    assert (body.taken, body.closed) == (3, 1)


def test_a_file_is_an_answer():
    def app(environ, start):
        start("200 OK", [])
        return environ["wsgi.file_wrapper"](Path(__file__).open("rb"))

    assert probe(app) == 200


def raises(environ, start):
    raise RuntimeError("not well")


def raises_late(environ, start):
    start("200 OK", [])
    yield b"begun"
    raise RuntimeError("not well")


def exits(environ, start):
    raise SystemExit("not well")


@pytest.mark.parametrize("app", [raises, raises_late, exits])
def test_an_exception_counts_as_500_and_is_logged(app, capfd):
    assert probe(app) == 500
    logging.shutdown()
    logged = capfd.readouterr()
    assert "not well" in logged.err + logged.out
    assert "Traceback" in logged.err + logged.out


def test_too_few_bytes_count_as_500():
    def app(environ, start):
        start("200 OK", [("Content-Length", "10")])
        return [b"five.", b""]

    assert probe(app) == 500
