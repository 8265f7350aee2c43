"""The scope says what the request, the connection and a believed proxy say."""

from typing import Any

import pytest

from unicorn_asgi.scope import RootPathError, Scope, ScopeFactory
from unicorn_http.codec import Peer
from unicorn_http.semantics.proxied import Proxied
from unicorn_http.semantics.request import ListRequest

PEER = Peer("192.0.2.1", 1234, "192.0.2.2", 8000)


def scope(target: str, root_path: str = "", peer: Peer = PEER, **attributes: Any) -> Scope:
    factory = ScopeFactory((), root_path, ("http.response.trailers",))
    request = ListRequest(factory.names)
    request.method, request.target = "GET", target
    request.store(b"host", b"a.example")
    for name, value in attributes.items():
        setattr(request, name, value)
    return factory.http(request, factory.for_connection(peer))


@pytest.mark.parametrize(
    ("target", "path", "raw", "query"),
    [
        ("/", "/", b"/", b""),
        ("/a/b?c=d&e", "/a/b", b"/a/b", b"c=d&e"),
        ("/a?b?c", "/a", b"/a", b"b?c"),
        ("/%C3%BC%20%2F", "/ü /", b"/%C3%BC%20%2F", b""),
        ("/%FF", "/\ufffd", b"/%FF", b""),
        ("/\xc3\xbc", "/ü", b"/\xc3\xbc", b""),
        ("http://b.example:81/x?y", "/x", b"/x", b"y"),
        ("http://b.example?y", "/", b"/", b"y"),
        ("*", "*", b"*", b""),
    ],
)
def test_a_target_is_taken_apart(target, path, raw, query):
    found = scope(target)
    assert (found["path"], found["raw_path"], found["query_string"]) == (path, raw, query)


def test_the_authority_of_a_target_replaces_host():
    assert scope("http://b.example:81/x")["headers"] == [(b"host", b"b.example:81")]


def test_a_unix_socket_has_a_path_and_no_client():
    found = scope("/", peer=Peer("", 0, "/run/s", 0))
    assert (found["client"], found["server"]) == (None, ("/run/s", None))


@pytest.mark.parametrize(
    ("root_path", "target", "path", "raw"),
    [
        ("/api", "/x", "/api/x", b"/api/x"),
        ("/api", "/api/x", "/api/x", b"/api/x"),
        ("/api", "/apix", "/api/apix", b"/api/apix"),
        ("/api/", "/x", "/api/x", b"/api/x"),
    ],
)
def test_a_path_begins_with_root_path(root_path, target, path, raw):
    found = scope(target, root_path)
    assert (found["root_path"], found["path"], found["raw_path"]) == ("/api", path, raw)


def test_script_name_is_a_part_of_the_path_that_came():
    found = scope("/app/x", "/api", script_name="/app")
    assert (found["root_path"], found["path"], found["raw_path"]) == ("/app", "/app/x", b"/app/x")
    with pytest.raises(RootPathError, match="does not begin with SCRIPT_NAME"):
        scope("/apple", script_name="/app")


def test_a_believed_proxys_word_replaces_what_the_connection_shows():
    said = Proxied("203.0.113.9", 0, "https", "c.example", "c.example", 443, "/%C3%BC")
    found = scope("/x", proxied=said, scheme="https")
    assert found["client"] == ("203.0.113.9", 0)
    assert found["server"] == ("c.example", 443)
    assert found["scheme"] == "https"
    assert found["headers"] == [(b"host", b"c.example")]
    assert (found["root_path"], found["path"], found["raw_path"]) == ("/ü", "/ü/x", b"/%C3%BC/x")


def test_what_a_proxy_does_not_say_stays():
    found = scope("/x", proxied=Proxied(scheme="http", port=81))
    assert (found["client"], found["server"]) == (("192.0.2.1", 1234), ("192.0.2.2", 81))


def test_requests_share_nothing_that_an_application_may_change():
    factory = ScopeFactory((), "", ("http.response.trailers",))
    factory.state = {"a": 1}
    common = factory.for_connection(PEER)
    request = ListRequest(factory.names)
    request.target = "/"
    request.fields = [(b"host", b"a")]
    first, second = (
        factory.http(request, common),
        factory.http(request.repeated(request.line, request.method, request.target), common),
    )
    for name in ("headers", "extensions", "state"):
        assert first[name] == second[name]
        assert first[name] is not second[name]
