"""The control channel delivers whole messages in order, never waits, and tells when the other end is gone."""

import socket

import pytest

from unicorn_core.worker.channel import LARGEST, Channel, ChannelError, pair
from unicorn_core.worker.messages import BootFailed, Drain, Ready, Recycle


def test_messages_come_in_order() -> None:
    left, right = pair()
    sent = [Ready(), Recycle("max_requests"), BootFailed("no", "Traceback", 3), Drain()]
    for message in sent:
        assert left.send(message)
    assert right.receive() == sent
    assert right.receive() == []
    assert not right.closed


def test_a_message_in_pieces_is_delivered_once_it_is_whole() -> None:
    raw, other = socket.socketpair()
    probe, taker = pair()
    probe.send(BootFailed("x" * 1000, "", 3))
    frame = socket.socket(fileno=taker.fileno()).recv(65536)
    receiver = Channel(other)
    for byte in frame[:-1]:
        raw.send(bytes([byte]))
        assert receiver.receive() == []
    raw.send(frame[-1:])
    assert receiver.receive() == [BootFailed("x" * 1000, "", 3)]


def test_what_was_sent_before_the_end_is_still_delivered() -> None:
    left, right = pair()
    left.send(Ready())
    left.close()
    assert right.receive() == [Ready()]
    assert right.closed


def test_sending_to_nobody_fails_without_an_exception() -> None:
    left, right = pair()
    right.close()
    assert not left.send(Ready())


def test_a_peer_that_never_reads_does_not_block_the_sender() -> None:
    left, _right = pair()
    message = BootFailed("x" * 60000, "", 3)
    assert any(not left.send(message) for _ in range(1000))


@pytest.mark.parametrize("data", [(LARGEST + 1).to_bytes(4, "little"), b"\x03\0\0\0abc", b"\x01\0\0\0\xc0"])
def test_nonsense_is_refused(data: bytes) -> None:
    raw, other = socket.socketpair()
    raw.send(data)
    with pytest.raises(ChannelError):
        Channel(other).receive()
