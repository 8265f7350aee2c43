"""A packet that comes again and again is not read anew each time; nobody may notice, and no request touches another."""

import pytest
from codec_driver import REPORTED, STRANGER, Form, Recorder, record
from packets import MALFORMED, VALID, get, request
from request_corpus import CLOSED
from uwsgi_driver import PERSISTENT, UWSGI, Keeper, connect

from unicorn_http.codec import Peer
from unicorn_http.wsgi.request import SecureRequest
from unicorn_uwsgi.codec import PacketMemo


@pytest.mark.parametrize("case", VALID, ids=lambda case: case.name)
def test_is_seen_the_same_each_time(case):
    protocol = UWSGI.protocol(**case.settings, limit_request_head="65536")
    for form in Form:
        once = record(protocol, [case.data], form=form)
        for _ in range(5):
            assert record(protocol, [case.data], form=form) == once
    assert record(protocol, [case.data], form=Form.PAIRS)[0][1]["pairs"]


def test_is_refused_each_time():
    for case in MALFORMED:
        if case.status != CLOSED:
            protocol = UWSGI.protocol(**case.settings)
            once = record(protocol, [case.data])
            assert all(record(protocol, [case.data]) == once for _ in range(4)), case.name


def test_over_one_connection():
    sink, codec = connect(**PERSISTENT)
    for _ in range(5):
        codec.feed(get("/a"))
        codec.feed(get("/b", body=b"hello"))
    assert [kept.target for kept in sink.kept] == ["/a", "/b"] * 5
    assert [call for call in sink.calls if call[0] == "body"] == [("body", b"hello")] * 5


def test_what_follows_one_is_not_read():
    for _ in range(4):
        sink, codec = connect()
        codec.feed(get("/again"))
        codec.feed(get("/again"))
        assert len(sink.kept) == 1


def test_a_gateway_that_changes_its_request_changes_no_later_one():
    for number in range(6):
        sink, codec = connect()
        codec.feed(get("/a", (b"HTTP_X_A", b"b")))
        environ = sink.kept[0].environ
        assert environ["HTTP_X_A"] == "b"
        assert "added" not in environ
        environ["HTTP_X_A"] = environ["added"] = number
        sink, codec = connect(Form.PAIRS)
        codec.feed(get("/a", (b"HTTP_X_A", b"b")))
        assert (b"x-a", b"b") in sink.kept[0].fields
        sink.kept[0].fields.append((b"added", b""))


def test_each_connection_shows_its_own_peer():
    protocol = UWSGI.protocol()
    for number in range(1, 6):
        peer = Peer(f"127.0.0.{number}", 1000 + number, "127.0.0.1", 80)
        sink = WithPeer(protocol.names[Form.ENVIRON], peer)
        protocol.connect(sink, peer).feed(get("/"))
        environ = sink.kept[0].environ
        assert environ["unicorn.received"] == {"REMOTE_ADDR": peer.client, "REMOTE_PORT": str(peer.client_port)}
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "40000")
        protocol.connect(sink, peer).feed(get("/", REMOTE_ADDR="", REMOTE_PORT=""))
        environ = sink.kept[1].environ
        assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == ("unknown", None)


class WithPeer(Keeper):
    """A sink whose requests begin with what the connection shows."""

    def __init__(self, names, peer):
        super().__init__(names, Form.ENVIRON)
        self._peer = peer

    def new_request(self):
        request = super().new_request()
        request.environ |= {"REMOTE_ADDR": self._peer.client, "REMOTE_PORT": str(self._peer.client_port)}
        return request


def test_connections_of_another_kind_read_it_themselves():
    """Over TLS the scheme is another one, if the front says nothing."""
    protocol = UWSGI.protocol()
    data = get("/", REQUEST_SCHEME=None)
    for _ in range(3):
        for kind, scheme in ((None, "http"), (SecureRequest, "https")):
            sink = Keeper(protocol.names[Form.ENVIRON], Form.ENVIRON)
            if kind:
                sink.new_request = lambda sink=sink: SecureRequest(
                    protocol.names[Form.ENVIRON], environ={}, outlet=None
                )
            protocol.connect(sink, STRANGER).feed(data)
            assert sink.kept[0].scheme == scheme


def test_what_a_proxy_before_the_front_tells_is_read_each_time():
    data = request((b"HTTP_X_FORWARDED_FOR", b"192.0.2.9"), REMOTE_ADDR="127.0.0.1")
    protocol = UWSGI.protocol(proxy_headers="x-forwarded")
    for number in range(4):
        peer = Peer(f"127.0.0.{number}", 1000, "127.0.0.1", 80)
        sink = WithPeer(protocol.names[Form.ENVIRON], peer)
        protocol.connect(sink, peer).feed(data)
        environ = sink.kept[0].environ
        assert environ["REMOTE_ADDR"] == "192.0.2.9"
        assert environ["unicorn.received"]["REMOTE_ADDR"] == peer.client


def test_a_rule_that_is_only_watched_is_reported_for_each_connection():
    REPORTED.clear()
    protocol = UWSGI.protocol(strictness="report")
    for _ in range(4):
        record(protocol, [request(REQUEST_METHOD="get")])
    assert REPORTED == ["method"] * 4


def test_the_memory_is_bounded():
    memo = PacketMemo()
    kept = Recorder(UWSGI.protocol().names[Form.PAIRS], Form.PAIRS).new_request()
    for number in range(3 * PacketMemo.MOST):
        for _ in range(2):
            memo.note(b"%d" % number, lambda: kept)
        memo.note(b"x" * (PacketMemo.LONGEST + 1) + b"%d" % number, lambda: kept)
        assert all(len(packet) <= PacketMemo.LONGEST for packet in memo)
    assert memo.get(b"%d" % (3 * PacketMemo.MOST - 1)) is kept
    assert memo.get(b"0") is None
    assert len(memo) <= PacketMemo.MOST
