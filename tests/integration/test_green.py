"""The worker classes gevent and eventlet: requests that wait do so together, and nothing else is different."""

import contextlib
import json
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time

import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.tls_client import Authority

pytestmark = [
    pytest.mark.each_worker_class,
    pytest.mark.only_worker_class("gevent", "eventlet", reason="what green threads promise"),
]

APP = """
import os, pathlib, socket, ssl, subprocess, sys, threading, time

running = most = 0

def app(environ, start_response):
    global running, most
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    running += 1
    most = max(most, running)
    try:
        body = PATHS[path](query)
    finally:
        running -= 1
    body = body if isinstance(body, bytes) else str(body).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

def gate(query):
    pathlib.Path(query + ".begun").touch()
    while not pathlib.Path(query).exists():
        time.sleep(0.01)
    return "through"

def crowd(query):
    while running < int(query) and most < int(query):
        time.sleep(0.05)
    return most

def secure(query):
    # A class of the module that finds itself by its name, which has been patched, goes round in circles.
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return "secured"

def thread(query):
    seen = []
    one = threading.Thread(target=lambda: (time.sleep(0.05), seen.append("a thread")))
    one.start()
    one.join()
    return seen[0]

def hog(query):
    until = time.monotonic() + float(query)
    while time.monotonic() < until:
        pass
    return "hogged"

PATHS = {
    "/": lambda query: "hello",
    "/pid": lambda query: os.getpid(),
    "/sleep": lambda query: time.sleep(float(query)) or "slept",
    "/module": lambda query: f"{socket.socket.__module__} {time.sleep.__module__}",
    "/imported": lambda query: [name for name in ("gevent", "eventlet") if name in sys.modules],
    "/process": lambda query: subprocess.run(["sh", "-c", "sleep 0.3; echo a process"], capture_output=True).stdout,
    "/gate": gate,
    "/crowd": crowd,
    "/secure": secure,
    "/thread": thread,
    "/hog": hog,
}
"""
STREAM = """
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

def events():
    for number in range(3):
        yield b"data: %d\\n\\n" % number
        time.sleep(0.5)
"""


@pytest.fixture
def start(serve):
    return lambda *arguments, source=APP, **options: serve(source, *arguments, **options)


@pytest.fixture
def descriptors():
    """Gives how many files this process and its servers may have open, as far as the system lets them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def raised(count: int) -> None:
        if hard != resource.RLIM_INFINITY and hard < count:
            pytest.skip(f"no more than {hard} files may be open")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))

    yield raised
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def begun(path) -> None:
    wait_until(path.with_name(path.name + ".begun").exists, what="the start of the request")


# Together


def test_a_thousand_requests_wait_at_a_time(start, wire, descriptors):
    descriptors(4096)
    server = start("--worker-connections", "1100", "--timeout", "20")
    connections = [wire(server) for _ in range(1000)]
    for connection in connections:
        connection.ask("/crowd?1000")
    assert {connection.answer().body for connection in connections} == {b"1000"}
    # And once more, over the connections that were kept.
    for connection in connections:
        connection.ask("/sleep?0.1")
    assert {connection.answer().body for connection in connections} == {b"slept"}


def test_events_to_two_thousand_clients(start, wire, descriptors):
    descriptors(8192)
    server = start("--worker-connections", "2100", "--timeout", "20", source=STREAM)
    selector = selectors.DefaultSelector()
    seen: dict[socket.socket, bytes] = {}
    for _ in range(2000):
        client = server.connect()
        client.sendall(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        selector.register(client, selectors.EVENT_READ)
        seen[client] = b""
    while any(not data.endswith(b"0\r\n\r\n") for data in seen.values()):
        ready = selector.select(20)
        assert ready, "nothing comes"
        for key, _ in ready:
            piece = key.fileobj.recv(65536)
            assert piece, seen[key.fileobj]
            seen[key.fileobj] += piece
    selector.close()
    for client, data in seen.items():
        client.close()
        assert [data.count(b"data: %d\n\n" % number) for number in range(3)] == [1, 1, 1]
    assert wire(server).get("/hello").body == b"hello"


def test_a_request_does_not_wait_for_those_that_wait(start, wire, tmp_path):
    server = start()
    slow = [wire(server) for _ in range(10)]
    for number, connection in enumerate(slow):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    quick = wire(server)
    for _ in range(50):
        assert quick.get("/").body == b"hello"
    for number, connection in enumerate(slow):
        (tmp_path / f"go{number}").touch()
        assert connection.answer().body == b"through"
        assert connection.get("/").body == b"hello"


def test_a_request_that_waits_in_the_middle_of_a_turn_holds_no_answer_back(start, wire, tmp_path):
    server = start()
    warm = [wire(server) for _ in range(16)]
    blocking = wire(server)
    for round_ in range(10):
        gate = tmp_path / f"go{round_}"
        for number, connection in enumerate(warm):
            if number == 8:
                blocking.ask(f"/gate?{gate}")
            connection.ask("/")
        for connection in warm:
            assert connection.answer().body == b"hello", "while the other still waits"
        begun(gate)
        gate.touch()
        assert blocking.answer().body == b"through"


def test_answers_to_pipelined_requests_come_in_order_though_the_first_waits(start, wire, tmp_path):
    server = start()
    connection, other = wire(server), wire(server)
    gate = tmp_path / "go"
    connection.ask(f"/gate?{gate}")
    connection.ask("/")
    begun(gate)
    connection.ask("/thread")  # comes while the first runs
    assert other.get("/").body == b"hello"
    gate.touch()
    assert [connection.answer().body for _ in range(3)] == [b"through", b"hello", b"a thread"]
    assert connection.get("/").body == b"hello"


def test_worker_connections_bounds_what_waits_and_the_rest_is_served_afterwards(start, wire, tmp_path):
    server = start("--worker-connections", "4", "--timeout", "1")
    waiting = [wire(server) for _ in range(4)]
    for number, connection in enumerate(waiting):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    fifth = wire(server)
    fifth.ask("/")
    assert fifth.is_silent(1.5), "and the worker lives, although that is longer than timeout"
    (tmp_path / "go0").touch()
    assert waiting[0].answer().body == b"through"
    waiting[0].close()
    assert fifth.answer().body == b"hello"


@pytest.mark.parametrize("path", ["/thread", "/process"])
def test_threads_and_processes_of_the_application_wait_in_the_green_way(start, wire, path):
    server = start()
    connections = [wire(server) for _ in range(5)]
    for connection in connections:
        connection.ask(path)
    assert wire(server).get("/").body == b"hello"
    assert len({connection.answer().body for connection in connections}) == 1


def test_a_slow_upload_and_a_slow_download_wait_in_the_green_way(serve, wire):
    source = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/download":
        start_response("200 OK", [])
        return (bytes(65536) for _ in range(400))
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(str(len(body)))))])
    return [str(len(body)).encode()]
"""
    server = serve(source)
    upload, download, other = wire(server), wire(server), wire(server)
    upload.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n")
    download.ask("/download")
    for _ in range(10):
        upload.send(b"x" * 10000)
        assert other.get("/").body == b"0"
    assert upload.answer().body == b"100000"
    assert len(download.answer().body) == 400 * 65536


def test_a_log_that_waits_in_the_middle_of_a_turn_delays_it_and_loses_nothing(start, wire, tmp_path):
    (tmp_path / "conf.py").write_text(
        "import logging, time\n"
        "class Slow(logging.Handler):\n    def emit(self, record):\n        time.sleep(0.2)\n"
        "def post_worker_init(worker):\n    worker.log.error_log.addHandler(Slow())\n"
    )
    server = start("-c", str(tmp_path / "conf.py"), "--proxy-protocol", "v1")
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
    slow, good = wire(server), wire(server)
    good.send(header)
    slow.send(header)
    slow.ask("/sleep?0.3")
    for _ in range(3):
        bad, other = wire(server), wire(server)
        bad.send(b"GET / HTTP/1.1\r\nHost: no proxy header\r\n\r\n")
        other.send(header)
        assert good.get("/").body == b"hello"
        assert other.get("/thread").body == b"a thread"
        assert bad.is_cut()
    assert slow.answer().body == b"slept"
    server.wait_for("Refused connection from 127.0.0.1", count=3)


# Patching


@pytest.mark.parametrize("options", [(), ("--preload",), ("--reload",)], ids=lambda options: "".join(options))
def test_the_standard_library_is_patched_before_the_application_and_never_in_the_arbiter(
    start, wire, tmp_path, worker_class, options
):
    (tmp_path / "conf.py").write_text(
        "import socket, time\n"
        "def say(server):\n    server.log.info('arbiter: %s', socket.socket.__module__)\n"
        "when_ready = say\n"
    )
    server = start("-c", str(tmp_path / "conf.py"), "--workers", "2", *options)
    server.wait_for("arbiter: socket\n")
    for connection in [wire(server) for _ in range(6)]:
        body = connection.get("/module").body.decode()
        assert body.count(worker_class.name) == 2, body
        assert connection.get("/imported").body.decode() == str([worker_class.name])
    assert "Warning" not in server.output
    assert "not greened" not in server.output
    assert "Imported before" not in server.output
    assert server.stop() == 0
    assert "Traceback" not in server.output


def test_what_was_imported_too_early_is_named(start, tmp_path, wire):
    (tmp_path / "early.py").write_text("from time import sleep\nfrom socket import create_connection\n")
    (tmp_path / "conf.py").write_text("import early\n")
    server = start("-c", str(tmp_path / "conf.py"), environment={"PYTHONPATH": str(tmp_path)})
    server.wait_for(
        r"\[WARNING\] Imported before the worker class \w+ could patch the standard library, so that it waits for real "
        r"and holds up all requests: early \(socket.create_connection, time.sleep\); import it in the application"
    )
    assert wire(server).get("/").body == b"hello"


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=lambda options: "".join(options))
def test_settings_that_patch_by_themselves_as_those_for_gunicorn_do(start, tmp_path, wire, worker_class, options):
    patch = {
        "gevent": "from gevent import monkey\nmonkey.patch_all()\n",
        "eventlet": "import eventlet\neventlet.monkey_patch()\n",
    }
    (tmp_path / "conf.py").write_text(patch[worker_class.name])
    server = start("-c", str(tmp_path / "conf.py"), "--workers", "2", *options)
    connections = [wire(server) for _ in range(8)]
    for connection in connections:
        connection.ask("/sleep?0.2")
    assert {connection.answer().body for connection in connections} == {b"slept"}
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded: generation 2")
    assert wire(server).get("/").body == b"hello"
    assert server.stop() == 0


def test_tls_by_the_server_and_in_the_application(start, wire, tmp_path):
    authority = Authority(tmp_path)
    server = start("--certfile", str(authority.server()), "--workers", "2")

    def secure(server):
        client = wire(server)
        client.socket = authority.trusting().wrap_socket(client.socket, server_hostname="127.0.0.1")
        return client

    connections = [secure(server) for _ in range(8)]
    for connection in connections:
        connection.ask("/sleep?0.1")
    assert {connection.answer().body for connection in connections} == {b"slept"}
    assert secure(server).get("/secure").body == b"secured"
    assert "Warning" not in server.output


def test_psycopg2_waits_in_the_green_way(start, wire):
    """No database is needed: that one which never answers holds up its own request alone is what matters."""
    pytest.importorskip("psycopg2")
    pytest.importorskip("psycogreen")
    source = """
import psycopg2

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    if environ["QUERY_STRING"]:
        try:
            psycopg2.connect(host="127.0.0.1", port=environ["QUERY_STRING"], user="x", dbname="x")
        except psycopg2.OperationalError:
            return [b"ended"]
    return [b"hello"]
"""
    server = start(source=source)
    with socket.create_server(("127.0.0.1", 0)) as database:
        database.settimeout(10)
        asking = wire(server)
        asking.ask(f"/?{database.getsockname()[1]}")
        session, _ = database.accept()
        for _ in range(10):
            assert wire(server).get("/").body == b"hello"
        session.close()
    assert asking.answer().body == b"ended"


# Signs of life, and the end


def test_a_hub_that_is_held_up_is_noticed_and_its_green_threads_are_shown(start, wire, tmp_path):
    server = start("--timeout", "1")
    waiting, hogging = wire(server), wire(server)
    waiting.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    hogging.ask("/hog?30")
    assert hogging.is_cut()
    server.wait_for(r"WORKER TIMEOUT \(pid:\d+\)")
    server.wait_for(r"runs, with GET /hog\?30 HTTP/1.1 from 127.0.0.1")
    server.wait_for(r"waits, with GET /gate\?\S+ HTTP/1.1 from 127.0.0.1:\n(.*\n)*?.*in gate\n    time.sleep\(0.01\)")
    server.wait_for(r"was aborted at:\n(.*\n)*?.*in hog\n")
    server.wait_for("Ready: generation 1", count=2)
    assert wire(server).get("/").body == b"hello"


def test_a_boot_that_takes_too_long_shows_where_the_application_waits(start):
    server = start("--worker-boot-timeout", "8", source="import time\ntime.sleep(60)\n", ready=False)
    assert server.wait(40) == 3
    server.wait_for(r"waits, with no request of a client:\n(.*\n)*?.*app\.py\", line 2, in <module>\n")


def test_a_worker_without_requests_and_one_with_long_ones_live(start, wire, tmp_path):
    server = start("--timeout", "1")
    connection = wire(server)
    connection.ask("/sleep?2.5")
    assert connection.answer().body == b"slept"
    time.sleep(1.5)
    assert "TIMEOUT" not in server.output
    assert connection.get("/").body == b"hello"


def reachable(server: ServerProcess) -> bool:
    """Somebody takes new connections."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 0.5):
        return True
    return False


def test_requests_finish_within_graceful_timeout(start, wire, tmp_path):
    server = start("--graceful-timeout", "15")
    connections = [wire(server) for _ in range(5)]
    for number, connection in enumerate(connections):
        connection.ask(f"/gate?{tmp_path}/go{number}")
        begun(tmp_path / f"go{number}")
    server.signal(signal.SIGTERM)
    wait_until(lambda: not reachable(server), timeout=10, what="the end of the listener")
    for number, connection in enumerate(connections):
        (tmp_path / f"go{number}").touch()
        assert connection.answer()["connection"] == "close"
    assert server.wait() == 0
    assert "ends a request" not in server.output


def test_a_request_that_does_not_finish_in_time_is_named_and_ended(start, wire, tmp_path):
    server = start("--graceful-timeout", "2")
    connection = wire(server)
    connection.ask(f"/gate?{tmp_path}/never")
    begun(tmp_path / "never")
    server.signal(signal.SIGTERM)
    assert connection.is_cut()
    assert server.wait() == 0
    assert re.search(r"ends a request that graceful_timeout leaves no more time: GET /gate\?\S+ HTTP/1.1 from",
                     server.output)  # fmt: skip
    assert re.search(r"in gate\n", server.output), "the traceback shows where it stood"
    assert "is killed" not in server.output


def test_max_requests_counts_requests_that_wait(start, wire):
    server = start("--max-requests", "20")
    first = wire(server).get("/pid").body
    connections = [wire(server) for _ in range(30)]
    for connection in connections:
        connection.ask("/sleep?0.1")
    assert {connection.answer().body for connection in connections} == {b"slept"}
    server.wait_for("Autorestarting worker after current request.")
    server.wait_for("Worker exiting")
    assert wire(server).get("/pid").body != first


# Sockets taken over


def test_a_socket_that_is_taken_over_waits_in_the_green_way(start, wire):
    source = """
def app(environ, start_response):
    if environ["PATH_INFO"] == "/take":
        sock = environ["gunicorn.socket"]
        sock.sendall(b"taken\\n")
        while word := sock.recv(100):
            sock.sendall(word * 2)
        sock.close()
        raise StopIteration
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
    server = start(source=source)
    taken = [wire(server) for _ in range(20)]
    for connection in taken:
        connection.ask("/take")
        assert connection.until(b"\n") == b"taken\n"
    assert wire(server).get("/").body == b"hello"
    for number, connection in enumerate(taken):
        connection.send(b"%d." % number)
        assert connection.until(b".") == b"%d." % number
        assert connection.until(b".") == b"%d." % number
    for connection in taken:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.rest() == b""
    assert wire(server).get("/").body == b"hello"


SOCKETIO = """
import socketio

server = socketio.Server(async_mode="{mode}")
app = socketio.WSGIApp(server)

@server.event
def ask(sid, data):
    server.sleep(0.05)
    return data * 2

@server.event
def subscribe(sid, data):
    server.start_background_task(publish, sid)

def publish(sid):
    for number in range(3):
        server.sleep(0.02)
        server.emit("news", number, to=sid)
"""
SOCKETIO_CLIENT = """
import json, sys, socketio

clients = [socketio.SimpleClient() for _ in range(5)]
for client in clients:
    client.connect(sys.argv[1], transports=json.loads(sys.argv[2]))
answers = [client.call("ask", word) for client, word in zip(clients, "abcde")]
for client in clients:
    client.emit("subscribe", "all")
news = [[client.receive(timeout=10) for _ in range(3)] for client in clients]
print(json.dumps([answers, news, [client.transport for client in clients]]))
for client in clients:
    client.disconnect()
"""


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]], ids="+".join)
def test_python_socketio_as_under_gunicorn(start, worker_class, transports):
    pytest.importorskip("socketio")
    pytest.importorskip("websocket")
    server = start(source=SOCKETIO.format(mode=worker_class.name))
    done = subprocess.run(
        [sys.executable, "-c", SOCKETIO_CLIENT, f"http://127.0.0.1:{server.port}", json.dumps(transports)],
        capture_output=True,
        text=True,
        timeout=50,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    answers, news, used = json.loads(done.stdout)
    assert answers == ["aa", "bb", "cc", "dd", "ee"]
    assert news == [[["news", number] for number in range(3)]] * 5
    assert set(used) == {transports[-1]}
    assert server.stop() == 0
    assert "Traceback" not in server.output


# The deprecation


@pytest.mark.only_worker_class("eventlet", reason="it is deprecated")
def test_that_eventlet_is_deprecated_is_said_once(start, wire):
    server = start("--workers", "3")
    assert wire(server).get("/").body == b"hello"
    assert server.stop() == 0
    assert len(re.findall("eventlet is deprecated by its maintainers", server.output)) == 1
    assert "Deprecat" not in server.output
