"""The PROXY protocol, versions 1 and 2: who a connection comes from, as the proxy says before the first byte of it.

Sections are those of HAProxy's doc/proxy-protocol.txt. Its receivers must be told to expect the header and must not
guess whether there is one (section 2), so each connection begins with a complete header or is refused.
"""

import ipaddress
import re

from msgspec import Struct

LONGEST_V1 = 107
"""Bytes of a version 1 line with its CRLF (section 2.1)."""
LONGEST_V2 = 8192
"""Bytes after the fixed 16 of a version 2 header. The protocol allows 65535; addresses take at most 216, and the rest
is extensions, of which a client's certificate is the largest in use."""

_SIGNATURES = {"v1": b"PROXY ", "v2": b"\r\n\r\n\0\r\nQUIT\n"}
_FIXED = 16
_V1 = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5}))\r\n"
)
_LOCAL = 0x20
_PROXY = 0x21
_INET = 1
_INET6 = 2
_UNIX = 3
_ADDRESS_BYTES = {_INET: 12, _INET6: 36, _UNIX: 216}
_TRANSPORTS = {1: "TCP", 2: "UDP"}


class ProxyHeaderError(ValueError):
    """The connection does not begin with a header that is allowed."""


class ProxyHeader(Struct, frozen=True):
    """What a header says.

    Attributes:
        protocol: between the client and the proxy: TCP4, TCP6, UDP4 or UDP6 (QUIC). UNKNOWN (v1) and UNSPEC (v2): the
            proxy forwards a client and does not tell which one. LOCAL (v2): it connects by itself, to look whether the
            server lives.
        client, client_port: of the client; empty and 0 without an address.
        proxy, proxy_port: to which the client connected.
    """

    protocol: str
    client: str = ""
    client_port: int = 0
    proxy: str = ""
    proxy_port: int = 0


class ProxyHeaderReader:
    """Reads the header from the first bytes of one connection.

    Args:
        version: v1, v2, or auto for either.

    Attributes:
        header: None until it is complete.
    """

    def __init__(self, version: str) -> None:
        self._signatures = _SIGNATURES if version == "auto" else {version: _SIGNATURES[version]}
        self._seen = bytearray()
        self.header: ProxyHeader | None = None

    def feed(self, data: bytes) -> int:
        """Take the next bytes; gives how many of them belong to the header.

        Raises:
            ProxyHeaderError: this is no header, or a malformed one.
        """
        before = len(self._seen)
        self._seen += data
        end = self._read(self._seen)
        return end - before if end else len(data)

    def _read(self, seen: bytearray) -> int:
        """The length of the header, once all of it has come; else 0."""
        for version, signature in self._signatures.items():
            if seen.startswith(signature):
                return self._read_v1(seen) if version == "v1" else self._read_v2(seen)
            if signature.startswith(seen):
                return 0
        raise ProxyHeaderError("it does not begin with a PROXY header")

    def _read_v1(self, seen: bytearray) -> int:
        end = seen.find(b"\n", 0, LONGEST_V1) + 1
        if end:
            self.header = _v1(bytes(seen[:end]))
        elif len(seen) >= LONGEST_V1:
            raise ProxyHeaderError(f"the line of the PROXY header is longer than {LONGEST_V1} bytes")
        return end

    def _read_v2(self, seen: bytearray) -> int:
        if len(seen) < _FIXED:
            return 0
        command, family = seen[12], seen[13]
        length = int.from_bytes(seen[14:_FIXED], "big")
        if command not in (_LOCAL, _PROXY):
            raise ProxyHeaderError(f"the PROXY header has an unknown version or command (0x{command:02x})")
        if length > LONGEST_V2:
            raise ProxyHeaderError(f"the PROXY header is longer than {_FIXED} + {LONGEST_V2} bytes")
        end = _FIXED + length
        if len(seen) < end:
            return 0
        self.header = ProxyHeader("LOCAL") if command == _LOCAL else _v2(family, bytes(seen[_FIXED:end]))
        return end


def _v1(line: bytes) -> ProxyHeader:
    """Section 2.1."""
    found = _V1.fullmatch(line)
    if found is None:
        raise ProxyHeaderError("the line of the PROXY header is malformed")
    if found[1] is None:
        return ProxyHeader("UNKNOWN")
    protocol, *words = [word.decode("ascii") for word in found.groups()]
    parse = ipaddress.IPv4Address if protocol == "TCP4" else ipaddress.IPv6Address
    try:
        client, proxy = str(parse(words[0])), str(parse(words[1]))
    except ValueError:
        raise ProxyHeaderError("the PROXY header has a malformed address") from None
    return ProxyHeader(protocol, client, _port(words[2]), proxy, _port(words[3]))


def _port(text: str) -> int:
    if int(text) > 65535 or (text[0] == "0" and text != "0"):
        raise ProxyHeaderError("the PROXY header has a malformed port")
    return int(text)


def _v2(family: int, addresses: bytes) -> ProxyHeader:
    """Section 2.2; what follows the addresses are extensions, which are overlooked."""
    kind, transport = family >> 4, family & 15
    if kind > _UNIX or transport > 2:
        raise ProxyHeaderError(f"the PROXY header has an unknown address family (0x{family:02x})")
    if kind == 0 or transport == 0:
        return ProxyHeader("UNSPEC")
    size = _ADDRESS_BYTES[kind]
    if len(addresses) < size:
        raise ProxyHeaderError("the PROXY header is too short for its addresses")
    if kind == _UNIX:
        return ProxyHeader("UNSPEC")  # a path on another machine is nobody's address
    width = (size - 4) // 2
    client, proxy = (str(ipaddress.ip_address(addresses[at : at + width])) for at in (0, width))
    client_port, proxy_port = (int.from_bytes(addresses[at : at + 2], "big") for at in (size - 4, size - 2))
    return ProxyHeader(f"{_TRANSPORTS[transport]}{4 if kind == _INET else 6}", client, client_port, proxy, proxy_port)
