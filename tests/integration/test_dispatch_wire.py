"""Whatever comes over its socket, the dispatcher serves on, and only that connection is closed."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unicorn_core.dispatch import Dispatcher
from unicorn_core.dispatch.wire.frames import Frame, FrameReader, Kind, Shared, encode, route
from unicorn_core.dispatch.wire.serialization import Serializer

from .support.tasks import BASIC

KINDS = st.sampled_from(list(Kind))


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Dispatcher]:
    log = tmp_path_factory.mktemp("wire") / "error.log"
    with Dispatcher(apps=[BASIC], workers=1, errorlog=str(log), dispatch_max_payload="4M") as dispatcher:
        yield dispatcher
    assert "Traceback" not in log.read_text()


class Raw:
    """A connection of which the test writes every byte."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(dispatcher._endpoint.path)
        self.reader = FrameReader()
        assert self.frames(1)[0].kind == Kind.EVENT

    def frames(self, count: int) -> list[Frame]:
        found: list[Frame] = []
        while len(found) < count:
            data = self.socket.recv(65536)
            assert data, "the connection was closed"
            found += self.reader.feed(data)
        return found

    def closed(self) -> bool:
        """The dispatcher closes it."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()


def request(number: int = 1, action: str = "same", *args: object, **fields: object) -> Frame:
    return Frame(Kind.REQUEST, number, route(BASIC, action), Serializer().pack_call(args, {})[0], **fields)


def serves(running: Dispatcher) -> bool:
    return running.client.with_options(timeout=20).execute(BASIC, "same", "fine") == "fine"


def test_garbage_closes_only_its_own_connection(running) -> None:
    with Raw(running) as other, Raw(running) as raw:
        raw.socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"\0" * 64)
        assert raw.closed()
        other.socket.sendall(b"".join(encode(request(1, "same", 5))))
        assert other.frames(1)[0].kind == Kind.RESULT
    assert serves(running)


def test_a_frame_beyond_the_limit_closes_the_connection(running) -> None:
    with Raw(running) as raw:
        head = encode(Frame(Kind.REQUEST, 1, route(BASIC, "same"), b"x" * (5 << 20)))
        raw.socket.sendall(head[0])
        assert raw.closed()
    assert serves(running)


def test_a_number_that_is_in_use_closes_the_connection(running) -> None:
    with Raw(running) as raw:
        raw.socket.sendall(b"".join(encode(request(7, "nap", 0.3)) + encode(request(7, "nap", 0.3))))
        assert raw.closed()
    assert serves(running)


def test_arguments_that_are_malformed_are_an_error_of_that_call(running) -> None:
    with Raw(running) as raw:
        raw.socket.sendall(b"".join(encode(Frame(Kind.REQUEST, 1, route(BASIC, "same"), b"\xc1nonsense"))))
        (answer,) = raw.frames(1)
        assert answer.kind == Kind.ERROR
        assert Serializer().unpack(answer.body)["error_type"] == "ProtocolError"
        raw.socket.sendall(b"".join(encode(request(2, "same", 5))))
        assert raw.frames(1)[0].kind == Kind.RESULT


def test_shared_memory_that_is_not_there_or_too_short_is_an_error(running) -> None:
    with Raw(running) as raw:
        frame = request(1)
        frame.buffers = [Shared(1000)]
        raw.socket.sendall(b"".join(encode(frame)))
        assert raw.closed()
    descriptor = os.memfd_create("short")
    with Raw(running) as raw:
        socket.send_fds(raw.socket, encode(frame), [descriptor])
        (answer,) = raw.frames(1)
        assert Serializer().unpack(answer.body)["error_type"] == "ProtocolError"
    os.close(descriptor)
    assert serves(running)


def test_descriptors_that_nobody_asked_for_are_closed(running) -> None:
    def held() -> int:
        return len(os.listdir(f"/proc/{running.pid}/fd"))

    descriptor = os.memfd_create("unasked")
    before = held()
    for _ in range(5):
        with Raw(running) as raw:
            socket.send_fds(raw.socket, encode(request(1, "same", 1)), [descriptor] * 50)
            assert raw.frames(1)[0].kind == Kind.RESULT
    with Raw(running) as raw:
        for _ in range(11):
            socket.send_fds(raw.socket, [b"u"], [descriptor] * 50)
        assert raw.closed()
    os.close(descriptor)
    assert serves(running)
    assert held() <= before + 1


@pytest.mark.parametrize("cut", [1, 20, 43, 60])
def test_a_connection_that_ends_within_a_frame_is_forgotten(running, cut: int) -> None:
    with Raw(running) as raw:
        raw.socket.sendall(b"".join(encode(request(1, "same", "x" * 100)))[:cut])
    assert serves(running)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_leave_the_dispatcher_serving(running, data: bytes) -> None:
    with Raw(running) as raw:
        raw.socket.sendall(data)
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.closed()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    KINDS,
    st.integers(0, 5),
    st.sampled_from([b"", route(BASIC, "same"), route(BASIC, "_run"), b"\n", b"no app", b"\xff\n\xff"]),
    st.binary(max_size=80)
    | st.builds(lambda value: Serializer().pack(value)[0], st.recursive(st.integers() | st.text(), st.lists)),
    st.lists(st.binary(max_size=40), max_size=3),
    st.floats(0, 1e6),
    st.integers(-100, 100),
    st.integers(0, 7),
)
def test_any_frame_leaves_the_dispatcher_serving(
    running, kind, number, where, body, buffers, deadline, priority, flags
) -> None:
    frame = Frame(kind, number, where, body, buffers, deadline, priority, flags)
    with Raw(running) as raw:
        raw.socket.sendall(b"".join(encode(frame) + encode(request(99, "same", "after"))))
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.closed()
    assert serves(running)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["put", "get", "increment", "ensure", "keys", "items", "ttl", "info", "__init__", "run", "sweep"]),
    st.dictionaries(
        st.sampled_from(["table", "key", "value", "amount", "ttl", "pattern", "bounds", "now", "self"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.binary(max_size=5), max_size=2),
    ),
)
def test_any_operation_on_the_stash_leaves_the_dispatcher_serving(running, name, arguments) -> None:
    with Raw(running) as raw:
        raw.socket.sendall(b"".join(encode(Frame(Kind.STASH, 1, b"", Serializer().pack([name, arguments])[0]))))
        raw.frames(1)
    assert serves(running)


def test_what_a_client_may_ask_of_the_dispatcher_is_a_closed_list(running) -> None:
    with Raw(running) as raw:
        for number, body in enumerate((["__class__", []], ["status", [1, 2]], "status", ["resize"], [["x"], {}])):
            raw.socket.sendall(b"".join(encode(Frame(Kind.COMMAND, number, b"", Serializer().pack(body)[0]))))
            assert raw.frames(1)[0].kind == Kind.ERROR
    assert serves(running)
