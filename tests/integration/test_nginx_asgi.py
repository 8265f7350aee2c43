"""An ASGI application behind a real nginx that speaks the uwsgi protocol: what test_asgi_frameworks.py asks of
Starlette holds there, too, but that nginx sends no more of a request once its answer has begun."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

sys.path.append(str(Path(__file__).parents[1] / "uwsgi" / "support"))
sys.path.append(str(Path(__file__).parents[1] / "http" / "support"))

import packets

from .support.nginx import Nginx, needs_nginx, passing
from .test_asgi_frameworks import (  # noqa: F401
    photo,
    test_answers_500_and_logs_the_traceback,
    test_echoes_over_a_websocket,
    test_exchanges_json,
    test_has_its_lifespan,
    test_routes_and_decodes_paths,
    test_runs_a_background_task,
    test_sends_a_file,
    test_streams_a_response,
    test_takes_a_large_chunked_upload,
    test_takes_a_large_upload,
)

pytestmark = [needs_nginx, pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")]

SCOPE = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        names = "http_version method scheme path raw_path query_string root_path client server headers".split()
        body = repr({name: scope[name] for name in names}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
"""


class Front:
    """What the tests of a framework want of a server: nginx's port, and the server's output."""

    def __init__(self, nginx: Nginx, behind: ServerProcess) -> None:
        self.port, self.connect = nginx.port, nginx.connect
        self.wait_for = behind.wait_for


@pytest.fixture
def framework() -> str:
    return "starlette"


@pytest.fixture(scope="module", params=["tcp", "unix"])
def behind(
    request: pytest.FixtureRequest,
    photo: Path,  # noqa: F811
    shared_server: Callable[..., ServerProcess],
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    unix = tmp_path_factory.mktemp("socket") / "s" if request.param == "unix" else None
    arguments = ("-k", "asgi", "--protocol", "uwsgi", "--env", f"PHOTO={photo}")
    return shared_server("starlette_app:app", *arguments, unix=unix)


@pytest.fixture(scope="module")
def server(behind: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with passing(behind, tmp_path_factory.mktemp("nginx"), "uwsgi_buffering off;") as nginx:
        yield Front(nginx, behind)


@pytest.fixture
def client(server: Front, behind: ServerProcess, shows_output) -> Iterator[httpx.Client]:
    shows_output(behind)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, timeout=20) as client:
        yield client


def test_sees_that_a_client_has_left(server, wire, tmp_path):
    connection = wire(server)
    connection.ask(f"/watch?path={quote(str(tmp_path / 'left'))}")
    connection.until(b"tick")
    connection.close()
    wait_until((tmp_path / "left").exists, what="that the application sees it")


def test_a_ping_is_answered(behind):
    assert behind.exchange(b"\x64\0\0\0") == b"\x64\0\0\1"


def test_the_scope_tells_of_the_client_and_of_nginx(serve, tmp_path):
    server = serve(SCOPE, "-k", "asgi", "--protocol", "uwsgi")
    lines = ("uwsgi_param SCRIPT_NAME /a;", "uwsgi_modifier1 30;", "uwsgi_param HTTPS on;")
    with passing(server, tmp_path / "nginx", *lines) as nginx:
        answer = httpx.get(f"http://localhost:{nginx.port}/a/b%20c?d=%20e", headers={"X-F": "g"}, trust_env=False)
    scope = eval(answer.text)
    assert (scope["method"], scope["scheme"], scope["query_string"]) == ("GET", "https", b"d=%20e")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/a", "/a/b c", b"/a/b%20c")
    assert scope["client"][0] == "127.0.0.1"
    assert scope["server"] == ("localhost", nginx.port)
    assert (b"x-f", b"g") in scope["headers"]
    assert scope["http_version"] == "1.1"
    for protocol, version in (("HTTP/1.0", "1.0"), ("HTTP/2.0", "2"), ("HTTP/3.0", "3")):
        received = server.exchange(packets.request(SERVER_PROTOCOL=protocol))
        assert eval(received.partition(b"\r\n\r\n")[2])["http_version"] == version
