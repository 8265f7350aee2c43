"""Behind a real nginx that speaks the uwsgi protocol: every kind of request, over TCP and unix sockets. What depends on
the worker class is tried with each."""

import http.client
import random
import re
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256

import httpx
import pytest
import trustme

from unicorn_core.testing.server import ServerProcess, wait_until

from .support.load import Load, application
from .support.nginx import Nginx, needs_nginx, passing

pytestmark = needs_nginx
each_worker_class = pytest.mark.each_worker_class  # the others with UNICORN_WORKER_CLASSES=all

BODY = random.Random(3).randbytes(10 * 1024 * 1024)


@pytest.fixture(scope="module", params=["tcp", "unix"])
def server(
    request: pytest.FixtureRequest, shared_server: Callable[..., ServerProcess], tmp_path_factory
) -> ServerProcess:
    unix = tmp_path_factory.mktemp("socket") / "s" if request.param == "unix" else None
    return shared_server("wire_app:app", "--protocol", "uwsgi", "--log-level", "debug", unix=unix)


@pytest.fixture(scope="module")
def nginx(server: ServerProcess, tmp_path_factory) -> Iterator[Nginx]:
    with passing(server, tmp_path_factory.mktemp("nginx"), "uwsgi_buffering off;") as running:
        yield running


@pytest.fixture
def client(nginx: Nginx, server: ServerProcess, shows_output) -> Iterator[httpx.Client]:
    shows_output(server)
    with httpx.Client(base_url=f"http://127.0.0.1:{nginx.port}", trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture
def front(nginx: Nginx, wire):
    """A connection to nginx of which every byte is looked at."""
    return lambda: wire(nginx)


def environ(client: httpx.Client, path: str = "", **options) -> dict:
    """The environ that a request makes; the application tells it at the path /environ."""
    answer = client.get(f"/environ{path}", **options)
    assert answer.status_code == 200
    return eval(answer.text)


@each_worker_class
def test_get(client):
    answer = client.get("/hello")
    assert (answer.status_code, answer.text) == (200, "hello")
    assert answer.headers["content-length"] == "5"


def test_environ_tells_of_the_client_and_of_nginx(client, nginx):
    seen = environ(client)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert int(seen["REMOTE_PORT"]) > 0
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("localhost", str(nginx.port))
    assert (seen["REQUEST_METHOD"], seen["SERVER_PROTOCOL"]) == ("GET", "HTTP/1.1")
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("", "/environ", "")
    assert (seen["wsgi.url_scheme"], seen["REQUEST_SCHEME"]) == ("http", "http")
    assert seen["HTTP_HOST"] == f"127.0.0.1:{nginx.port}"
    assert "CONTENT_LENGTH" not in seen


@pytest.mark.parametrize(
    "query",
    ["a=1&b=2", "a=%26%3D%23&b=%00%0A", "a=%C3%BC+%20", "%", "a=b=c&&", "/?;:@!$'()*,~^`{|}\\\"<>", "[]=1&a[b]=2", "?"],
)
def test_a_query_with_odd_characters(front, query):
    answer = front().get(f"/environ?{query}")
    assert answer.status == 200
    seen = eval(answer.body)
    assert seen["QUERY_STRING"] == query
    assert seen["REQUEST_URI"] == seen["RAW_URI"] == f"/environ?{query}"


def test_a_path_with_odd_characters(front):
    """nginx decodes and simplifies a path; the application sees that, and what was asked for beside it."""
    answer = front().get("/%65nviron")
    assert eval(answer.body)["REQUEST_URI"] == "/%65nviron"
    answer = front().get("/a/..//environ?q")
    seen = eval(answer.body)
    assert (seen["PATH_INFO"], seen["REQUEST_URI"]) == ("/environ", "/a/..//environ?q")


def test_header_fields(front):
    fields = ["X-One: 1", "X-One: 2", "X-Latin: \xe4", "Cookie: a=b", "X_Under: x", "X-Empty:", "X-Blanks:  a b  "]
    connection = front()
    connection.send("\r\n".join(["GET /environ HTTP/1.1", "Host: h", *fields, "", ""]).encode("latin-1"))
    seen = eval(connection.answer().body)
    assert seen["HTTP_X_ONE"].replace(" ", "") == "1,2"
    assert seen["HTTP_X_LATIN"] == "\xe4"
    assert (seen["HTTP_COOKIE"], seen["HTTP_X_BLANKS"], seen["HTTP_HOST"]) == ("a=b", "a b", "h")
    assert "HTTP_X_UNDER" not in seen  # nginx drops it
    assert seen.get("HTTP_X_EMPTY", "") == ""


def test_what_a_client_says_of_a_proxy_is_not_believed_for_its_own_address(client):
    seen = environ(client, headers={"X-Forwarded-For": "192.0.2.9", "Script-Name": "/evil"})
    assert (seen["REMOTE_ADDR"], seen["SCRIPT_NAME"]) == ("127.0.0.1", "")


@each_worker_class
def test_a_body_of_10_mib(client):
    answer = client.post("/echo", content=BODY)
    assert answer.status_code == 200
    assert sha256(answer.content).digest() == sha256(BODY).digest()


@each_worker_class
def test_a_chunked_upload(client):
    pieces = (BODY[at : at + 70_000] for at in range(0, 3_000_000, 70_000))
    answer = client.post("/size", content=pieces)
    assert answer.text == str(len(range(0, 3_000_000, 70_000)) * 70_000)
    assert client.post("/echo", content=iter([b"", b"small"])).content == b"small"


def test_an_upload_whose_client_waits_to_be_asked(front):
    """nginx asks for it; the server must not do that again."""
    connection = front()
    connection.ask("/echo", "Expect: 100-continue", "Content-Length: 5", method="POST")
    assert connection.answer().status == 100
    connection.send(b"hello")
    assert connection.answer().body == b"hello"


def test_a_body_that_the_application_does_not_read(client):
    answer = client.post("/unread", content=BODY[:500_000])
    assert (answer.status_code, answer.text) == (200, "not read")
    assert client.get("/hello").text == "hello"


@each_worker_class
def test_head(client):
    answer = client.head("/hello")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "5", b"")
    assert client.head("/blocks").content == b""


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body(front, status):
    connection = front()
    assert connection.get(f"/status?{status}").status == status
    assert connection.get("/hello").body == b"hello"


@each_worker_class
def test_a_streamed_response_comes_as_it_is_made(front, tmp_path):
    gate = tmp_path / "gate"
    connection = front()
    connection.ask(f"/gate-between-blocks?{gate}")
    assert b"Transfer-Encoding: chunked" in connection.head()
    assert connection.chunk() == b"first"
    gate.touch()
    assert [connection.chunk(), connection.chunk()] == [b"second", b""]


def test_a_large_streamed_response(client):
    answer = client.get(f"/big-stream?{5 << 20}")
    assert answer.content == b"x" * (5 << 20)


def test_a_large_file(client, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(BODY)
    assert client.get(f"/file?{path}|0|").content == BODY


def test_an_error_of_the_application(client, server):
    assert client.get("/raises?nginx").status_code == 500
    server.wait_for("RuntimeError: before start_response nginx")
    assert client.get("/hello").text == "hello"


@each_worker_class
@pytest.mark.parametrize("path", ["/raises-later?x", "/raises-within-length?x"])
def test_an_answer_that_breaks_off_is_seen_to_be_broken_off(nginx, server, path):
    if server.unix and path == "/raises-later?x":
        pytest.skip("a unix socket knows no reset, and the answer has no length")
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()


def test_a_refusal_reaches_the_client(client):
    """A host that nginx lets through, and the server does not."""
    answer = client.get("/hello", headers={"Host": "a'b,c"})
    assert (answer.status_code, answer.text[:15]) == (400, "400 Bad Request")


@each_worker_class
def test_a_thousand_requests_over_one_connection(front):
    connection = front()
    for begin in range(0, 1000, 50):
        for number in range(begin, begin + 50):
            connection.ask("/echo", method="POST", body=b"%d" % number)
        for number in range(begin, begin + 50):
            assert connection.answer().body == b"%d" % number


@each_worker_class
def test_a_client_that_goes_away_costs_only_its_request(front, server, client):
    for path in ("/closing?endless-nginx", f"/big?{50 << 20}"):
        connection = front()
        connection.ask(path)
        connection.until(b"\r\n\r\n")
        connection.reset()
    wait_until(lambda: client.get("/closed?endless-nginx").text == "1", what="that the response is closed")
    assert client.get("/hello").text == "hello"


def test_a_worker_that_dies_costs_only_its_request(client, server):
    before = server.worker_pids()
    assert client.get("/dies?3").status_code == 502
    wait_until(lambda: server.worker_pids() and server.worker_pids() != before, what="a new worker")
    wait_until(lambda: client.get("/hello").status_code == 200, what="an answer")


def test_the_protocol_over_tls(serve, apps, tmp_path):
    ca = trustme.CA()
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "certificate"))
    certificate = ("--certfile", str(tmp_path / "certificate"))
    server = serve("", "--protocol", "uwsgi", *certificate, application="wire_app:app", cwd=apps)
    with passing(server, tmp_path / "nginx", scheme="suwsgi://") as nginx:
        base = f"http://127.0.0.1:{nginx.port}"
        assert httpx.post(f"{base}/echo", content=BODY, trust_env=False).content == BODY
        # nginx says how its own client came.
        assert eval(httpx.get(f"{base}/environ", trust_env=False).text)["wsgi.url_scheme"] == "http"
        assert httpx.get(f"{base}/blocks", trust_env=False).text == "one,two,three"


@each_worker_class
@pytest.mark.parametrize("listener", ["tcp", "unix"])
def test_a_reload_under_load_loses_no_request(serve, tmp_path, listener):
    (tmp_path / "app.py").write_text(application("v0"))
    server = serve(
        "",
        "--protocol",
        "uwsgi",
        "--workers",
        "2",
        unix=tmp_path / "s" if listener == "unix" else None,
    )
    with passing(server, tmp_path / "nginx") as nginx, Load(nginx, keepalive=75.0) as load:
        for number in (1, 2):
            (tmp_path / "app.py").write_text(application(f"v{number}"))
            server.signal(signal.SIGHUP)
            server.wait_for("Reloaded: generation", count=number)
            load.saw(f"v{number}")
            load.goes_on(200)
    load.flawless()
    assert not re.search(r"\[(error|crit|alert)\]", nginx.log), nginx.log
