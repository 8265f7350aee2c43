"""Flask, Django and Pyramid applications are served as they are, whatever parser, number of workers and listener."""

import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from unicorn_core.testing.server import ServerProcess

UPLOAD = random.Random(5).randbytes(5 * 1024 * 1024)

SETUPS = [
    pytest.param(("flask_app:app", "httptools", 1, "tcp"), id="flask-httptools-1-tcp"),
    pytest.param(("flask_app:app", "h11", 3, "unix"), id="flask-h11-3-unix"),
    pytest.param(("django_app", "h11", 1, "tcp"), id="django-h11-1-tcp"),
    pytest.param(("django_app", "httptools", 3, "unix"), id="django-httptools-3-unix"),
    pytest.param(("pyramid_app:main()", "auto", 1, "unix"), id="pyramid-auto-1-unix"),
    pytest.param(("pyramid_app:main()", "h11", 3, "tcp"), id="pyramid-h11-3-tcp"),
]


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is larger than a socket's buffer and not a round number of blocks."""
    path = tmp_path_factory.mktemp("static") / "photo.bin"
    path.write_bytes(random.Random(7).randbytes(1_000_001))
    return path


@pytest.fixture(params=SETUPS, scope="module")
def server(
    request: pytest.FixtureRequest,
    photo: Path,
    shared_server: Callable[..., ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    application, parser, workers, listener = request.param
    unix = tmp_path_factory.mktemp("socket") / "s" if listener == "unix" else None
    arguments = ("--http-parser", parser, "--workers", str(workers), "--env", f"PHOTO={photo}")
    return shared_server(application, *arguments, unix=unix)


@pytest.fixture
def client(server: ServerProcess, shows_output: Callable[[ServerProcess], ServerProcess]) -> Iterator[httpx.Client]:
    shows_output(server)
    transport = httpx.HTTPTransport(uds=server.unix) if server.unix else None
    base = "http://localhost" if server.unix else f"http://127.0.0.1:{server.port}"
    with httpx.Client(transport=transport, base_url=base, trust_env=False, timeout=20) as client:
        yield client


def test_routes_and_decodes_paths(client):
    assert client.get("/hello/world").text == "Hello, world!"
    assert client.get("/hello/J%C3%BCrgen%20%26%20co").text == "Hello, Jürgen & co!"


def test_answers_head_without_a_body(client):
    answer = client.head("/hello/world")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.get("/hello/world").text == "Hello, world!"


def test_passes_the_query_on(client):
    answer = client.get("/query", params={"a": ["1", "2"], "ü": "ö &"})
    assert answer.json() == {"a": ["1", "2"], "ü": ["ö &"]}


def test_exchanges_json(client):
    value = {"text": "grün", "list": [1, 2.5, None], "deep": {"yes": True}}
    answer = client.post("/json", json=value)
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json() == {"got": value}


def test_reads_a_form(client):
    assert client.post("/form", data={"name": "Ada", "city": "Zürich"}).json() == {"name": "Ada", "city": "Zürich"}


def test_takes_a_large_upload(client):
    answer = client.post("/upload", content=UPLOAD)
    assert answer.json() == {"size": len(UPLOAD), "sha256": hashlib.sha256(UPLOAD).hexdigest()}


def test_takes_a_large_chunked_upload(client, request):
    application, *_ = request.node.callspec.params["server"]
    # Django reads no body that comes without a Content-Length; the connection must survive that.
    seen = b"" if application == "django_app" else UPLOAD
    answer = client.post("/upload", content=(UPLOAD[at : at + 100_000] for at in range(0, len(UPLOAD), 100_000)))
    assert answer.json() == {"size": len(seen), "sha256": hashlib.sha256(seen).hexdigest()}
    assert client.get("/hello/after").text == "Hello, after!"


def test_takes_a_multipart_upload(client):
    answer = client.post("/multipart", files={"file": ("photo.bin", UPLOAD[:1_000_000])}, data={"note": "hi"})
    digest = hashlib.sha256(UPLOAD[:1_000_000]).hexdigest()
    assert answer.json() == {"name": "photo.bin", "size": 1_000_000, "sha256": digest, "note": "hi"}


def test_streams_a_response(client):
    with client.stream("GET", "/stream") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        text = "".join(answer.iter_text())
    assert text == "".join(f"line {number}\n" for number in range(1000))


def test_sends_a_file_byte_for_byte(client, photo):
    answer = client.get("/file")
    assert answer.content == photo.read_bytes()
    assert answer.headers["content-length"] == "1000001"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert client.get("/hello/after").text == "Hello, after!"


def test_answers_404_for_an_unknown_path(client):
    assert client.get("/nowhere").status_code == 404


def test_answers_500_and_logs_the_traceback(client, server):
    assert client.get("/boom").status_code == 500
    server.wait_for(r"Traceback[\s\S]*in boom[\s\S]*RuntimeError: a fault in the (Flask|Django|Pyramid) application")
    assert client.get("/hello/still").text == "Hello, still!"


def test_carries_cookies(client):
    assert len(client.get("/cookie/set").headers.get_list("set-cookie")) == 2
    assert client.get("/cookie/show").json() == {"flavour": "oat", "shape": "round"}


def test_carries_redirects_and_empty_answers(client):
    answer = client.get("/redirect")
    assert answer.status_code == 302
    assert answer.headers["location"].endswith("/hello/again")
    answer = client.get("/empty")
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert client.get("/hello/after").text == "Hello, after!"


def test_keeps_the_connection_through_everything(server, wire):
    if len(server.worker_pids()) > 1:
        pytest.skip("several workers end connections, to balance them, when a busy machine makes all slow")
    connection = wire(server)
    for _ in range(3):
        for path, status in (("/hello/a", 200), ("/nowhere", 404), ("/stream", 200), ("/file", 200), ("/empty", 204)):
            assert connection.get(path).status == status
        assert connection.get("/hello/a", method="HEAD").status == 200
        assert connection.get("/file", method="HEAD")["content-length"] == "1000001"
        assert connection.get("/form", "Content-Type: application/x-www-form-urlencoded", method="POST", body=b"a=b")
    assert not connection.seen


def test_runs_as_many_workers_as_asked(server):
    assert len(server.worker_pids()) == (3 if "workers: 3" in server.output else 1)
    assert all(pid != os.getpid() for pid in server.worker_pids())
