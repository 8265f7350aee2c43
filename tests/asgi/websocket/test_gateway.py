"""The ASGI messages of a WebSocket have their order and form (specification, version 2.5); errors say what is wrong."""

import pytest
from websocket_driver import BINARY, CLOSE, SERVER_LINES, TEXT, close_frame, frame, read_frames, upgrade_of

from unicorn_asgi.http import ClientDisconnectedError, MessageError
from unicorn_asgi.websocket.gateway import MOST_DISCONNECTS, Gateway, State, websocket_scope
from unicorn_asgi.websocket.policy import WebSocketPolicy

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
GONE = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
DENIAL = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x", b"y")]}
DENIAL_BODY = {"type": "websocket.http.response.body", "body": b"no"}


class Application:
    """What an application does, step by step.

    Attributes:
        sent: what was written to the client.
    """

    def __init__(self, *, accepted: bool = False, **changes: str) -> None:
        self.sent = b""
        self.gateway = Gateway(upgrade_of(**changes), WebSocketPolicy(), SERVER_LINES, self._write)
        self.receive, self.send = self.gateway.receive, self.gateway.send
        if accepted:
            assert self.receive() == CONNECT
            assert self.send(ACCEPT) == ()
            self.take()

    def _write(self, *pieces: bytes) -> None:
        self.sent += b"".join(pieces)

    def take(self) -> bytes:
        data, self.sent = self.sent, b""
        return data

    def feed(self, *frames: bytes) -> None:
        assert self.gateway.session is not None
        for one in frames:
            self.gateway.session.feed(one)


@pytest.fixture
def connecting() -> Application:
    application = Application()
    assert application.receive() == CONNECT
    return application


@pytest.fixture
def accepted() -> Application:
    return Application(accepted=True)


HTTP = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.5"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/chat",
    "headers": [(b"host", b"example.org")],
    "client": ("192.0.2.1", 1234),
    "state": {"a": 1},
    "extensions": {"http.response.pathsend": {}, "tls": {"version": 3}},
}


class TestScope:
    def test_it_is_that_of_http_but_for_what_is_different(self):
        scope = websocket_scope(HTTP, upgrade_of(sec_websocket_protocol="chat, superchat"))
        different = {"type", "method", "scheme", "subprotocols", "extensions"}
        assert {name: scope[name] for name in scope if name not in different} == {
            name: HTTP[name] for name in HTTP if name not in different
        }
        assert "method" not in scope
        assert (scope["type"], scope["scheme"]) == ("websocket", "ws")
        assert scope["subprotocols"] == ["chat", "superchat"]
        assert scope["extensions"] == {"websocket.http.response": {}, "tls": {"version": 3}}
        assert HTTP["type"] == "http"

    def test_over_tls_the_scheme_is_wss(self):
        assert websocket_scope(HTTP | {"scheme": "https"}, upgrade_of())["scheme"] == "wss"

    def test_extensions_may_be_missing(self):
        without = {name: value for name, value in HTTP.items() if name != "extensions"}
        assert websocket_scope(without, upgrade_of())["extensions"] == {"websocket.http.response": {}}


class TestHandshake:
    def test_the_first_event_is_connect_and_then_there_is_none(self):
        application = Application()
        assert application.receive() == CONNECT
        assert application.receive() is None

    def test_accept_answers_101(self, connecting):
        assert connecting.send(ACCEPT) == ()
        assert connecting.take().startswith(b"HTTP/1.1 101 ")
        assert connecting.receive() is None

    def test_it_may_be_accepted_before_the_event_is_taken(self):
        application = Application()
        application.send(ACCEPT)
        application.feed(frame(TEXT, b"a"))
        assert application.receive() == {"type": "websocket.receive", "text": "a"}

    def test_subprotocol_and_headers_are_told(self):
        application = Application(sec_websocket_protocol="chat")
        application.send(ACCEPT | {"subprotocol": "chat", "headers": [(b"x", b"y")]})
        assert b"\r\nSec-WebSocket-Protocol: chat\r\n" in application.sent
        assert b"\r\nx: y\r\n" in application.sent

    @pytest.mark.parametrize(
        ("wrong", "error", "text"),
        [
            ({"subprotocol": b"chat"}, MessageError, "'subprotocol' must be a string, not bytes"),
            ({"subprotocol": "other"}, ValueError, "'other' is not among those that the client offers"),
            ({"headers": [(b"x", b"\n")]}, ValueError, "'x'"),
            ({"headers": 5}, TypeError, "int"),
        ],
    )
    def test_what_is_wrong_with_an_accept_is_an_error_and_it_can_be_tried_again(self, connecting, wrong, error, text):
        with pytest.raises(error, match=text):
            connecting.send(ACCEPT | wrong)
        assert connecting.take() == b""
        connecting.send(ACCEPT)
        assert connecting.take().startswith(b"HTTP/1.1 101 ")

    @pytest.mark.parametrize("close", [{}, {"code": 1000}, {"code": 4001, "reason": "no"}])
    def test_close_before_accept_is_answered_403(self, connecting, close):
        start, body = connecting.send({"type": "websocket.close"} | close)
        assert (start["type"], start["status"]) == ("http.response.start", 403)
        assert (body["type"], body["body"]) == ("http.response.body", b"403 Forbidden\n")
        assert connecting.take() == b""
        assert connecting.receive() == GONE

    def test_a_denial_is_answered_by_http(self, connecting):
        assert connecting.send(DENIAL) == (DENIAL | {"type": "http.response.start"},)
        assert connecting.receive() is None
        for more in (True, False):
            body = DENIAL_BODY | {"more_body": more}
            assert connecting.send(body) == (body | {"type": "http.response.body"},)
        assert connecting.take() == b""
        assert connecting.receive() == GONE

    def test_a_client_that_leaves_before_the_answer_is_gone(self, connecting):
        connecting.gateway.client_left()
        assert connecting.receive() == GONE
        for message in (ACCEPT, DENIAL, {"type": "websocket.send", "text": "a"}):
            with pytest.raises(ClientDisconnectedError, match=r"cannot be sent: the WebSocket is closed \(1006\)"):
                connecting.send(message)
        assert connecting.send({"type": "websocket.close"}) == ()


class TestOpen:
    def test_messages_come_as_text_or_bytes(self, accepted):
        accepted.feed(frame(TEXT, b"a") + frame(BINARY, b"b") + frame(TEXT))
        assert accepted.receive() == {"type": "websocket.receive", "text": "a"}
        assert accepted.receive() == {"type": "websocket.receive", "bytes": b"b"}
        assert accepted.receive() == {"type": "websocket.receive", "text": ""}
        assert accepted.receive() is None

    @pytest.mark.parametrize("other", [{}, {"text": None}])
    @pytest.mark.parametrize("data", [b"", b"a", bytearray(b"a"), memoryview(b"a")])
    def test_bytes_are_sent(self, accepted, other, data):
        accepted.send({"type": "websocket.send", "bytes": data} | other)
        assert read_frames(accepted.take()) == [(BINARY, bytes(data))]

    @pytest.mark.parametrize("other", [{}, {"bytes": None}])
    @pytest.mark.parametrize("text", ["", "ä"])
    def test_text_is_sent(self, accepted, other, text):
        accepted.send({"type": "websocket.send", "text": text} | other)
        assert read_frames(accepted.take()) == [(TEXT, text.encode())]

    @pytest.mark.parametrize("code", [None, 1000, 4001])
    @pytest.mark.parametrize("reason", [None, "bye"])
    def test_it_is_closed(self, accepted, code, reason):
        accepted.send({"type": "websocket.close", "code": code, "reason": reason})
        ((opcode, data),) = read_frames(accepted.take())
        assert (opcode, data) == (CLOSE, (code or 1000).to_bytes(2) + (reason or "").encode())
        assert accepted.receive() == {"type": "websocket.disconnect", "code": code or 1000, "reason": reason or ""}

    @pytest.mark.parametrize(
        ("message", "text"),
        [
            (None, "an ASGI message is a dict with a 'type', not None"),
            ({}, "an ASGI message is a dict with a 'type', not {}"),
            ({"type": "websocket.send"}, "neither 'text', a string, nor 'bytes': None"),
            ({"type": "websocket.send", "text": None, "bytes": None}, "neither 'text', a string, nor 'bytes': None"),
            ({"type": "websocket.send", "text": b"a"}, "neither 'text', a string, nor 'bytes': b'a'"),
            ({"type": "websocket.send", "text": "a", "bytes": b"a"}, "has both 'text' and 'bytes'"),
            ({"type": "websocket.send", "bytes": "a"}, "'bytes' of 'websocket.send' must be bytes, not str"),
            ({"type": "websocket.close", "code": "1000"}, "'code' of 'websocket.close' must be an integer, not str"),
            ({"type": "websocket.close", "code": True}, "'code' of 'websocket.close' must be an integer, not bool"),
            ({"type": "websocket.close", "reason": b"a"}, "'reason' of 'websocket.close' must be a string, not bytes"),
            (ACCEPT, "the application sent 'websocket.accept' after 'websocket.accept'"),
            (DENIAL, "the application sent 'websocket.http.response.start' after 'websocket.accept'"),
            ({"type": "http.response.start"}, "the application sent 'http.response.start' after 'websocket.accept'"),
        ],
        ids=repr,
    )
    def test_a_wrong_message_is_an_error_and_changes_nothing(self, accepted, message, text):
        with pytest.raises(MessageError) as caught:
            accepted.send(message)
        assert text in str(caught.value)
        accepted.send({"type": "websocket.send", "text": "ok"})
        assert read_frames(accepted.take()) == [(TEXT, b"ok")]

    def test_so_is_a_close_code_that_must_not_be_sent(self, accepted):
        with pytest.raises(ValueError, match="close code 1006 must not be sent"):
            accepted.send({"type": "websocket.close", "code": 1006})
        accepted.send({"type": "websocket.close", "code": 1011})
        assert accepted.gateway.state is State.CLOSED


class TestOrder:
    @pytest.mark.parametrize(
        "kind", ["websocket.send", "websocket.http.response.body", "http.response.start", "websocket.receive"]
    )
    def test_before_the_handshake_is_answered(self, connecting, kind):
        with pytest.raises(MessageError, match=f"the application sent '{kind}' before 'websocket.accept'"):
            connecting.send({"type": kind})
        assert connecting.gateway.state is State.CONNECTING

    @pytest.mark.parametrize("message", [DENIAL, ACCEPT, {"type": "websocket.close"}])
    def test_while_it_is_denied(self, connecting, message):
        connecting.send(DENIAL)
        with pytest.raises(MessageError, match=r"after 'websocket.http.response.start'"):
            connecting.send(message)

    @pytest.mark.parametrize("last", [{"type": "websocket.close"}, DENIAL])
    @pytest.mark.parametrize("message", [ACCEPT, DENIAL, DENIAL_BODY, {"type": "websocket.close"}])
    def test_after_the_last_word(self, connecting, last, message):
        connecting.send(last)
        if last is DENIAL:
            connecting.send(DENIAL_BODY)
        with pytest.raises(MessageError, match="after the application has closed the WebSocket or denied it"):
            connecting.send(message)

    @pytest.mark.parametrize("kind", ["websocket.send", "websocket.close", "websocket.accept"])
    def test_after_it_has_closed(self, accepted, kind):
        accepted.send({"type": "websocket.close"})
        with pytest.raises(MessageError, match="after the application has closed the WebSocket"):
            accepted.send({"type": kind, "text": "a"})


class TestDisconnected:
    def test_messages_come_first_then_the_code_and_reason(self, accepted):
        accepted.feed(frame(TEXT, b"last"), close_frame(4001, b"bye"))
        assert accepted.receive() == {"type": "websocket.receive", "text": "last"}
        assert accepted.receive() == {"type": "websocket.disconnect", "code": 4001, "reason": "bye"}

    @pytest.mark.parametrize(
        ("end", "code"),
        [(close_frame(1001), 1001), (frame(CLOSE), 1005), (frame(3), 1002), (frame(TEXT, b"\xff"), 1007)],
    )
    def test_sending_raises_and_closing_does_no_harm(self, accepted, end, code):
        accepted.feed(end)
        accepted.take()
        with pytest.raises(ClientDisconnectedError, match=rf"'websocket.send' cannot be sent.*\({code}"):
            accepted.send({"type": "websocket.send", "text": "a"})
        accepted.send({"type": "websocket.close"})
        assert accepted.take() == b""
        assert accepted.receive()["code"] == code

    def test_a_client_that_vanishes_has_code_1006(self, accepted):
        accepted.gateway.client_left()
        assert accepted.receive() == GONE

    def test_an_application_that_does_not_heed_it_is_stopped(self, accepted):
        accepted.gateway.client_left()
        for _ in range(MOST_DISCONNECTS):
            assert accepted.receive() == GONE
        with pytest.raises(MessageError, match="again and again"):
            accepted.receive()


class TestEnd:
    def test_what_is_left_open_is_closed(self, accepted):
        accepted.gateway.end(1000)
        assert read_frames(accepted.take()) == [(CLOSE, b"\x03\xe8")]
        assert accepted.receive() == {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    def test_what_is_closed_stays_so(self, accepted):
        accepted.send({"type": "websocket.close", "code": 4001})
        accepted.take()
        accepted.gateway.end(1011)
        assert accepted.take() == b""
        assert accepted.receive()["code"] == 4001

    def test_a_handshake_without_answer_is_not_the_gateways(self, connecting):
        connecting.gateway.end(1000)
        assert connecting.take() == b""
