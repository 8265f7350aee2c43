"""What stands in for an application that could not be loaded shows its details on this machine alone."""

from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from codec_driver import STRANGER
from wsgi_driver import Script, environs

from unicorn_core.errors import ApplicationError
from unicorn_http.codec import Peer
from unicorn_http.wsgi.failed import FOR_OTHERS, FailedApplication, is_local

ERROR = ApplicationError("application 'app:app' failed to boot: \udc80 ValueError: s3cret", "Traceback: s3cret\n")


def peer(address: str) -> Peer:
    return Peer(address, 50000 if address else 0, "127.0.0.1" if address else "", 8000 if address else 0)


def answer(client: Peer, *lines: bytes, method: bytes = b"GET") -> tuple[str, dict[str, str], bytes]:
    factory = environs()
    wire = b"".join(line + b"\r\n" for line in (method + b" /a HTTP/1.1", b"Host: a", *lines)) + b"\r\n"
    environ = factory.complete(Script(wire, factory=factory, peer=client).request)
    seen = []
    body = b"".join(FailedApplication(ERROR)(environ, lambda *head: seen.append(head)))
    ((status, fields),) = seen
    return status, dict(fields), body


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", ""])
def test_clients_on_this_machine_see_the_traceback(address: str) -> None:
    status, fields, body = answer(peer(address), b"User-Agent: x", b"X-Clip: y")
    assert status == "500 Internal Server Error"
    assert fields["Content-Type"] == "text/plain; charset=utf-8"
    assert fields["Cache-Control"] == "no-store"
    assert body.startswith(b"Traceback: s3cret\n\napplication 'app:app' failed to boot: \\udc80 ")


@pytest.mark.parametrize(
    ("client", "lines"),
    [
        (STRANGER, []),
        (peer("10.0.0.1"), []),
        (peer("::ffff:192.0.2.1"), []),
        (peer("fe80::1%lo"), []),
        (peer("128.0.0.1"), []),
        (peer("nonsense"), []),
        *[
            (peer(address), [field])
            for address in ("127.0.0.1", "")
            for field in (
                b"Forwarded: for=127.0.0.1",
                b"X-Forwarded-For: 127.0.0.1",
                b"X-Forwarded-Proto: https",
                b"X-Real-IP: 127.0.0.1",
                b"CF-Connecting-IP: 127.0.0.1",
                b"Via: 1.1 proxy",
                b"via:",
            )
        ],
        (STRANGER, [b"X-Forwarded-For: 127.0.0.1"]),
    ],
)
def test_nobody_else_does(client: Peer, lines: list[bytes]) -> None:
    status, fields, body = answer(client, *lines)
    assert status == "500 Internal Server Error"
    assert fields["Cache-Control"] == "no-store"
    assert body == FOR_OTHERS.encode() + b"\n"


def test_who_is_unknown_does_not() -> None:
    assert FailedApplication(ERROR)({}, lambda *head: None) == [FOR_OTHERS.encode() + b"\n"]


def test_it_keeps_the_rules_of_wsgi() -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    result = validator(FailedApplication(ERROR))(environ, lambda status, fields, exc_info=None: lambda data: None)
    assert b"s3cret" in b"".join(result)
    result.close()


@pytest.mark.parametrize("protocol", ["TCP4", "UNKNOWN", "LOCAL"])
def test_whoever_comes_by_the_proxy_protocol_sees_none(protocol: str) -> None:
    """Without an address in the header REMOTE_ADDR is the proxy's, which may well be on this machine."""
    assert is_local({"REMOTE_ADDR": "127.0.0.1"})
    assert not is_local({"REMOTE_ADDR": "127.0.0.1", "PROXY_PROTOCOL": protocol})
