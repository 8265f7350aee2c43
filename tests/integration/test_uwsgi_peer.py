"""uWSGI's own client side: its HTTP router in front of the server, and its ping."""

import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpx
import pytest

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.nginx import free_ports, upstream

UWSGI = os.environ.get("UNICORN_TEST_UWSGI") or shutil.which("uwsgi")
pytestmark = [
    pytest.mark.skipif(
        UWSGI is None, reason="uWSGI is not installed (pip install uwsgi, UNICORN_TEST_UWSGI=.../uwsgi)"
    ),
    pytest.mark.each_worker_class,
]

ROUTERS = {"plain": (), "keepalive": ("--http-keepalive", "--http-chunked-input")}
BODY = bytes(range(256)) * 4000


@pytest.fixture(scope="module")
def server(shared_server: Callable[..., ServerProcess]) -> ServerProcess:
    return shared_server("wire_app:app", "--protocol", "uwsgi")


@pytest.fixture(scope="module", params=ROUTERS)
def router(request: pytest.FixtureRequest, server: ServerProcess, tmp_path_factory) -> Iterator[int]:
    """A running router; gives its port."""
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    words = [str(UWSGI), "--master", "--http", address, "--http-to", upstream(server), "--http-timeout", "10"]
    log = tmp_path_factory.mktemp("router") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, *ROUTERS[request.param]], stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(lambda: answers(port), what="an answer through the router")
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(log.read_text(errors="replace"))


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/hello")
        return connection.getresponse().read() == b"hello"
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def client(router: int, server: ServerProcess, shows_output) -> Iterator[httpx.Client]:
    shows_output(server)
    # The router without keep-alive does not tell its clients that it closes their connections.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"http://127.0.0.1:{router}", trust_env=False, timeout=20, limits=limits) as client:
        yield client


def test_its_router_asks_and_understands_the_answers(client, router):
    seen = eval(client.get("/environ?a=%20b", headers={"X-Field": "value"}).text)
    assert (seen["PATH_INFO"], seen["QUERY_STRING"], seen["HTTP_X_FIELD"]) == ("/environ", "a=%20b", "value")
    assert (seen["REMOTE_ADDR"], seen["SERVER_PORT"]) == ("127.0.0.1", str(router))
    assert seen["UWSGI_ROUTER"] == "http"
    assert client.post("/echo", content=BODY).content == BODY
    assert client.get("/blocks").text == "one,two,three"
    assert client.head("/hello").headers["content-length"] == "5"
    assert client.get("/status?304").status_code == 304
    assert client.get("/raises?x").status_code == 500
    for _ in range(50):
        assert client.get("/hello").text == "hello"


def test_its_router_passes_chunks_on(client, request):
    if request.node.callspec.params["router"] != "keepalive":
        pytest.skip("without --http-chunked-input this router drops such bodies")
    assert client.post("/echo", content=iter([b"hello, ", BODY])).content == b"hello, " + BODY


def test_its_ping_is_answered(server):
    ping = subprocess.run([str(UWSGI), "--ping", upstream(server)], capture_output=True, timeout=20)
    assert ping.returncode == 0, ping
    nobody = subprocess.run([str(UWSGI), "--ping", f"127.0.0.1:{free_ports(1)[0]}"], capture_output=True, timeout=20)
    assert nobody.returncode != 0
