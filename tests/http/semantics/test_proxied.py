"""A believed proxy tells who the client is, and what a client wrote before it counts for nothing."""

import contextlib

import pytest
from codec_driver import CODECS, PROXY, STRANGER, Form, Recorder
from hypothesis import given
from hypothesis import strategies as st
from timing import grows_linearly
from wsgi_driver import Script, environs

from unicorn_http.codec import Peer
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.proxied import Forwarded, Proxied, XForwarded
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.rfc7239 import parse_forwarded

TRUSTED = ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")
UNIX = Peer("", 0, "", 0)


def x_forwarded(trusted=TRUSTED, scheme="http", **fields):
    """What X-Forwarded-For and so on say of a request to the host `a`; for_ is one of them."""
    watched = {f"x-forwarded-{name.rstrip('_')}".encode(): value.encode("latin-1") for name, value in fields.items()}
    return XForwarded(TrustedPeers.parse(trusted, "s")).read(watched, "a", scheme)


def forwarded(value, trusted=TRUSTED):
    return Forwarded(TrustedPeers.parse(trusted, "s")).read({b"forwarded": value.encode("latin-1")}, "a", "http")


def environ_of(*lines, settings="x-forwarded", peer=PROXY, target=b"/", **others):
    """The environ of a GET with these further fields."""
    wire = b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (target, b"".join(line + b"\r\n" for line in lines))
    others |= {"proxy_headers": settings}
    factory = environs(**others)
    script = Script(wire, factory=factory, peer=peer, **others)
    return factory.complete(script.request)


# Who the client is


@pytest.mark.parametrize(
    ("hops", "client"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:1234", ("192.0.2.1", 1234)),
        ("192.0.2.1, 10.0.0.1", ("192.0.2.1", 0)),
        ("192.0.2.1,10.0.0.1,\t10.0.0.2", ("192.0.2.1", 0)),
        ("6.6.6.6, 192.0.2.1", ("192.0.2.1", 0)),
        ("127.0.0.1, 192.0.2.1, 10.0.0.1", ("192.0.2.1", 0)),
        ("<script>, \xe4, 192.0.2.1, 10.0.0.1", ("192.0.2.1", 0)),
        ("10.0.0.2, 10.0.0.1", ("10.0.0.2", 0)),
        ("2001:DB8::1, 10.0.0.1", ("2001:db8::1", 0)),
        ("2001:db9::1, 10.0.0.1", ("2001:db9::1", 0)),
        ("[2001:db9::1]:80, 10.0.0.1", ("2001:db9::1", 80)),
        ("[2001:db9::1]", ("2001:db9::1", 0)),
        ("::ffff:10.0.0.1", ("::ffff:10.0.0.1", 0)),
        ("unknown, 10.0.0.1", ("unknown", 0)),
        ("192.0.2.1, unknown", ("unknown", 0)),
    ],
)
def test_the_client_is_the_rightmost_hop_that_is_no_trusted_proxy(hops, client):
    said = x_forwarded(for_=hops)
    assert said.client_port == client[1]
    assert said.client in (client[0], "::ffff:a00:1")


def test_where_everybody_is_believed_only_the_last_hop_counts():
    """The peer is taken for a proxy, but its client may write whatever it likes."""
    assert x_forwarded(["*"], for_="6.6.6.6, 192.0.2.1").client == "192.0.2.1"
    assert forwarded("for=6.6.6.6, for=192.0.2.1", ["*"]).client == "192.0.2.1"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("for=192.0.2.1", ("192.0.2.1", 0)),
        ('For="192.0.2.1:80";by=10.0.0.1', ("192.0.2.1", 80)),
        ('for="192.0.2.1:_port"', ("192.0.2.1", 0)),
        ('for="[2001:db9::1]:80"', ("2001:db9::1", 80)),
        ('for="[2001:db9::1]", for=10.0.0.1', ("2001:db9::1", 0)),
        ("for=6.6.6.6, for=192.0.2.1;proto=https, for=10.0.0.1", ("192.0.2.1", 0)),
        ("for=6.6.6.6, for=unknown, for=10.0.0.1", ("unknown", 0)),
        ('for=6.6.6.6, for="Unknown:80"', ("unknown", 0)),
        ("for=6.6.6.6, for=_hidden.1, for=10.0.0.1", ("_hidden.1", 0)),
        ('for="_a:_b"', ("_a", 0)),
        ('for="\\1\\92.0.2.1"', ("192.0.2.1", 0)),
        ("proto=https", ("", 0)),
        ("for=6.6.6.6, by=10.0.0.1, for=10.0.0.2", ("10.0.0.2", 0)),
        ('for=6.6.6.6;x="a, for=9.9.9.9", for=192.0.2.1', ("192.0.2.1", 0)),
    ],
)
def test_the_client_as_forwarded_tells_it(value, client):
    said = forwarded(value)
    assert (said.client, said.client_port) == client


@given(
    st.lists(st.sampled_from(["10.0.0.1", "10.9.9.9", "127.0.0.1"]), max_size=5), st.text("abc,.:[]_ 1", max_size=30)
)
def test_nothing_that_a_client_writes_changes_who_it_is(proxies, lie):
    hops = ["192.0.2.1", *proxies]
    assert x_forwarded(for_=",".join([lie, *hops])).client == "192.0.2.1"
    honest = ", ".join(f"for={hop}" for hop in hops)
    with contextlib.suppress(Refusal):
        assert forwarded(f"{lie}, {honest}").client == "192.0.2.1"


@given(st.text(st.characters(max_codepoint=0xFF), max_size=40))
def test_no_text_makes_more_than_a_refusal(text):
    for read in (lambda: forwarded(text), lambda: x_forwarded(for_=text), lambda: x_forwarded(host=text)):
        with contextlib.suppress(Refusal):
            read()


def test_lists_are_read_in_linear_time():
    assert grows_linearly(lambda count: forwarded(",".join(['for="10.0.0.1";a="b\\c"'] * count)), 2000)
    assert grows_linearly(lambda count: x_forwarded(for_=",".join(["10.0.0.1"] * count)), 2000)
    with pytest.raises(Refusal):
        forwarded('for="' + "\\a" * 100_000)


def test_the_grammar_of_forwarded():
    assert parse_forwarded('for="_a";Proto=http;by="x\\"y" ,\tfor=b') == [
        {"for": "_a", "proto": "http", "by": 'x"y'},
        {"for": "b"},
    ]
    for bad in (
        "",
        " for=a",
        "for=a ",
        "for=a; by=b",
        "for=a;",
        "for=a,",
        "=a",
        "for=",
        'for="a',
        'for="a"b',
        "for=a b",
    ):
        with pytest.raises(Refusal):
            parse_forwarded(bad)


# Host, port, scheme, prefix


@pytest.mark.parametrize(
    ("fields", "scheme", "expected"),
    [
        ({"host": "b"}, "http", ("b", "b", 80)),
        ({"host": "b"}, "https", ("b", "b", 443)),
        ({"host": "b:8443"}, "https", ("b:8443", "b", 8443)),
        ({"host": "b:443"}, "https", ("b", "b", 443)),
        ({"host": "b", "port": "8443"}, "https", ("b:8443", "b", 8443)),
        ({"host": "b:8443", "port": "8443"}, "https", ("b:8443", "b", 8443)),
        ({"host": "[::1]:81"}, "http", ("[::1]:81", "[::1]", 81)),
        ({"host": "[::1]", "port": "80"}, "http", ("[::1]", "[::1]", 80)),
        ({"port": "443"}, "https", ("a", "a", 443)),
        ({"port": "8443"}, "https", ("a:8443", "a", 8443)),
        ({"for_": "192.0.2.1"}, "https", ("", "", 0)),
    ],
)
def test_host_and_port_as_the_client_used_them(fields, scheme, expected):
    said = x_forwarded(scheme=scheme, **fields)
    assert (said.host, said.server, said.port) == expected


def test_a_port_replaces_that_of_the_host():
    reader = XForwarded(TrustedPeers.parse(TRUSTED, "s"))
    assert reader.read({b"x-forwarded-port": b"443"}, "inner:8000", "https").host == "inner"


def test_host_and_scheme_are_those_of_the_outermost_trusted_proxy():
    said = forwarded("for=192.0.2.1;host=b.example;proto=HTTPS, for=10.0.0.1;host=inner;proto=http")
    assert said == Proxied("192.0.2.1", 0, "https", "b.example", "b.example", 443)


@pytest.mark.parametrize("prefix", ["/a", "/a/", "/a/b-c_d.~", "/%C3%A4"])
def test_a_prefix(prefix):
    assert x_forwarded(prefix=prefix).prefix == prefix.rstrip("/")
    assert x_forwarded(prefix="/").prefix == ""


@pytest.mark.parametrize("prefix", ["//evil.example", "/a//b", "a", "/a b", "/a?b", "/a#b", "/a\\b", "/a,/b", "/\xe4"])
def test_no_prefix(prefix):
    with pytest.raises(Refusal):
        x_forwarded(prefix=prefix)


# What becomes of it


def test_by_default_a_proxy_changes_only_the_scheme():
    lines = (b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Host: b", b"X-Forwarded-Proto: https", b"Forwarded: for=_x")
    environ = environ_of(*lines, settings="none")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_HOST"] == "a"
    assert environ["wsgi.url_scheme"] == "https"
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"


def test_environ_shows_the_client_and_what_came():
    environ = environ_of(
        *(b"X-Forwarded-For: 192.0.2.1:99, 127.0.0.1", b"X-Forwarded-Host: b.example", b"X-Forwarded-Proto: https"),
        *(b"X-Forwarded-Port: 8443", b"X-Forwarded-Prefix: /%C3%A4/"),
        target=b"/c",
    )
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.1", "99")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("b.example", "8443")
    assert environ["HTTP_HOST"] == "b.example:8443"
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/ä".encode().decode("latin-1"), "/c")
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1:99, 127.0.0.1"
    assert environ["HTTP_X_FORWARDED_HOST"] == "b.example"
    assert environ["unicorn.received"] == {
        "REMOTE_ADDR": PROXY.client,
        "REMOTE_PORT": str(PROXY.client_port),
        "HTTP_HOST": "a",
        "SERVER_NAME": PROXY.server,
        "SERVER_PORT": str(PROXY.server_port),
    }


def test_a_client_whose_port_is_not_told_has_none():
    assert "REMOTE_PORT" not in environ_of(b"X-Forwarded-For: 192.0.2.1")


def test_forwarded_is_not_mixed_with_x_forwarded():
    lines = (b"Forwarded: for=192.0.2.1;proto=http;host=b", b"X-Forwarded-For: 192.0.2.2", b"X-Forwarded-Proto: https")
    for settings, client, scheme, host in (
        ("forwarded", "192.0.2.1", "http", "b"),
        ("x-forwarded", "192.0.2.2", "https", "a"),
        ("none", "127.0.0.1", "https", "a"),
    ):
        environ = environ_of(*lines, settings=settings)
        assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == (client, scheme, host)


@pytest.mark.parametrize("settings", ["x-forwarded", "forwarded"])
def test_a_stranger_is_not_believed_nor_refused(settings):
    lines = (b"X-Forwarded-For: 192.0.2.9", b"X-Forwarded-Port: x", b"X-Forwarded-Prefix: /a", b"Forwarded: =")
    environ = environ_of(*lines, settings=settings, peer=STRANGER)
    assert environ["REMOTE_ADDR"] == STRANGER.client
    assert environ["SCRIPT_NAME"] == ""
    assert "unicorn.received" not in environ


def test_a_proxy_on_a_unix_socket_is_believed():
    environ = environ_of(b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Host: b:81", peer=UNIX)
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("192.0.2.1", "b", "81")


def test_the_forwarded_host_wins_over_that_of_an_absolute_target():
    environ = environ_of(b"X-Forwarded-Host: b", target=b"http://c/d")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("b", "/d")


def test_the_prefix_stands_before_script_name(monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/own")
    environ = environ_of(b"X-Forwarded-Prefix: /outer", target=b"/own/x")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/outer/own", "/x")


def test_the_forwarded_host_is_the_one_that_must_be_allowed():
    assert environ_of(b"X-Forwarded-Host: b", allowed_hosts="b")["HTTP_HOST"] == "b"
    assert environ_of(b"Forwarded: host=b", settings="forwarded", allowed_hosts="b")["HTTP_HOST"] == "b"
    with pytest.raises(Refusal) as caught:
        environ_of(b"X-Forwarded-Host: c", allowed_hosts="a")
    assert caught.value.status == 421


@pytest.mark.parametrize("form", Form)
def test_fields_that_repeat_say_the_same_each_time(form):
    protocol = CODECS[0].protocol(proxy_headers="x-forwarded")
    sink = Kept(protocol.names[form], form)
    codec = protocol.connect(sink, PROXY)
    heads = [b"192.0.2.1"] * 4 + [b"192.0.2.2"] * 2 + [b"192.0.2.1"]
    for client in heads:
        codec.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n\r\n" % client)
    seen = [
        request.environ["REMOTE_ADDR"] if form is Form.ENVIRON else request.proxied.client for request in sink.requests
    ]
    assert seen == [client.decode() for client in heads]


class Kept(Recorder):
    """Keeps the requests."""

    def __init__(self, *args):
        super().__init__(*args)
        self.requests = []

    def on_request(self, request):
        self.requests.append(request)
