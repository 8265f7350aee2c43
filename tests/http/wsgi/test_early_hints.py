"""wsgi.early_hints: an interim response before the response, and nothing where that is not possible."""

import pytest
from wsgi_driver import Script, environs

from unicorn_http.semantics.response import InvalidResponseError
from unicorn_http.wsgi.gateway import WsgiGateway
from unicorn_http.wsgi.reply import Reply

LINK = ("Link", "</style.css>; rel=preload; as=style")
OLD = b"GET / HTTP/1.0\r\n\r\n"


class Log:
    """Where a gateway logs."""

    def __init__(self):
        self.lines = []

    def exception(self, text, *values):
        self.lines.append(text % values)

    error = info = debug = warning = exception


def served(application, *wire):
    """What goes out, and what was logged."""
    factory, log = environs(), Log()
    script = Script(*wire, factory=factory)
    script.cut = lambda: None
    WsgiGateway(application, factory, log, None, sendfile=False).serve(script.request)
    return script, log


def hinting(*calls):
    def application(environ, start_response):
        for fields in calls:
            environ["wsgi.early_hints"](fields)
        start_response("200 OK", [])
        return [b"hi"]

    return application


def test_hints_go_out_at_once_before_the_response():
    script, _ = served(hinting([LINK]))
    assert script.writes[0] == (
        "send",
        b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n",
    )
    assert script.writes[1][1].startswith(b"HTTP/1.1 200 OK\r\n")


def test_several_hints():
    script, _ = served(hinting([LINK], [LINK, ("Link", "<b>")], ()))
    assert [write[1][:12] for write in script.writes] == [b"HTTP/1.1 103", b"HTTP/1.1 103", b"HTTP/1.1 200"]


def test_an_old_client_gets_none():
    script, _ = served(hinting([LINK]), OLD)
    assert script.wire.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Connection", "Date", "Server", "Upgrade"])
def test_what_frames_is_left_out(name):
    script, _ = served(hinting([(name, "5")], [(name, "5"), LINK]))
    assert script.writes[0][1] == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n"


@pytest.mark.parametrize(
    "field", [("Link", "a\r\nSet-Cookie: b"), ("Link", "a\0"), ("Li nk", "a"), ("Link", "\u20ac"), ("L\n", "")]
)
@pytest.mark.parametrize("wire", [(), (OLD,)])
def test_illegal_bytes_are_refused_for_every_client(field, wire):
    script, log = served(hinting([LINK, field]), *wire)
    assert script.wire.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in script.wire
    assert len(log.lines) == 1


def test_no_hints_once_the_response_has_begun():
    def application(environ, start_response):
        write = start_response("200 OK", [("Content-Length", "2")])
        write(b"h")
        environ["wsgi.early_hints"]([LINK])
        return [b"i"]

    script, _ = served(application)
    assert b"103" not in script.wire


def test_the_fields_must_be_pairs():
    with pytest.raises((InvalidResponseError, ValueError)):
        Reply(Script().request).early_hints(["Link"])


def test_a_request_leaves_no_circle_behind():
    """Which would be kept until the garbage collector comes: environ -> hints -> reply -> request -> environ."""
    script, _ = served(hinting([LINK]))
    assert script.request.environ["wsgi.early_hints"] is None
