"""A WebSocket is kept alive, held back and closed as the theory in unicorn_asgi.websocket.session says."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket_driver import BINARY, CLOSE, CONT, PING, PONG, TEXT, Client, Wire, close_frame, close_of, frame

from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.session import BYTES_AHEAD, CLOSE_TIMEOUT, MESSAGES_AHEAD, Session
from unicorn_core.testing.clock import FakeClock

VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


class TestClosedByTheClient:
    @pytest.mark.parametrize("code", VALID_CODES)
    @pytest.mark.parametrize("reason", ["", "bye", "ä" * 61 + "a"])
    def test_code_and_reason_are_known_and_sent_back(self, code, reason):
        wire = Wire().feed(close_frame(code, reason.encode()))
        assert wire.session.closed == (code, reason)
        assert wire.session.finished
        assert close_of(wire) == (code, reason)

    def test_without_a_code_it_is_1005(self):
        wire = Wire().feed(frame(CLOSE))
        assert wire.session.closed == (1005, "")
        assert wire.take() == b"\x88\x00"

    @pytest.mark.parametrize("code", INVALID_CODES)
    @pytest.mark.parametrize("reason", [b"", b"bye"])
    def test_a_code_that_must_not_be_sent_is_a_protocol_error(self, code, reason):
        wire = Wire().feed(close_frame(code, reason))
        assert close_of(wire)[0] == 1002
        assert wire.session.finished

    def test_half_a_code_is_a_protocol_error(self):
        assert close_of(Wire().feed(frame(CLOSE, b"\x03")))[0] == 1002

    @pytest.mark.parametrize("reason", [b"\xff", b"ok\xed\xa0\x80", b"\xe4\xb8"])
    def test_a_reason_that_is_no_text_is_refused_with_1007(self, reason):
        assert close_of(Wire().feed(close_frame(1000, reason)))[0] == 1007

    def test_what_came_before_is_delivered_and_nothing_after(self):
        wire = Wire().feed(frame(TEXT, b"a") + close_frame(1001) + frame(TEXT, b"b") + frame(PING))
        wire.feed(frame(TEXT, b"c"), close_frame(4000))
        assert wire.messages == ["a"]
        assert wire.session.closed == (1001, "")
        assert [opcode for opcode, _ in wire.frames()] == [CLOSE]

    def test_it_may_close_between_two_fragments(self):
        wire = Wire().feed(frame(TEXT, b"a", fin=False), close_frame(1000), frame(CONT, b"b"))
        assert wire.outcome == ([], b"\x88\x02\x03\xe8", (1000, ""), True)

    def test_a_client_that_vanishes_has_code_1006_and_gets_nothing(self):
        wire = Wire().feed(frame(TEXT, b"a"), frame(TEXT, b"half")[:-1])
        wire.session.feed_eof()
        assert wire.outcome == (["a"], b"", (1006, ""), True)

    def test_its_end_after_its_close_changes_nothing(self):
        wire = Wire().feed(close_frame(4001, b"done"))
        wire.session.feed_eof()
        wire.session.feed_eof()
        assert wire.session.closed == (4001, "done")

    def test_the_librarys_client_sees_a_clean_end(self):
        client = Client()
        client.protocol.send_close(1000, "bye")
        client.exchange()
        client.protocol.receive_eof()
        assert (client.protocol.close_code, client.protocol.close_reason) == (1000, "bye")


class TestClosedHere:
    @pytest.mark.parametrize("code", VALID_CODES)
    def test_the_client_is_told_and_the_connection_ends_with_its_answer(self, code):
        client = Client()
        client.session.close(code, "because")
        assert client.session.closed == (code, "because")
        assert not client.session.finished
        client.exchange()
        assert client.session.finished
        client.protocol.receive_eof()
        assert (client.protocol.close_code, client.protocol.close_reason) == (code, "because")

    @pytest.mark.parametrize("code", [-1, *INVALID_CODES, 70000])
    def test_a_code_that_must_not_be_sent_is_an_error_and_changes_nothing(self, code):
        wire = Wire()
        with pytest.raises(ValueError, match=rf"close code {code} must not be sent \(RFC 6455 section 7.4\)"):
            wire.session.close(code)
        assert wire.session.closed is None
        assert wire.take() == b""

    @pytest.mark.parametrize("reason", ["a" * 200, "ä" * 100, "a" + "ä" * 100, "🌍" * 50])
    def test_a_reason_that_is_too_long_is_cut_between_two_characters(self, reason):
        wire = Wire()
        wire.session.close(1000, reason)
        sent = close_of(wire)[1]
        assert reason.startswith(sent)
        assert 119 < len(sent.encode()) <= 123

    def test_a_surrogate_in_a_reason_does_not_keep_it_open(self):
        wire = Wire()
        wire.session.close(1011, "\ud800")
        assert close_of(wire) == (1011, "?")

    def test_to_close_twice_does_no_harm(self):
        wire = Wire()
        wire.session.close(1000)
        wire.session.close(4000)
        assert close_of(wire) == (1000, "")
        wire.feed(close_frame(1000))
        wire.session.close(4000)
        assert wire.session.closed == (1000, "")

    def test_messages_that_wait_or_still_come_are_dropped(self):
        wire = Wire().feed(frame(TEXT, b"waits"))
        wire.session.close(1000)
        wire.feed(frame(TEXT, b"late"), frame(BINARY, b"half", fin=False))
        assert wire.messages == []
        assert not wire.session.finished

    def test_pings_are_answered_until_the_end(self):
        wire = Wire()
        wire.session.close(1000)
        wire.take()
        assert wire.feed(frame(PING, b"?")).frames() == [(PONG, b"?")]

    @pytest.mark.parametrize("answer", [close_frame(4000), frame(CLOSE), frame(3), frame(TEXT, b"\xff")])
    def test_whatever_the_client_answers_ends_it(self, answer):
        wire = Wire()
        wire.session.close(1001, "mine")
        wire.take()
        wire.feed(answer)
        assert wire.outcome == ([], b"", (1001, "mine"), True)

    def test_the_end_of_the_client_ends_it(self):
        wire = Wire()
        wire.session.close(1012)
        wire.session.feed_eof()
        assert (wire.session.closed, wire.session.finished) == ((1012, ""), True)

    @pytest.mark.parametrize("talks", [True, False])
    def test_a_client_that_does_not_answer_has_a_time_for_it(self, talks):
        wire, clock = Wire(), FakeClock()
        wire.session.tick(clock.now)
        clock.advance(100)
        wire.session.close(1000)
        wire.session.tick(clock.now)
        for _ in range(int(CLOSE_TIMEOUT) - 1):
            clock.advance(1)
            wire.feed(frame(TEXT, b"more") if talks else b"")
            wire.session.tick(clock.now)
        assert not wire.session.finished
        clock.advance(1)
        wire.session.tick(clock.now)
        assert wire.session.finished
        assert wire.feed(frame(TEXT, b"more")).messages == []


class TestKeepalive:
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def wire(self, clock: FakeClock) -> Wire:
        wire = Wire(WebSocketPolicy(ping_interval=20, ping_timeout=10))
        wire.session.tick(clock.now)
        return wire

    @staticmethod
    def run(wire: Wire, clock: FakeClock, seconds: int) -> list:
        for _ in range(seconds):
            clock.advance(1)
            wire.session.tick(clock.now)
        return wire.frames()

    def test_a_silent_client_is_asked_once(self, wire, clock):
        assert self.run(wire, clock, 19) == []
        assert self.run(wire, clock, 1) == [(PING, b"")]
        assert self.run(wire, clock, 9) == []

    @pytest.mark.parametrize(
        "answer", [frame(PONG), frame(PONG, b"other"), frame(TEXT, b"a"), frame(TEXT, b"half")[:3]]
    )
    def test_whatever_it_sends_is_an_answer(self, wire, clock, answer):
        assert self.run(wire, clock, 20) == [(PING, b"")]
        assert self.run(wire, clock, 9) == []
        wire.feed(answer)
        wire.session.messages.clear()
        assert self.run(wire, clock, 20) == []
        assert self.run(wire, clock, 1) == [(PING, b"")]

    def test_without_an_answer_it_is_closed_with_1011(self, wire, clock):
        assert self.run(wire, clock, 29) == [(PING, b"")]
        self.run(wire, clock, 0)
        clock.advance(1)
        wire.session.tick(clock.now)
        assert close_of(wire) == (1011, "no answer to a ping")
        assert wire.session.finished

    def test_a_client_that_talks_is_never_asked(self, wire, clock):
        for _ in range(10):
            wire.feed(frame(TEXT, b"a"))
            wire.session.messages.clear()
            assert self.run(wire, clock, 15) == []

    def test_nor_one_that_waits_for_the_application(self, wire, clock):
        wire.feed(frame(TEXT, b"a"))
        assert self.run(wire, clock, 100) == []
        wire.session.messages.clear()
        assert self.run(wire, clock, 20) == [(PING, b"")]

    @pytest.mark.parametrize("since", [0, 1000])
    def test_the_time_begins_with_the_first_tick(self, since):
        wire = Wire(WebSocketPolicy(ping_interval=20, ping_timeout=10))
        wire.session.tick(since)
        wire.session.tick(since + 19.5)
        assert wire.frames() == []
        wire.session.tick(since + 20.5)
        assert wire.frames() == [(PING, b"")]

    def test_an_interval_of_0_asks_nobody(self, clock):
        assert self.run(Wire(WebSocketPolicy(ping_interval=0)), clock, 1000) == []

    def test_a_timeout_of_0_waits_for_ever(self, clock):
        wire = Wire(WebSocketPolicy(ping_interval=20, ping_timeout=0))
        assert self.run(wire, clock, 1000) == [(PING, b"")]
        assert wire.session.closed is None

    def test_the_librarys_client_answers(self, clock):
        client = Client()
        client.session.tick(clock.now)
        for _ in range(500):
            clock.advance(1)
            client.session.tick(clock.now)
            client.exchange()
        assert client.session.closed is None
        assert 20 < len(client.frames) < 26


class TestCongestion:
    def test_a_few_messages_may_wait(self):
        wire = Wire().feed(*[frame(TEXT, b"a")] * (MESSAGES_AHEAD - 1))
        assert not wire.session.congested

    def test_many_messages_are_too_many(self):
        assert Wire().feed(*[frame(TEXT, b"")] * MESSAGES_AHEAD).session.congested

    def test_a_few_large_ones_are_too_many(self):
        wire = Wire().feed(frame(BINARY, bytes(BYTES_AHEAD - 1)))
        assert not wire.session.congested
        assert wire.feed(frame(BINARY, b"a")).session.congested


class TestSending:
    def test_text_and_bytes(self):
        wire = Wire()
        wire.session.send_text("Grüße")
        wire.session.send_bytes(b"\x00\xff")
        wire.session.send_text("")
        wire.session.send_bytes(b"")
        assert wire.frames() == [(TEXT, "Grüße".encode()), (BINARY, b"\x00\xff"), (TEXT, b""), (BINARY, b"")]

    def test_a_surrogate_is_an_error_and_changes_nothing(self):
        wire = Wire()
        with pytest.raises(UnicodeEncodeError):
            wire.session.send_text("\ud800")
        wire.session.send_text("ok")
        assert wire.frames() == [(TEXT, b"ok")]


def by_timeout(session: Session) -> None:
    session.close(1000)
    session.tick(0)
    session.tick(CLOSE_TIMEOUT)


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.feed(close_frame(1000)),
        lambda session: session.feed(frame(3)),
        lambda session: session.feed(frame(TEXT, b"\xff")),
        lambda session: session.feed_eof(),
        by_timeout,
    ],
)
def test_the_end_leaves_nothing_for_the_garbage_collector(end):
    session = Session(WebSocketPolicy(), [], [].append)
    gone = weakref.ref(session._protocol)
    gc.disable()
    try:
        end(session)
        assert session.finished
        del session
        assert gone() is None
    finally:
        gc.enable()


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("feed"), st.sampled_from([frame(TEXT, b"a"), frame(PING), close_frame(1000), frame(3), b"\x81"])
        ),
        st.tuples(st.just("close"), st.sampled_from([1000, 1012, 4000])),
        st.tuples(st.just("tick"), st.integers(0, 30)),
        st.tuples(st.just("eof"), st.none()),
        st.tuples(st.just("take"), st.none()),
    ),
    max_size=30,
)


@given(steps)
def test_it_closes_once_and_sends_one_close_frame_at_most_as_the_last(steps):
    wire, now, seen = Wire(), 0, None
    session = wire.session
    for step, argument in steps:
        if step == "feed":
            session.feed(argument)
        elif step == "close":
            session.close(argument)
        elif step == "tick":
            now += argument
            session.tick(now)
        elif step == "eof":
            session.feed_eof()
        else:
            session.messages.clear()
        assert seen is None or session.closed == seen
        seen = session.closed
        assert seen is not None or not session.finished
    sent = [opcode for opcode, _ in wire.frames()]
    assert sent.count(CLOSE) <= 1
    if CLOSE in sent:
        assert set(sent[sent.index(CLOSE) + 1 :]) <= {PONG}
