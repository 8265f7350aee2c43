"""Starlette, FastAPI, Django, Litestar, Quart and Falcon are served as they are, on both loops."""

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.sync.client import connect

from unicorn_core.testing.server import ServerProcess, wait_until

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

UPLOAD = random.Random(5).randbytes(5 * 1024 * 1024)
FRAMEWORKS = ("starlette", "fastapi", "django_asgi", "litestar", "quart", "falcon")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that is larger than a socket's buffer and not a round number of blocks."""
    path = tmp_path_factory.mktemp("static") / "photo.bin"
    path.write_bytes(random.Random(7).randbytes(1_000_001))
    return path


@pytest.fixture(params=[(name, loop) for loop in ("asyncio", "uvloop") for name in FRAMEWORKS], ids="-".join)
def setup(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def framework(setup) -> str:
    return setup[0]


@pytest.fixture
def server(
    setup,
    photo: Path,
    shared_server: Callable[..., ServerProcess],
    shows_output: Callable[[ServerProcess], ServerProcess],
) -> ServerProcess:
    name, loop = setup
    pytest.importorskip(name.partition("_")[0])
    return shows_output(shared_server(f"{name}_app:app", "-k", "asgi", "--asgi-loop", loop, "--env", f"PHOTO={photo}"))


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=20) as client:
        yield client


def test_routes_and_decodes_paths(client):
    assert client.get("/hello/world").text == "Hello, world!"
    assert client.get("/hello/J%C3%BCrgen%20%26%20co").text == "Hello, Jürgen & co!"
    assert client.get("/nowhere").status_code == 404


def test_exchanges_json(client):
    value = {"text": "grün", "list": [1, 2.5, None], "deep": {"yes": True}}
    answer = client.post("/json", json=value)
    assert (answer.status_code, answer.json()) == (200, {"got": value})


def test_takes_a_large_upload(client):
    answer = client.post("/upload", content=UPLOAD)
    assert answer.json() == {"size": len(UPLOAD), "sha256": hashlib.sha256(UPLOAD).hexdigest()}


def test_takes_a_large_chunked_upload(client):
    answer = client.post("/upload", content=(UPLOAD[at : at + 100_000] for at in range(0, len(UPLOAD), 100_000)))
    assert answer.json() == {"size": len(UPLOAD), "sha256": hashlib.sha256(UPLOAD).hexdigest()}
    assert client.get("/hello/after").text == "Hello, after!"


def test_streams_a_response(client):
    with client.stream("GET", "/stream") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        text = "".join(answer.iter_text())
    assert text == "".join(f"line {number}\n" for number in range(1000))


def test_streams_both_ways(client):
    assert client.post("/both", content=UPLOAD[:1_000_000]).content == UPLOAD[:1_000_000]


def test_sends_a_file(client, photo):
    answer = client.get("/file")
    assert answer.content == photo.read_bytes()
    assert answer.headers["content-length"] == "1000001"
    assert client.get("/hello/after").text == "Hello, after!"


def test_runs_a_background_task(client, framework, tmp_path):
    if framework == "django_asgi":
        pytest.skip("Django has no background tasks")
    assert client.get("/background", params={"path": str(tmp_path / "done")}).text == "started"
    wait_until((tmp_path / "done").exists, what="the background task")


def test_has_its_lifespan(client, framework):
    if framework == "django_asgi":
        pytest.skip("Django has no lifespan")
    assert client.get("/started").text == "yes"


def test_sees_that_a_client_has_left(server, wire, tmp_path):
    connection = wire(server)
    connection.ask(f"/watch?path={quote(str(tmp_path / 'left'))}")
    connection.until(b"tick")
    connection.close()
    wait_until((tmp_path / "left").exists, what="that the application sees it")


def test_echoes_over_a_websocket(server, framework):
    if framework == "django_asgi":
        pytest.skip("Django has no WebSocket")
    with connect(f"ws://127.0.0.1:{server.port}/echo", proxy=None) as socket:
        for text in ("one", "zwei ü", "x" * 100_000):
            socket.send(text)
            assert socket.recv(timeout=10) == text


def test_answers_500_and_logs_the_traceback(client, server):
    assert client.get("/boom").status_code == 500
    server.wait_for(r"RuntimeError: a fault in the application")
    assert client.get("/hello/still").text == "Hello, still!"


def test_ends_with_its_lifespan(serve, apps, photo):
    server = serve("", "-k", "asgi", "--env", f"PHOTO={photo}", application="starlette_app:app", cwd=apps)
    assert server.stop() == 0
    assert "the application has ended" in server.output
