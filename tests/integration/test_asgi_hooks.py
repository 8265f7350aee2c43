"""The hooks around each request of the worker class `asgi`."""

import ast

import pytest

pytestmark = pytest.mark.only_worker_class("sync", reason="these tests choose the worker class asgi")

CONFIG = """
def pre_request(worker, req):
    assert worker.wsgi is not None
    if req.path == "/stop":
        raise RuntimeError("not this one")
    req.headers.append(("X-HOOK", "yes"))
    if req.path == "/spoil":
        req.headers = [("X", 5)]


def post_request(worker, req, environ, resp):
    told = {
        "req": (req.method, req.uri, req.path, req.query, req.version, req.scheme),
        "client": req.remote_addr[0],
        "peer": req.peer_addr[0],
        "hook": dict(req.headers).get("X-HOOK"),
        "scope": environ.get("path"),
        "resp": (resp.status, resp.status_code, resp.sent, resp.headers_sent, dict(resp.headers).get("content-length")),
    }
    worker.log.info("told %r", told)
"""


@pytest.fixture
def server(serve, apps, tmp_path):
    (tmp_path / "hooks.py").write_text(CONFIG)
    arguments = ("-k", "asgi", "-c", str(tmp_path / "hooks.py"), "--proxy-headers", "x-forwarded")
    return serve("", *arguments, application="asgi_app:app", cwd=apps)


def told(server, count: int = 1) -> dict:
    return ast.literal_eval(server.wait_for(r"told (\{.*\})", count=count)[1])


def test_they_see_request_and_response(server, wire):
    answer = wire(server).get("/scope?a=b", "X-Forwarded-For: 203.0.113.9")
    assert b'["x-hook", "yes"]' in answer.body
    seen = told(server)
    assert seen["req"] == ("GET", "/scope?a=b", "/scope", "a=b", (1, 1), "http")
    assert (seen["client"], seen["peer"], seen["hook"]) == ("203.0.113.9", "127.0.0.1", "yes")
    size = len(answer.body)
    assert seen["resp"] == ("200 OK", 200, size, True, str(size))
    assert seen["scope"] == "/scope"


def test_a_request_whose_hook_raises_is_answered_500(server, wire):
    connection = wire(server)
    assert connection.get("/stop").status == 500
    assert told(server)["resp"][1] == 500
    assert connection.get("/spoil").status == 500
    server.wait_for("Hook pre_request left headers that are no list of pairs of strings")
    assert connection.get("/hello").body == b"hello"


def test_path_and_query_are_those_of_a_target_in_absolute_form_too(server, wire):
    connection = wire(server)
    connection.send(b"GET http://example.org/hello?c HTTP/1.1\r\nHost: a\r\n\r\n")
    assert connection.answer().status == 200
    assert told(server)["req"][1:4] == ("http://example.org/hello?c", "/hello", "c")


def test_a_websocket_that_was_accepted_has_status_101(server, wire):
    connection = wire(server)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
    connection.ask("/websocket", *fields)
    assert b" 101 " in connection.head()
    connection.close()
    assert told(server)["resp"][:2] == ("101 Switching Protocols", 101)
