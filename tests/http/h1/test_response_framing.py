"""What the server writes is what a client reads: h11 as a client parses every response, and each ends where it says."""

import h11
from hypothesis import given
from hypothesis import strategies as st
from wsgi_driver import run

from unicorn_http.semantics.response import DROPPED

names = st.text("!#$%&'*+-.^_`|~abcXYZ019", min_size=1, max_size=10).filter(
    lambda name: name.lower() not in DROPPED | {"content-length"}
)
values = st.text(st.sampled_from([*map(chr, range(0x20, 0x7F)), *map(chr, range(0x80, 0x100)), "\t"]), max_size=20)
fields = st.lists(st.tuples(names, values), max_size=5)
statuses = st.one_of(
    st.sampled_from(["200 OK", "204 No Content", "304 Not Modified", "404 Not Found", "500 Oh", "205 Reset"]),
    st.integers(200, 599).map(lambda code: f"{code} Some Phrase"),
)
blocks = st.lists(st.binary(max_size=40), max_size=5)
requests = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.sampled_from(["HTTP/1.1", "HTTP/1.0"]),
    st.sampled_from(["", "Connection: close\r\n", "Connection: keep-alive\r\n"]),
)


def as_client(method: str, wire: bytes) -> tuple[h11.Response, bytes, bool]:
    """(the head, the body, whether the connection stays) as h11 reads them; nothing may be left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    head = client.next_event()
    assert isinstance(head, h11.Response), head
    body, ended = b"", False
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            assert not ended, "the response is not complete"
            client.receive_data(b"")
            ended = True
        else:
            assert isinstance(event, h11.Data), event
            body += event.data
    if ended:
        return head, body, False
    assert client.trailing_data == (b"", False)
    return head, body, client.our_state is h11.DONE


@given(
    request=requests,
    status=statuses,
    said=fields,
    blocks=blocks,
    declared=st.booleans(),
    kind=st.sampled_from([list, tuple, iter]),
    persist=st.booleans(),
)
def test_a_client_reads_what_the_application_said(request, status, said, blocks, declared, kind, persist):
    method, version, connection = request
    body = b"".join(blocks)
    headers = [*said, ("Content-Length", str(len(body)))] if declared else said

    def application(environ, start_response):
        start_response(status, headers)
        return kind(blocks)

    wire = f"{method} / {version}\r\nHost: a\r\n{connection}\r\n".encode()
    script, reply = run(application, wire, persist=persist)
    assert reply.complete
    assert not reply.problem

    head, received, stays = as_client(method, script.wire)
    assert head.status_code == int(status[:3])
    assert head.reason.decode() == status[4:]
    bodiless = method == "HEAD" or head.status_code in (204, 304)
    assert received == (b"" if bodiless else body)

    own = [(name.decode().lower(), value.decode("latin-1")) for name, value in head.headers]
    for name, value in said:
        assert (name.lower(), value.strip(" \t")) in own
    framing = [name for name, _ in own if name in ("content-length", "transfer-encoding")]
    assert len(framing) <= 1
    if head.status_code == 204:
        assert framing == []
    if version == "HTTP/1.0":
        assert "transfer-encoding" not in framing
    for name in ("date", "server"):
        assert [key for key, _ in own].count(name) == 1

    wanted = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
    assert script.response.persistent == stays
    if not (persist and wanted):
        assert not stays
        assert ("connection", "close") in own
    elif bodiless or declared or version == "HTTP/1.1":
        assert stays


@given(blocks=st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=5), end=st.integers(0, 200))
def test_a_response_that_was_cut_does_not_look_complete(blocks, end):
    def application(environ, start_response):
        start_response("200 OK", [])
        return iter(blocks)

    script, _ = run(application)
    cut = script.wire[: len(script.wire) - 1 - end % len(script.body)]
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.receive_data(cut)
    client.receive_data(b"")
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            assert not isinstance(event, h11.ConnectionClosed)
    except h11.RemoteProtocolError:
        return
    raise AssertionError("h11 took a response that was cut for a complete one")
