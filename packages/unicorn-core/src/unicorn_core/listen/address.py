"""The addresses of the setting `bind`, parsed; no socket is touched here."""

from msgspec import Struct

DEFAULT_PORT = 8000


class TcpAddress(Struct, frozen=True):
    """A host (name, IPv4 or IPv6 address without brackets; empty: all IPv4 addresses) and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host or "0.0.0.0"
        return f"{host}:{self.port}"


class UnixAddress(Struct, frozen=True):
    """The path of a unix socket; one that begins with '@' lies in Linux's abstract namespace."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class InheritedAddress(Struct, frozen=True):
    """A file descriptor, already bound, that the process inherited."""

    fd: int

    def __str__(self) -> str:
        return f"fd://{self.fd}"


Address = TcpAddress | UnixAddress | InheritedAddress


def parse(text: str) -> Address:
    """Read one address: HOST, HOST:PORT, :PORT, [IPv6], [IPv6]:PORT, each also behind tcp://; unix:PATH, fd://N.

    Raises:
        ValueError: none of these; the message says what is wrong.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        # unix:///p and unix:/p name the same path.
        path = path.removeprefix("//") if path.startswith("//") else path
        if not path:
            raise ValueError("the path of the unix socket is missing")
        return UnixAddress(path)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not (number.isascii() and number.isdecimal()):
            raise ValueError("a file descriptor must be a number: fd://3")
        return InheritedAddress(int(number))
    return _tcp(text.removeprefix("tcp://"))


def _tcp(text: str) -> TcpAddress:
    if "://" in text:
        raise ValueError("known are tcp://, unix: and fd://")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets: [::1]:8000")
        return TcpAddress(host, _port(rest[1:]) if rest else DEFAULT_PORT)
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, ""
    if ":" in host:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8000")
    if not host and not colon:
        raise ValueError("it is empty")
    return TcpAddress(host, _port(port) if colon else DEFAULT_PORT)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise ValueError("a port is a number from 0 to 65535")
    return int(text)
