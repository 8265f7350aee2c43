"""pre_request and post_request: what they see, what they may change, and that they harm no request."""

from types import SimpleNamespace

import pytest
from codec_driver import make_settings
from wsgi_driver import GET, Script, environs

from unicorn_http.codec import Peer
from unicorn_http.wsgi.gateway import WsgiGateway
from unicorn_http.wsgi.hooks import with_hooks
from unicorn_http.wsgi.reply import ClientGoneError

REQUEST = (
    b"POST /a%20b/c?x=1&y=%20 HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nContent-Type: text/plain\r\n"
    b"X-Two: a\r\nCookie: a=1\r\nx-two: b\r\nCookie: b=2\r\nContent-Length: 0\r\n\r\n"
)


class Log:
    """Keeps what was logged."""

    def __init__(self):
        self.lines = []
        self.access_on = True

    def error(self, text, *values):
        self.lines.append(text % values)

    debug = info = warning = exception = error

    def access(self, line):
        self.lines.append(line)


def app(environ, start_response):
    start_response("201 Created", [("Content-Length", "2"), ("X-A", "1"), ("Server", "mine")])
    return [b"hi"]


class Served:
    """One request served with hooks."""

    def __init__(self, application=app, wire=GET, peer=None, access=None, prepare=lambda script: None, **hooks):
        self.log = Log()
        self.worker = SimpleNamespace(settings=SimpleNamespace(**hooks), log=self.log)
        factory = environs()
        gateway = WsgiGateway(application, factory, self.log, access, False)
        self.plain = with_hooks(gateway, self.worker) is gateway
        self.script = Script(wire, factory=factory, **({"peer": peer} if peer else {}))
        prepare(self.script)
        with_hooks(gateway, self.worker).serve(self.script.request)

    @property
    def head(self):
        return self.script.wire.partition(b"\r\n")[0]


def serve(application=app, wire=GET, **options):
    return Served(application, wire, **({"pre_request": None, "post_request": None} | options))


def seen_before(wire, **options):
    seen = []
    serve(wire=wire, pre_request=lambda worker, req: seen.append(req), **options)
    return seen[0]


def seen_after(application=app, wire=GET, **options):
    seen = []
    serve(application, wire, post_request=lambda worker, req, environ, resp: seen.append(resp), **options)
    return seen[0]


def test_without_hooks_the_gateway_is_the_plain_one():
    assert serve().plain
    assert not serve(pre_request=lambda worker, req: None).plain


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("method", "POST"),
        ("uri", "/a%20b/c?x=1&y=%20"),
        ("path", "/a%20b/c"),
        ("query", "x=1&y=%20"),
        ("fragment", ""),
        ("version", (1, 1)),
        ("scheme", "http"),
        ("remote_addr", ("192.0.2.1", 4711)),
        ("peer_addr", ("192.0.2.1", 4711)),
        (
            "headers",
            [
                ("HOST", "h"),
                ("X-ONE", "1"),
                ("CONTENT-TYPE", "text/plain"),
                ("X-TWO", "a,b"),
                ("COOKIE", "a=1; b=2"),
                ("CONTENT-LENGTH", "0"),
            ],
        ),
    ],
)
def test_the_request(attribute, value):
    req = seen_before(REQUEST, peer=Peer("192.0.2.1", 4711, "127.0.0.1", 80))
    assert getattr(req, attribute) == value


def test_the_request_on_a_unix_socket_has_no_address():
    req = seen_before(GET, peer=Peer("", 0, "", 0))
    assert (req.remote_addr, req.peer_addr) == ("", "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET http://other/p?q HTTP/1.1", ("http://other/p?q", "/p", "q")),
        (b"GET http://other HTTP/1.1", ("http://other", "/", "")),
        (b"GET http://other?q HTTP/1.1", ("http://other?q", "/", "q")),
        (b"OPTIONS * HTTP/1.1", ("*", "*", "")),
        (b"GET //p??q HTTP/1.1", ("//p??q", "//p", "?q")),
    ],
)
def test_other_forms_of_the_target(line, expected):
    req = seen_before(line + b"\r\nHost: h\r\n\r\n")
    assert (req.uri, req.path, req.query) == expected
    assert req.headers == [("HOST", "h")]


def test_the_older_version():
    assert seen_before(b"GET / HTTP/1.0\r\n\r\n").version == (1, 0)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("status", "201 Created"),
        ("status_code", 201),
        ("headers", [("Content-Length", "2"), ("X-A", "1"), ("Server", "mine")]),
        ("sent", 2),
        ("headers_sent", True),
        ("response_length", 2),
    ],
)
def test_the_response(attribute, value):
    assert getattr(seen_after(), attribute) == value


def test_a_response_without_a_declared_length():
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"abc", b"de"]

    resp = seen_after(application)
    assert (resp.response_length, resp.sent, resp.headers) == (None, 5, [])


def raising(environ, start_response):
    raise RuntimeError("no")


def exiting(environ, start_response):
    raise SystemExit(1)


def late(environ, start_response):
    start_response("200 OK", [])
    yield b"abc"
    raise RuntimeError("late")


@pytest.mark.parametrize(("application", "code"), [(raising, 500), (exiting, 500), (late, 200)])
def test_post_request_is_called_after_a_failed_request_too(application, code):
    resp = seen_after(application, prepare=lambda script: setattr(script, "cut", lambda: None))
    assert resp.status_code == code
    assert resp.headers_sent


def test_a_response_that_there_is_not():
    def gone(environ, start_response):
        raise ClientGoneError

    resp = seen_after(gone, prepare=lambda script: setattr(script, "cut", lambda: None))
    assert (resp.status, resp.status_code, resp.headers, resp.sent) == ("", 0, [], 0)
    assert (resp.headers_sent, resp.response_length) == (False, None)


def test_the_order_and_that_the_objects_are_the_same():
    calls = []

    def application(environ, start_response):
        calls.append("application")
        environ["mine"] = 1
        environ.pop("HTTP_HOST")
        return app(environ, start_response)

    def pre_request(worker, req):
        req.mine = worker
        calls.append("pre")

    def post_request(worker, req, environ, resp):
        assert req.mine is worker
        assert environ["mine"] == 1
        assert req.headers == [("HOST", "a")]
        calls.append("post")

    served = serve(application, pre_request=pre_request, post_request=post_request, access=lambda access: "access")
    assert calls == ["pre", "application", "post"]
    assert "access" in served.log.lines


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt()])
def test_a_pre_request_that_raises_is_logged_and_the_request_answered_with_500(error):
    codes = []

    def pre_request(worker, req):
        raise error

    def never(environ, start_response):
        raise AssertionError("reached the application")

    served = serve(
        never, pre_request=pre_request, post_request=lambda worker, req, environ, resp: codes.append(resp.status_code)
    )
    assert served.head == b"HTTP/1.1 500 Internal Server Error"
    assert served.log.lines[0].startswith("Hook pre_request raised:\nTraceback")
    assert len(served.log.lines) == 1
    assert codes == [500]


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt()])
def test_a_post_request_that_raises_is_logged_and_the_answer_is_not_touched(error):
    def post_request(worker, req, environ, resp):
        raise error

    served = serve(post_request=post_request)
    assert served.script.body == b"hi"
    assert any(line.startswith("Hook post_request raised:\nTraceback") for line in served.log.lines)


# Changing the headers


def environ_after(change, wire=REQUEST):
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        return app(environ, start_response)

    serve(application, wire, pre_request=lambda worker, req: change(req))
    return {key: value for key, value in seen.items() if key.startswith(("HTTP_", "CONTENT_"))}


def test_a_header_that_pre_request_adds_reaches_the_application():
    environ = environ_after(lambda req: req.headers.append(("X-Request-ID", "17")))
    assert environ == environ_after(lambda req: None) | {"HTTP_X_REQUEST_ID": "17"}


def test_headers_that_pre_request_takes_away_or_replaces():
    def change(req):
        req.headers = [(name, "x" if name == "X-ONE" else value) for name, value in req.headers if name != "COOKIE"]

    environ = environ_after(change)
    assert environ["HTTP_X_ONE"] == "x"
    assert environ["HTTP_X_TWO"] == "a,b"
    assert "HTTP_COOKIE" not in environ


def test_a_header_added_to_one_of_the_same_name_is_joined():
    assert environ_after(lambda req: req.headers.append(("x-two", "c")))["HTTP_X_TWO"] == "a,b,c"


def test_what_is_not_changed_stays_as_the_target_made_it():
    wire = b"GET http://other/ HTTP/1.1\r\nHost: h\r\n\r\n"
    environ = environ_after(lambda req: req.headers.append(("X-A", "1")), wire)
    assert environ == {"HTTP_HOST": "other", "HTTP_X_A": "1"}


def test_a_pair_may_be_a_list():
    assert environ_after(lambda req: req.headers.append(["X-A", "1"]))["HTTP_X_A"] == "1"


@pytest.mark.parametrize("headers", [None, 1, [1], [("A",)], [("A", 1)], [("A", "\u20ac")], {"A": "1"}])
def test_headers_that_are_none_are_the_hooks_failure(headers):
    def pre_request(worker, req):
        req.headers = headers

    served = serve(pre_request=pre_request)
    assert served.head == b"HTTP/1.1 500 Internal Server Error"
    assert served.log.lines == ["Hook pre_request left headers that are no list of pairs of strings"]


def test_the_settings_of_the_worker_decide():
    settings = make_settings()
    assert settings.pre_request is None
    assert settings.post_request is None
