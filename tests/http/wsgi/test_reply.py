"""A reply keeps the rules of PEP 3333 between start_response and the last block, and the length that was declared."""

import sys

import pytest
from wsgi_driver import GET, Script, run

from unicorn_http.semantics.response import InvalidResponseError
from unicorn_http.wsgi.reply import Reply

HEAD = GET.replace(b"GET", b"HEAD")
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = GET.replace(b"GET", b"POST")


def answering(*blocks, status="200 OK", headers=(), kind=iter):
    def application(environ, start_response):
        start_response(status, list(headers))
        return kind(list(blocks))

    return application


def length(size):
    return [("Content-Length", str(size))]


def caught():
    """An exc_info."""
    try:
        raise RuntimeError("the application's")
    except RuntimeError:
        return sys.exc_info()


# The length of the body


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("block", [b"four", b""])
def test_a_sequence_of_one_block_gets_its_length(kind, block):
    script, reply = run(answering(block, kind=kind))
    assert script.field("content-length") == str(len(block))
    assert script.field("transfer-encoding") is None
    assert script.body == block
    assert len(script.writes) == 1
    assert reply.complete


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_no_block_means_length_zero(kind):
    script, reply = run(answering(kind=kind))
    assert script.field("content-length") == "0"
    assert script.body == b""
    assert reply.complete


@pytest.mark.parametrize("kind", [list, iter])
def test_several_blocks_are_chunked(kind):
    script, reply = run(answering(b"one", b"", b"three" * 10, kind=kind))
    assert script.field("transfer-encoding") == "chunked"
    assert script.field("content-length") is None
    assert script.body == b"3\r\none\r\n32\r\n" + b"three" * 10 + b"\r\n0\r\n\r\n"
    assert reply.complete
    assert reply.sent == 53


def test_several_blocks_end_with_the_connection_for_http_1_0():
    script, reply = run(answering(b"one", b"two"), OLD)
    assert script.field("transfer-encoding") is None
    assert script.field("connection") == "close"
    assert script.body == b"onetwo"
    assert reply.complete


def test_a_declared_length_is_kept():
    script, reply = run(answering(b"one", b"two", headers=length(6)))
    assert script.field("content-length") == "6"
    assert script.body == b"onetwo"
    assert reply.complete
    assert not reply.problem


def test_the_block_that_completes_the_length_is_the_last_write():
    """It may wait for the end of the turn; one before it may not."""
    script, _ = run(answering(b"one", b"two", b"", headers=length(6)))
    assert [write[0] for write in script.writes] == ["send", "finish"]
    assert script.writes[1] == ("finish", b"two")


@pytest.mark.parametrize(
    ("declared", "blocks", "body"),
    [
        (3, [b"four"], b"fou"),
        (3, [b"one", b"two"], b"one"),
        (4, [b"one", b"two", b"three"], b"onet"),
        (0, [b"one"], b""),
        (3, [b"o", b"nefour", b"", b"five"], b"one"),
    ],
)
@pytest.mark.parametrize("kind", [list, iter])
def test_more_than_the_declared_length_is_cut_and_noted(declared, blocks, body, kind):
    script, reply = run(answering(*blocks, headers=length(declared), kind=kind))
    assert script.body == body
    assert reply.complete
    assert reply.sent == len(body)
    assert "more than the Content-Length" in reply.problem


@pytest.mark.parametrize(
    ("declared", "blocks", "missing"), [(4, [b"one"], 1), (7, [b"one", b"two"], 1), (3, [], 3), (3, [b"", b""], 3)]
)
@pytest.mark.parametrize("kind", [list, iter])
def test_less_than_the_declared_length_is_incomplete_and_noted(declared, blocks, missing, kind):
    script, reply = run(answering(*blocks, headers=length(declared), kind=kind))
    assert script.field("content-length") == str(declared)
    assert script.body == b"".join(blocks)
    assert not reply.complete
    assert f"{missing} bytes less" in reply.problem


# Without a body


@pytest.mark.parametrize("blocks", [[], [b"one"], [b"one", b"two"], [b""]])
@pytest.mark.parametrize("kind", [list, iter])
def test_head_gets_no_body(blocks, kind):
    script, reply = run(answering(*blocks, kind=kind), HEAD)
    assert script.body == b""
    assert reply.complete
    assert reply.sent == 0
    assert not reply.problem


def test_head_keeps_the_declared_length():
    script, reply = run(answering(b"one", headers=length(3)), HEAD)
    assert script.field("content-length") == "3"
    script, reply = run(answering(headers=length(3)), HEAD)
    assert script.field("content-length") == "3"
    assert reply.complete
    assert not reply.problem


def test_head_says_of_one_block_what_get_says():
    assert run(answering(b"four", kind=list), HEAD)[0].field("content-length") == "4"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("blocks", [[], [b"one"], [b"one", b"two"]])
@pytest.mark.parametrize("kind", [list, iter])
def test_a_status_that_forbids_a_body_brings_none(status, blocks, kind):
    script, reply = run(answering(*blocks, status=status, kind=kind))
    assert script.body == b""
    assert script.field("content-length") is None
    assert script.field("transfer-encoding") is None
    assert reply.complete


# Whether the connection stays


@pytest.mark.parametrize(
    ("wire", "persist", "connection"),
    [
        (GET, True, None),
        (GET, False, "close"),
        (GET.replace(b"Host: a", b"Host: a\r\nConnection: close"), True, "close"),
        (OLD, True, "close"),
        (OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), True, "keep-alive"),
        (OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), False, "close"),
    ],
)
def test_what_is_said_about_the_connection(wire, persist, connection):
    script, _ = run(answering(b"one", kind=list), wire, persist=persist)
    assert script.field("connection") == connection
    assert script.response.persistent == (connection != "close")


def test_the_application_does_not_decide_about_the_connection():
    script, _ = run(answering(b"one", headers=[("Connection", "close"), ("Transfer-Encoding", "chunked")], kind=list))
    assert script.field("connection") is None
    assert script.field("transfer-encoding") is None


# start_response


def test_blocks_need_a_head():
    for blocks in ([b"one"], iter([b"one"]), [], iter([])):
        reply = Reply(Script().request)
        with pytest.raises(AssertionError, match="before it called start_response"):
            reply.send_result(blocks, sendfile=False)


def test_a_head_that_is_said_while_the_blocks_are_made_is_in_time():
    def application(environ, start_response):
        start_response("200 OK", [])
        yield b"one"

    script, _ = run(application)
    assert script.wire.startswith(b"HTTP/1.1 200 OK\r\n")


def test_no_head_goes_out_before_there_is_something_to_send():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", [])
    reply.write(b"")
    assert script.writes == []
    assert not reply.begun


def test_a_second_head_needs_exc_info():
    reply = Reply(Script().request)
    reply.start_response("200 OK", [])
    with pytest.raises(AssertionError, match="second time"):
        reply.start_response("404 Not Found", [])


def test_exc_info_replaces_a_head_that_was_not_sent():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", [("A", "b"), ("Content-Length", "99")])
    reply.start_response("500 Oh", [("C", "d")], caught())
    reply.send_result([b"sorry"], sendfile=False)
    assert script.wire.startswith(b"HTTP/1.1 500 Oh\r\nC: d\r\n")
    assert script.field("a") is None
    assert script.field("content-length") == "5"
    assert reply.response.status == "500 Oh"


def test_exc_info_alone_is_as_good_as_none():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("500 Oh", [], caught())
    reply.send_result([b"sorry"], sendfile=False)
    assert script.body == b"sorry"


def test_exc_info_after_the_head_raises_it_with_its_traceback():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", [])
    reply.write(b"one")
    info = caught()
    with pytest.raises(RuntimeError, match="the application's") as raised:
        reply.start_response("500 Oh", [], info)
    assert raised.value is info[1]
    assert raised.traceback[-1].name == "caught"
    assert reply.response.status == "200 OK"
    assert b"500 Oh" not in script.wire


def test_a_head_that_must_not_be_sent_leaves_the_reply_without_one():
    reply = Reply(Script().request)
    with pytest.raises(InvalidResponseError):
        reply.start_response("200 OK", [("A", "b\r\nC: d")])
    assert reply.response is None
    reply.start_response("500 Oh", [])


def test_what_the_application_does_with_its_list_later_changes_nothing():
    headers = [("A", "b")]
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", headers)
    headers[0] = ("A", "b\r\nC: d")
    headers.append(("E", "f"))
    reply.send_result([b"one"], sendfile=False)
    assert script.field("a") == "b"
    assert script.field("e") is None


# write()


def test_what_is_written_goes_out_at_once_before_the_blocks():
    script = Script()
    reply = Reply(script.request)
    write = reply.start_response("200 OK", [])
    write(b"one")
    assert script.body == b"3\r\none\r\n"
    write(b"two")
    reply.send_result([b"three"], sendfile=False)
    assert script.body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


def test_what_is_written_counts_for_the_declared_length():
    script = Script()
    reply = Reply(script.request)
    write = reply.start_response("200 OK", length(6))
    write(b"one")
    reply.send_result([b"two"], sendfile=False)
    assert script.body == b"onetwo"
    assert reply.complete
    assert not reply.problem


def test_writing_all_and_returning_nothing():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", length(3))(b"one")
    reply.send_result([], sendfile=False)
    assert script.body == b"one"
    assert reply.complete


def test_writing_is_cut_at_the_declared_length():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", length(3))(b"onetwo")
    reply.send_result([b"three"], sendfile=False)
    assert script.body == b"one"
    assert "more than" in reply.problem


# Blocks


@pytest.mark.parametrize("block", ["text", bytearray(b"a"), memoryview(b"a"), None, 1])
@pytest.mark.parametrize("kind", [list, iter])
def test_only_bytes_are_blocks(block, kind):
    with pytest.raises(TypeError):
        run(answering(block, kind=kind))


def test_text_in_place_of_blocks_is_an_error():
    with pytest.raises(TypeError):
        run(lambda environ, start_response: start_response("200 OK", []) and "text")


def test_a_subclass_of_bytes_is_a_block():
    class Special(bytes):
        pass

    assert run(answering(Special(b"one"), kind=list))[0].body == b"one"


def test_a_block_goes_out_before_the_next_is_asked_for():
    script = Script()
    reply = Reply(script.request)
    reply.start_response("200 OK", [])
    seen = []

    def blocks():
        for number in range(3):
            yield b"%d" % number
            seen.append(script.body)

    reply.send_result(blocks(), sendfile=False)
    assert seen == [b"1\r\n0\r\n", b"1\r\n0\r\n1\r\n1\r\n", b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n"]


def test_an_exception_between_blocks_leaves_the_reply_incomplete():
    def application(environ, start_response):
        start_response("200 OK", [])
        yield b"one"
        raise RuntimeError

    script = Script()
    reply = Reply(script.request)
    with pytest.raises(RuntimeError):
        reply.send_result(application({}, reply.start_response), sendfile=False)
    assert reply.begun
    assert not reply.complete
    assert script.body == b"3\r\none\r\n"
