"""What a believed proxy says about the client: X-Forwarded-* or Forwarded (setting proxy_headers).

A chain of proxies adds one hop each, at the right. Read from the right, a hop is believed as long as the one that
wrote it is: the peer itself, then each proxy that is trusted by its address. The first one that is no trusted proxy is
the client, and nothing to the left of it is looked at, for there a client may write what it likes. Where everybody is
believed ("*"), nobody's hop but the peer's own counts.

What is said is taken as a whole or refused: a value that must be read and cannot be is answered 400, never guessed at.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from unicorn_http.semantics import grammar
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.hosts import split_port
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.rfc7239 import parse_forwarded

_PREFIX = re.compile(r"(?:/[!$&'()*+;=:@\-._~0-9A-Za-z%]+)+")  # without the comma, which would join two of them
_NODE = re.compile(
    r"(?:(?P<hidden>(?i:unknown)|_[A-Za-z0-9._\-]+)|\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))"
    r"(?::(?P<port>[0-9]{1,5}|_[A-Za-z0-9._\-]+))?"
)
"""RFC 7239 section 6."""
_SETTING = "setting proxy_headers"


class Proxied(Struct, frozen=True):
    """The client's request as the outermost proxy saw it; what is empty or 0 was not said.

    Attributes:
        client: an IP address, or what stands for one that is not told: "unknown", or "_" and a name (RFC 7239
            section 6.3).
        client_port: of the client.
        scheme: http or https; the fields of a proxy always give one.
        host: value for Host, with the port if that is not the scheme's own.
        server, port: host and port of the URL; `port` also if only that was said.
        prefix: of the path, which the proxy has taken away, percent-encoded and without a slash at its end.
    """

    client: str = ""
    client_port: int = 0
    scheme: str = ""
    host: str = ""
    server: str = ""
    port: int = 0
    prefix: str = ""

    def over(self, other: "Proxied | None") -> "Proxied":
        """Both: what this one does not say is as the other, a nearer proxy, says."""
        if other is None:
            return self
        return Proxied(
            self.client or other.client,
            self.client_port if self.client else other.client_port,
            self.scheme,
            self.host or other.host,
            self.server or other.server,
            self.port or other.port,
            self.prefix or other.prefix,
        )


class ProxyFields(Protocol):
    """One way in which proxies tell."""

    @property
    def names(self) -> Sequence[bytes]:
        """The fields that are read, in lower case."""
        ...

    def read(self, watched: Mapping[bytes, bytes], host: str, scheme: str) -> Proxied | None:
        """What they say; None if there are none.

        Args:
            watched: values of fields by their lower-case names, of repeated ones joined by commas.
            host: the request's Host, checked; may be empty.
            scheme: of the request, as far as it is known without them.

        Raises:
            Refusal: they cannot be believed.
        """
        ...


class XForwarded:
    """X-Forwarded-For, -Host, -Port and -Prefix. The scheme is that of `SchemeFields`, read before."""

    names = (b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix")

    def __init__(self, trusted: TrustedPeers) -> None:
        self._trusted = trusted

    def read(self, watched: Mapping[bytes, bytes], host: str, scheme: str) -> Proxied | None:
        """See ProxyFields."""
        values = [watched.get(name) for name in self.names]
        if not any(values):
            return None
        hops, said_host, said_port, prefix = ("" if value is None else value.decode("latin-1") for value in values)
        client, client_port = self._client(hops) if hops else ("", 0)
        said, server, port = _authority(said_host, said_port, host, scheme)
        if prefix:
            prefix = prefix.rstrip("/")
            if prefix and _PREFIX.fullmatch(prefix) is None:
                raise _refusal("X-Forwarded-Prefix is no path")
        return Proxied(client, client_port, scheme, said, server, port, prefix)

    def _client(self, hops: str) -> tuple[str, int]:
        found = ("", 0)
        for hop in reversed(hops.split(",")):
            hop = hop.strip(" \t")
            # Unlike in Forwarded, an IPv6 address has brackets only if there is a port.
            found = _node(f"[{hop}]" if hop.count(":") > 1 and hop[0] != "[" else hop, "X-Forwarded-For")
            if not self._trusted.relays(found[0]):
                break
        return found


class Forwarded:
    """Forwarded (RFC 7239). The list is read as a whole: a quote that a client leaves open would swallow what a proxy
    adds, and then it is malformed."""

    names = (b"forwarded",)

    def __init__(self, trusted: TrustedPeers) -> None:
        self._trusted = trusted

    def read(self, watched: Mapping[bytes, bytes], host: str, scheme: str) -> Proxied | None:
        """See ProxyFields."""
        value = watched.get(b"forwarded")
        if value is None:
            return None
        client, client_port, hop = "", 0, {}
        for hop in reversed(parse_forwarded(value.decode("latin-1"))):
            node = hop.get("for")
            if node is None:
                break  # whoever sent it to this proxy is not told
            client, client_port = _node(node, "Forwarded")
            if not self._trusted.relays(client):
                break
        scheme = hop.get("proto", scheme).lower()
        if scheme not in ("http", "https"):
            raise _refusal("Forwarded names another protocol than http and https")
        said, server, port = _authority(hop.get("host", ""), "", host, scheme)
        return Proxied(client, client_port, scheme, said, server, port)


def _node(text: str, field: str) -> tuple[str, int]:
    """Address and port (0 without one) of a hop."""
    found = _NODE.fullmatch(text)
    if found is None:
        raise _refusal(f"{field} has something else than addresses")
    if found["hidden"]:
        return found["hidden"].lower() if found["hidden"][0] != "_" else found["hidden"], 0
    try:
        six, four = found["six"], found["four"]
        address = str(ipaddress.IPv6Address(six) if six else ipaddress.IPv4Address(four))
    except ValueError:
        raise _refusal(f"{field} has a malformed address") from None
    port = found["port"]
    return address, 0 if not port or port[0] == "_" else _port(port, field)


def _authority(said_host: str, said_port: str, host: str, scheme: str) -> tuple[str, str, int]:
    """(value for Host, server name, port) of what was said; nothing if nothing was."""
    if not (said_host or said_port):
        return "", "", 0
    name, own = split_port(said_host or host)
    if said_host and not (name and grammar.HOST.fullmatch(said_host.encode("latin-1"))):
        raise _refusal("the forwarded host is malformed, or there are two")
    port = _port(said_port, "X-Forwarded-Port") if said_port else 0
    if said_host and own and _port(own, "the forwarded host") != (port or int(own)):
        raise _refusal("the forwarded host has another port than X-Forwarded-Port")
    usual = 443 if scheme == "https" else 80
    port = port or int(own or usual)
    if not name:
        return "", "", port
    return (name if port == usual else f"{name}:{port}"), name, port


def _port(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise _refusal(f"{field} has no valid port")
    return int(text)


def _refusal(text: str) -> Refusal:
    return Refusal(400, "forwarded", text, _SETTING)
