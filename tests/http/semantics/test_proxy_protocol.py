"""The PROXY protocol's headers: what they say, where they end, and that everything else is refused.

Sections are those of HAProxy's doc/proxy-protocol.txt.
"""

import socket
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from unicorn_http.semantics.proxy_protocol import (
    LONGEST_V2,
    ProxyHeader,
    ProxyHeaderError,
    ProxyHeaderReader,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 1234 443\r\n"


def v2(command: int = 0x21, family: int = 0x11, addresses: bytes = b"", tail: bytes = b"") -> bytes:
    data = addresses + tail
    return SIGNATURE + struct.pack("!BBH", command, family, len(data)) + data


def inet(client="192.0.2.7", proxy="198.51.100.1", client_port=1234, proxy_port=443) -> bytes:
    return socket.inet_aton(client) + socket.inet_aton(proxy) + struct.pack("!HH", client_port, proxy_port)


def inet6(client="2001:db8::7", proxy="2001:db8::1", client_port=1234, proxy_port=443) -> bytes:
    pack = socket.inet_pton
    return pack(socket.AF_INET6, client) + pack(socket.AF_INET6, proxy) + struct.pack("!HH", client_port, proxy_port)


TCP4 = ProxyHeader("TCP4", "192.0.2.7", 1234, "198.51.100.1", 443)
TCP6 = ProxyHeader("TCP6", "2001:db8::7", 1234, "2001:db8::1", 443)

VALID = [
    pytest.param(V1, TCP4, id="v1-tcp4"),
    pytest.param(b"PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n", TCP6, id="v1-tcp6"),
    pytest.param(b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8::1 1234 443\r\n", TCP6, id="v1-tcp6-long"),
    pytest.param(
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        ProxyHeader("TCP4", "255.255.255.255", 65535, "255.255.255.255", 65535),
        id="v1-worst-case",
    ),
    pytest.param(b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", ProxyHeader("TCP4", "0.0.0.0", 0, "0.0.0.0", 0), id="v1-zeros"),
    pytest.param(b"PROXY UNKNOWN\r\n", ProxyHeader("UNKNOWN"), id="v1-unknown"),
    pytest.param(b"PROXY UNKNOWN ffff::1 what ever 1 2\r\n", ProxyHeader("UNKNOWN"), id="v1-unknown-more"),
    pytest.param(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", ProxyHeader("UNKNOWN"), id="v1-107-bytes"),
    pytest.param(v2(addresses=inet()), TCP4, id="v2-tcp4"),
    pytest.param(v2(family=0x21, addresses=inet6()), TCP6, id="v2-tcp6"),
    pytest.param(v2(family=0x12, addresses=inet()), replace(TCP4, protocol="UDP4"), id="v2-udp4"),
    pytest.param(v2(family=0x22, addresses=inet6()), replace(TCP6, protocol="UDP6"), id="v2-udp6"),
    pytest.param(v2(addresses=inet(), tail=b"\x04\0\3abc" + b"\0" * 500), TCP4, id="v2-extensions"),
    pytest.param(v2(addresses=inet(), tail=b"\xff" * (LONGEST_V2 - 12)), TCP4, id="v2-longest"),
    pytest.param(v2(0x20, 0x00), ProxyHeader("LOCAL"), id="v2-local"),
    pytest.param(v2(0x20, 0x11, inet()), ProxyHeader("LOCAL"), id="v2-local-with-addresses"),
    pytest.param(v2(0x20, 0xFF, b"abc"), ProxyHeader("LOCAL"), id="v2-local-with-rubbish"),
    pytest.param(v2(family=0x00), ProxyHeader("UNSPEC"), id="v2-unspec"),
    pytest.param(v2(family=0x00, addresses=b"abc"), ProxyHeader("UNSPEC"), id="v2-unspec-with-data"),
    pytest.param(v2(family=0x10, addresses=inet()), ProxyHeader("UNSPEC"), id="v2-transport-unspec"),
    pytest.param(v2(family=0x01), ProxyHeader("UNSPEC"), id="v2-family-unspec"),
    pytest.param(v2(family=0x31, addresses=b"/run/x".ljust(216, b"\0")), ProxyHeader("UNSPEC"), id="v2-unix"),
]

MALFORMED = [
    REQUEST,
    b"\x16\x03\x01\x02\x00\x01",
    b"proxy TCP4 192.0.2.7 198.51.100.1 1234 443\r\n",
    b" " + V1,
    b"\r\n" + V1,
    V1.replace(b" ", b"  ", 1),
    V1.replace(b" ", b"\t"),
    V1.replace(b"\r\n", b"\n"),
    V1.replace(b"\r\n", b" \r\n"),
    V1.replace(b"\r\n", b" x\r\n"),
    V1.replace(b"\r\n", b"\r\r\n"),
    V1.replace(b"TCP4", b"TCP6"),
    V1.replace(b"TCP4", b"UDP4"),
    V1.replace(b"TCP4", b"tcp4"),
    V1.replace(b"192.0.2.7", b"192.0.2.256"),
    V1.replace(b"192.0.2.7", b"192.0.02.7"),
    V1.replace(b"192.0.2.7", b"192.0.2"),
    V1.replace(b"192.0.2.7", b"1.2.3.4,5.6.7.8"),
    V1.replace(b"192.0.2.7", b"::ffff:192.0.2.7"),
    V1.replace(b"1234", b"65536"),
    V1.replace(b"1234", b"01234"),
    V1.replace(b"1234", b"-1"),
    V1.replace(b"1234", b"+123"),
    V1.replace(b"1234", b"1_2"),
    V1.replace(b"1234", b"\xd9\xa1"),
    b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n",
    b"PROXY TCP6 [::1] ::2 1 2\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
    b"PROXY TCP4 " + b"1" * 200,
    SIGNATURE + b"\x11\x11\x00\x0c" + inet(),  # version 1 in the binary form
    SIGNATURE + b"\x31\x11\x00\x0c" + inet(),
    SIGNATURE + b"\x22\x11\x00\x0c" + inet(),  # neither LOCAL nor PROXY
    v2(family=0x13, addresses=inet()),
    v2(family=0x41, addresses=inet()),
    v2(family=0xFF),
    v2(addresses=inet()[:-1]),
    v2(family=0x21, addresses=inet()),
    v2(family=0x31, addresses=b"x" * 215),
    SIGNATURE + b"\x21\x11" + (LONGEST_V2 + 1).to_bytes(2, "big"),
    SIGNATURE + b"\x21\x11\xff\xff",
    SIGNATURE[:-1] + b"\r" + b"\x21\x11\x00\x0c" + inet(),
]


def read(wire: bytes, cuts: list[int] = [], version: str = "auto"):  # noqa: B006
    """The header and what is left behind it, after feeding the pieces between the cuts; None if it is not complete."""
    reader = ProxyHeaderReader(version)
    taken = 0
    for cut in sorted({*(at for at in cuts if at < len(wire)), len(wire)}):
        if reader.header is None and cut > taken:
            taken += reader.feed(wire[taken:cut])
    return reader.header, wire[taken:]


@pytest.mark.parametrize("rest", [b"", REQUEST, b"\n", V1], ids=["alone", "request", "newline", "again"])
@pytest.mark.parametrize(("wire", "header"), VALID)
def test_a_header_is_read_and_nothing_behind_it_is_taken(wire, header, rest):
    assert read(wire + rest) == (header, rest)


@pytest.mark.parametrize(("wire", "header"), VALID)
def test_each_byte_by_itself_gives_the_same(wire, header):
    assert read(wire + REQUEST, list(range(1, min(len(wire), 1000)))) == (header, REQUEST)


@pytest.mark.parametrize(("wire", "header"), VALID)
def test_a_header_of_the_other_version_is_refused(wire, header):
    own, other = ("v1", "v2") if wire.startswith(b"PROXY") else ("v2", "v1")
    assert read(wire, version=own)[0] == header
    with pytest.raises(ProxyHeaderError):
        read(wire, version=other)


@pytest.mark.parametrize("wire", MALFORMED)
def test_everything_else_is_refused(wire):
    with pytest.raises(ProxyHeaderError):
        read(wire + REQUEST)


def test_what_is_no_header_is_refused_with_its_first_byte():
    for wire in (b"G", b"\x16", b"p", b"\n"):
        with pytest.raises(ProxyHeaderError, match="does not begin with a PROXY header"):
            ProxyHeaderReader("auto").feed(wire)


def test_too_long_a_header_is_refused_as_soon_as_that_is_known():
    with pytest.raises(ProxyHeaderError, match="longer than 107"):
        ProxyHeaderReader("v1").feed(b"PROXY UNKNOWN".ljust(107))
    with pytest.raises(ProxyHeaderError, match="longer than 16"):
        ProxyHeaderReader("v2").feed(SIGNATURE + b"\x21\x11\xff\xff")


@given(st.sampled_from(VALID), st.lists(st.integers(1, 300), max_size=8), st.binary(max_size=40))
def test_wherever_it_is_cut_it_says_the_same(case, cuts, rest):
    wire, header = case.values
    assert read(wire + rest, cuts) == (header, rest)


WORDS = [b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"1.2.3.4 ", b"::1 ", b"80 ", b"443", b"\r\n", b" "]
FRAGMENTS = st.sampled_from([*WORDS, SIGNATURE, b"\x21", b"\x20", b"\x11", b"\x00\x0c", b"\0" * 12])


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(FRAGMENTS | st.binary(max_size=3), max_size=12).map(b"".join),
        st.binary(max_size=40).map(lambda data: SIGNATURE + data),
        st.tuples(st.sampled_from(VALID), st.integers(0, 60), st.integers(0, 255)).map(
            lambda drawn: drawn[0].values[0][: drawn[1]] + bytes([drawn[2]]) + drawn[0].values[0][drawn[1] + 1 :]
        ),
    ),
    st.lists(st.integers(1, 200), max_size=5),
)
@example(b"PROXY TCP4 1.1.1.1 1.1.1.1 1 99999\r\n", [])
def test_nothing_but_its_own_error_comes_out_and_cuts_change_nothing(wire, cuts):
    def outcome(cuts):
        try:
            return read(wire, cuts)
        except ProxyHeaderError as error:
            return str(error)

    assert outcome(cuts) == outcome([])
