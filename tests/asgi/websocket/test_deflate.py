"""Compression keeps what was agreed upon (RFC 7692), with each client, and takes no memory before it is used."""

import zlib
from itertools import product

import pytest
from websocket_driver import BINARY, Client, deflate, frame

MESSAGES = ["", "a", "hello " * 100, b"\x00" * 100_000, bytes(range(256)) * 40, "Grüße, 世界 🌍 " * 500, "hello " * 100]
WINDOWS = [None, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize(("server", "client"), [*product([False, True], repeat=2)])
@pytest.mark.parametrize("window", WINDOWS)
def test_messages_pass_whatever_the_client_offers(server, client, window):
    connection = Client(
        extensions=deflate(
            server_no_context_takeover=server,
            client_no_context_takeover=client,
            server_max_window_bits=window,
            client_max_window_bits=window,
        )
    )
    assert ("server_no_context_takeover" in connection.extension) is server
    for message in MESSAGES:
        assert connection.echo(message) == message


@pytest.mark.parametrize("window", WINDOWS)
def test_the_server_keeps_within_the_window_that_the_client_gives_it(window):
    connection = Client(extensions=deflate(server_max_window_bits=window, client_max_window_bits=None))
    agreed = connection.protocol.extensions[0].remote_max_window_bits
    assert agreed == min(window or 15, 12)
    block = bytes((n * n * 7 + n // 3) % 251 for n in range(6000))
    for message in (block, block, block * 3):
        assert connection.echo(message) == message


def test_a_client_with_a_window_that_the_library_cannot_have_is_served_uncompressed():
    connection = Client(extensions=deflate(server_max_window_bits=8))
    assert connection.extension == ""
    assert connection.echo("a" * 1000) == "a" * 1000


def test_a_client_that_reads_and_writes_uncompressed_all_the_same_is_served():
    connection = Client(extensions=deflate())
    connection.protocol.extensions.clear()
    connection.send("a" * 1000)
    connection.exchange()
    assert connection.wire.messages == ["a" * 1000]


def test_context_is_taken_over_only_if_it_may_be():
    kept, dropped = Client(extensions=deflate()), Client(extensions=deflate(server_no_context_takeover=True))
    block = bytes((n * n * 7 + n // 3) % 251 for n in range(1000))
    sizes = []
    for connection in (kept, dropped):
        connection.session.send_bytes(block)
        first = len(connection.wire.take())
        connection.session.send_bytes(block)
        sizes.append((first, len(connection.wire.take())))
    assert sizes[0][1] < sizes[0][0] / 5
    assert sizes[1][1] == sizes[1][0]


def test_memory_is_taken_by_the_first_message_of_a_direction():
    connection = Client(extensions=deflate())
    (extension,) = connection.session._protocol.extensions
    assert not {"encoder", "decoder"} & set(vars(extension))
    connection.send("a" * 1000)
    connection.exchange()
    assert {"encoder", "decoder"} & set(vars(extension)) == {"decoder"}
    connection.session.send_text("a" * 1000)
    assert {"encoder", "decoder"} & set(vars(extension)) == {"encoder", "decoder"}


@pytest.mark.parametrize("bits", range(9, 16))
def test_the_client_may_use_any_window_that_was_agreed_upon(bits):
    offer = deflate(client_max_window_bits=bits)
    connection = Client(extensions=offer)
    agreed = connection.protocol.extensions[0].local_max_window_bits
    assert agreed == min(bits, 12)
    compressor = zlib.compressobj(wbits=-agreed)
    data = compressor.compress(b"\x01" * 5000) + compressor.flush(zlib.Z_SYNC_FLUSH)
    connection.protocol.extensions.clear()
    connection.wire.feed(frame(BINARY, data[:-4], reserved=4))
    assert connection.wire.messages == [b"\x01" * 5000]
