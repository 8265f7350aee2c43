"""An application that takes its socket over has it for itself, and what else the worker does goes on."""

import socket
import threading

import flask
import pytest
import simple_websocket
from flask_sock import Sock
from worker_driver import ask, connect, hello

pytestmark = pytest.mark.each_worker_class

REQUEST = b"GET /take HTTP/1.1\r\nHost: a\r\n\r\n"


def taking(use, key="unicorn.socket", end=StopIteration):
    """An application that at /take uses its socket, and then ends in that way."""

    def application(environ, start):
        if environ["PATH_INFO"] != "/take":
            return hello(environ, start)
        use(environ[key])
        if end is None:
            start("200 OK", [])
            return [b"never"]
        raise end

    return application


def rest(sock):
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


def echo(sock):
    """Speaks a protocol of its own: each line comes back, until an empty one."""
    sock.sendall(b"ready\n")
    while (line := sock.recv(100)) != b"\n":
        sock.send(line)


@pytest.mark.parametrize("key", ["unicorn.socket", "gunicorn.socket"])
@pytest.mark.parametrize("end", [StopIteration, None])
def test_the_application_has_the_socket_and_the_server_adds_nothing(worker_thread, key, end, capfd):
    with worker_thread(taking(echo, key, end)) as worker:
        with connect(worker.listener) as sock:
            ask(sock)
            sock.sendall(REQUEST)
            assert sock.recv(100) == b"ready\n"
            for word in (b"one", b"two"):
                sock.sendall(word)
                assert sock.recv(100) == word
            sock.sendall(b"\n")
            assert rest(sock) == b""
        with connect(worker.listener) as another:
            ask(another)
    assert "Traceback" not in capfd.readouterr().err


def test_earlier_answers_come_first_and_later_requests_are_not_served(worker_thread):
    with worker_thread(taking(lambda sock: sock.sendall(b"mine"))) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST.replace(b"/take", b"/") * 3 + REQUEST + REQUEST.replace(b"/take", b"/"))
        received = rest(sock)
    assert received.count(b"hello") == 3
    assert received.endswith(b"hellomine")


def test_closing_it_ends_the_connection_and_never_another_one(worker_thread):
    with worker_thread(taking(lambda sock: (sock.sendall(b"bye"), sock.close()))) as worker:
        for _ in range(5):
            with connect(worker.listener) as kept, connect(worker.listener) as sock:
                sock.sendall(REQUEST)
                assert rest(sock) == b"bye"
                ask(kept)


def test_an_error_afterwards_is_logged_and_nothing_is_sent(worker_thread, capfd):
    def use(sock):
        sock.sendall(b"mine")
        raise ValueError("after that")

    with worker_thread(taking(use)) as worker:
        with connect(worker.listener) as sock:
            sock.sendall(REQUEST)
            assert sock.recv(100) == b"mine"
            with pytest.raises(ConnectionResetError):
                sock.recv(100)
        with connect(worker.listener) as another:
            ask(another)
    assert "after that" in capfd.readouterr().err


def test_to_look_at_environ_takes_nothing(worker_thread):
    def use(sock):
        assert not hasattr(sock, "__html__")
        assert not hasattr(sock, "no_such_thing")
        assert not callable(sock)
        assert repr(sock)

    def application(environ, start):
        use(environ["unicorn.socket"])
        return hello(environ, start)

    with worker_thread(application) as worker, connect(worker.listener) as sock:
        for _ in range(3):
            ask(sock)


def test_stop_iteration_alone_closes_without_an_answer(worker_thread, capfd):
    with worker_thread(taking(lambda sock: None)) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST)
        assert rest(sock) == b""
    assert capfd.readouterr().err == ""


def test_flask_sock(worker_thread, capfd):
    app = flask.Flask(__name__)
    app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}

    @Sock(app).route("/echo")
    def echo_words(ws):
        while (word := ws.receive()) != "end":
            ws.send(word * 2)

    @app.route("/")
    def index():
        return flask.Response(b"hello", headers={"Content-Length": "5"})

    with worker_thread(app) as worker:
        host, port = worker.listener.socket.getsockname()[:2]
        for _ in range(3):
            client = simple_websocket.Client(f"ws://{host}:{port}/echo")
            for word in ("a", "b" * 70000):
                client.send(word)
                assert client.receive(5) == word * 2
            client.send("end")
            with pytest.raises(simple_websocket.ConnectionClosed) as closed:
                client.receive(5)
            assert closed.value.reason == 1000
            with connect(worker.listener) as sock:
                ask(sock)
    assert "Traceback" not in capfd.readouterr().err
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ws-")]


def test_the_socket_waits(worker_thread):
    seen = []
    look = taking(lambda sock: seen.append((sock.gettimeout(), sock.family)))
    with worker_thread(look) as worker, connect(worker.listener) as sock:
        sock.sendall(REQUEST)
        rest(sock)
    assert seen == [(None, socket.AF_INET)]
