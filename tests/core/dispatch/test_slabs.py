"""Shared memory is used again, but never while somebody may still read it, and nothing is held longer than needed."""

import errno
import gc
import os
import sys

import pytest

from unicorn_core.dispatch.client.async_connection import AsyncConnections
from unicorn_core.dispatch.client.connection import Connections
from unicorn_core.dispatch.client.exchange import Exchange, Invocation, Options, Terms
from unicorn_core.dispatch.errors import PayloadTooLarge, ProtocolError
from unicorn_core.dispatch.wire import shared
from unicorn_core.dispatch.wire.frames import SHARED_FROM, Frame, Kind, Shared
from unicorn_core.dispatch.wire.serialization import Serializer
from unicorn_core.dispatch.wire.slabs import RETAINED, Slabs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs files in memory")
LARGE = SHARED_FROM
TERMS = Terms(30.0, 1 << 30, "msgpack")


def inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_only_what_is_large_is_shared_and_comes_back_as_it_was() -> None:
    slabs = Slabs()
    buffers = [b"small", os.urandom(LARGE), memoryview(bytearray(LARGE + 1))]
    placed, descriptors, lent = slabs.lend(buffers)
    assert placed == [b"small", Shared(LARGE), Shared(LARGE + 1)]
    assert len(lent) == 2
    assert shared.fetch(placed, descriptors) == buffers


def test_what_is_taken_back_is_filled_again() -> None:
    slabs = Slabs()
    _, first, lent = slabs.lend([b"a" * LARGE])
    slabs.take_back(lent)
    placed, second, _ = slabs.lend([b"b" * LARGE])
    assert inode(first[0]) == inode(second[0])
    assert shared.fetch(placed, second) == [b"b" * LARGE]
    shared.close(first)


def test_what_is_still_lent_or_too_small_is_not_used() -> None:
    slabs = Slabs()
    _, first, lent = slabs.lend([b"a" * LARGE])
    _, second, _ = slabs.lend([b"b" * LARGE])
    slabs.take_back(lent)
    _, third, _ = slabs.lend([b"c" * (LARGE + 1)])
    assert len({inode(found[0]) for found in (first, second, third)}) == 3


def test_not_more_is_kept_than_the_bound() -> None:
    slabs = Slabs()
    before = open_descriptors()
    _, descriptors, lent = slabs.lend([bytes(RETAINED // 4 + 1)] * 6)
    shared.close(descriptors)
    slabs.take_back(lent)
    del lent
    assert open_descriptors() == before + 3
    slabs.close()
    assert open_descriptors() == before


def test_what_nobody_refers_to_any_more_is_closed() -> None:
    before = open_descriptors()
    slabs = Slabs()
    _, descriptors, lent = slabs.lend([bytes(LARGE)] * 3)
    shared.close(descriptors)
    slabs.take_back(lent[:1])
    del lent, slabs
    assert open_descriptors() == before


def test_without_descriptors_to_spare_it_is_sent_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    slabs = Slabs()
    buffers = [b"x" * LARGE, b"y" * LARGE]
    before = open_descriptors()
    scarce_descriptors(monkeypatch, 1)
    assert slabs.lend(buffers) == (buffers, [], [])
    slabs.close()
    assert open_descriptors() == before


def scarce_descriptors(monkeypatch: pytest.MonkeyPatch, left: int) -> None:
    """Only so many can be copied yet."""
    copy = os.dup
    budget = iter(range(left))

    def dup(descriptor: int) -> int:
        if next(budget, None) is None:
            raise OSError(errno.EMFILE, "Too many open files")
        return copy(descriptor)

    monkeypatch.setattr(os, "dup", dup)


def test_a_forked_child_can_use_what_another_thread_was_just_using() -> None:
    slabs = Slabs()
    slabs._lock.acquire()
    slabs.forget()
    _, descriptors, _ = slabs.lend([b"x" * LARGE])
    shared.close(descriptors)


@pytest.mark.parametrize("kind", [Connections, AsyncConnections])
def test_a_client_that_is_closed_keeps_no_shared_memory(kind: type[Connections | AsyncConnections]) -> None:
    before = open_descriptors()
    connections = kind("/nowhere")
    _, descriptors, lent = connections._slabs.lend([b"x" * LARGE])
    shared.close(descriptors)
    connections._slabs.take_back(lent)
    del lent
    assert open_descriptors() == before + 1
    connections.close()
    assert open_descriptors() == before


def asked(exchange: Exchange) -> int:
    """The inode of what one call lends."""
    frame, descriptors = exchange.request(1, Invocation("a:A", "b", (b"x" * LARGE,), {}, Options()), 1.0, stream=False)
    assert frame.descriptors == 1
    number = inode(descriptors[0])
    shared.close(descriptors)
    return number


def test_a_requests_memory_is_used_again_only_after_its_result() -> None:
    exchange = Exchange(TERMS, Slabs())
    first = asked(exchange)
    assert exchange.value(Frame(Kind.RESULT, 1, body=Serializer().pack(None)[0]), ()) is None
    assert asked(exchange) == first
    error = Serializer().pack({"error_type": "TaskTimeout", "message": "it still runs", "details": {}})[0]
    with pytest.raises(Exception, match="it still runs"):
        exchange.value(Frame(Kind.ERROR, 1, body=error), ())
    # The task worker may read it yet.
    assert asked(exchange) != first
    exchange.close()


def test_a_connection_that_ends_leaves_no_descriptor() -> None:
    before = open_descriptors()
    exchange = Exchange(TERMS, Slabs())
    asked(exchange)
    exchange.close()
    assert open_descriptors() == before


def test_a_call_that_cannot_be_made_leaves_no_descriptor() -> None:
    exchange = Exchange(Terms(30.0, 2 * LARGE, "msgpack"), Slabs())
    before = open_descriptors()
    for app, value, error in (("two\nlines", b"x" * LARGE, ProtocolError), ("a:A", b"x" * 3 * LARGE, PayloadTooLarge)):
        with pytest.raises(error):
            exchange.request(1, Invocation(app, "b", (value,), {}, Options()), 1.0, stream=False)
    exchange.close()
    exchange._slabs.close()
    assert open_descriptors() == before


def test_memory_that_is_shorter_than_announced_is_an_error_and_closed() -> None:
    descriptor = shared.make(b"x" * LARGE)
    assert descriptor is not None
    before = open_descriptors()
    with pytest.raises(ProtocolError, match="where"):
        shared.fetch([Shared(LARGE + 1)], [descriptor])
    assert open_descriptors() == before - 1


def test_a_large_value_is_freed_without_the_collector() -> None:
    serializer = Serializer()
    buffer = b"x" * LARGE
    body, *buffers = serializer.pack({"large": buffer, "more": (1, 2)})
    held = sys.getrefcount(buffer)
    gc.disable()
    try:
        assert serializer.unpack(body, buffers)["large"] is buffer
        assert sys.getrefcount(buffer) == held
    finally:
        gc.enable()
