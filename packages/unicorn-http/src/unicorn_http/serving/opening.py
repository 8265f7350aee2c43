"""What comes before HTTP on a connection: a PROXY header, a TLS handshake. Whoever polls waits for both."""

import socket
from collections.abc import Generator
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from unicorn_core.errors import SettingError
from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.observe.logs import Logger
from unicorn_core.settings.registry import Settings
from unicorn_http.codec import AllowedPeers, ConnectionFactory
from unicorn_http.semantics.forwarded import TrustedPeers
from unicorn_http.semantics.proxy_protocol import ProxyHeader, ProxyHeaderError, ProxyHeaderReader
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.serving.opened import CommonFactory, Kept, Opened
from unicorn_http.serving.poller import READ
from unicorn_http.serving.states import CLOSED, HANDSHAKING, Opening

if TYPE_CHECKING:
    from unicorn_http.serving.tls import TlsServer

PEEK = 4096
"""Bytes looked at in search of the end of a PROXY header; only those that belong to it are taken."""
ADDRESSES = 4096
"""Of so many it is remembered whether they may connect."""
_TLS_HANDSHAKE = b"\x16"
"""The first byte that a client sends: the record's type (RFC 8446 section 5.1)."""


class Opener:
    """Opens the connections of a worker.

    Args:
        proxy_protocol: v1, v2, auto; off for none.
        proxies: who may connect if there is to be a PROXY header.
        tls: makes TLS of them; None: it does not.
    """

    def __init__(
        self,
        proxy_protocol: str,
        proxies: TrustedPeers,
        tls: "TlsServer | None",
        make_codec: ConnectionFactory,
        commons: CommonFactory,
        log: Logger,
    ) -> None:
        self._proxied = proxy_protocol != "off"
        self._version = proxy_protocol
        self._proxies = proxies
        self._tls = tls
        self._make_codec = make_codec
        self._commons = commons
        self._allowed = make_codec.allowed
        self._log = log
        self._strangers = RateLimiter(log.warning)
        self._known: dict[str, bool] = {}  # whether an address may speak the protocol
        self._malformed = RateLimiter(log.warning)

    @classmethod
    def of(cls, settings: Settings, make_codec: ConnectionFactory, commons: CommonFactory, log: Logger) -> Self | None:
        """None if everybody may connect, and HTTP begins with a connection's first byte.

        Raises:
            SettingError: as `check`.
        """
        if settings.proxy_protocol == "off" and not secure(settings) and make_codec.allowed is None:
            return None
        return cls(settings.proxy_protocol, _proxies(settings), _tls(settings, log), make_codec, commons, log)

    def admits(self, client: str) -> bool:
        """The client at this address (empty on a unix socket) may connect; if not, that was logged."""
        if self._proxied and not self._proxies.trusts(client):
            self._strangers("Refused connection from %s: not in proxy_allow_ips, yet proxy_protocol is set", client)
            return False
        return self._allowed is None or self._known.get(client) or self._may_speak(client, self._allowed)

    def _may_speak(self, client: str, allowed: AllowedPeers) -> bool:
        """Whether a client may use the protocol; of one that may not is told once."""
        admitted = allowed.peers.trusts(client)
        if client not in self._known and len(self._known) < ADDRESSES:
            self._known[client] = admitted
            if not admitted:
                self._log.warning("Refused connection from %s: not in %s", client, allowed.setting)
        return admitted

    def open(self, connection: Kept, now: float) -> None:
        """Begin, and go as far as it goes without waiting; the rest is `Connection.shake_hands`."""
        if not self._proxied and self._tls is None:
            connection.take_in(now)
            return
        connection.state = HANDSHAKING
        connection.opening = self._steps(connection)
        connection.shake_hands(now)

    def _steps(self, connection: Opened) -> Opening:
        if self._proxied:
            yield from self._read_proxy_header(connection)
        if self._tls is not None and connection.state is HANDSHAKING:
            yield from self._secure(connection, self._tls)

    def _read_proxy_header(self, connection: Opened) -> Opening:
        reader = ProxyHeaderReader(self._version)
        try:
            while reader.header is None:
                data = yield from _peek(connection, PEEK)
                # Not a byte more: what follows may be for TLS, which reads the socket by itself.
                connection.socket.recv(reader.feed(data))
        except ProxyHeaderError as error:
            self._malformed("Refused connection from %s: %s", connection.peer.name, error)
            connection.state = CLOSED
        else:
            self._introduce(connection, reader.header)

    def _introduce(self, connection: Opened, header: ProxyHeader) -> None:
        peer = connection.peer
        if header.client:
            peer = replace(peer, client=header.client, client_port=header.client_port)
        elif header.protocol != "LOCAL":
            peer = replace(peer, told=False)
        connection.introduce(peer, self._make_codec, self._commons.for_connection(peer, header))

    def _secure(self, connection: Opened, server: "TlsServer") -> Opening:
        if (yield from _peek(connection, 1)) == _TLS_HANDSHAKE:
            yield from server.shake_hands(connection)
        else:
            text = "this port speaks TLS, and the request came without it: use https"
            connection.refuse(Refusal(400, "no-tls", text, "RFC 9110 section 4.2.2"))


def _peek(connection: Opened, size: int) -> Generator[int, None, bytes]:
    """Wait for bytes, and look at them without taking them; ConnectionError if none will come."""
    while True:
        try:
            data = connection.socket.recv(size, socket.MSG_PEEK)
        except BlockingIOError:
            yield READ
            continue
        if not data:
            raise ConnectionResetError("the client has closed the connection")
        return data


def secure(settings: Settings) -> bool:
    """The listeners speak TLS."""
    return bool(settings.certfile or settings.keyfile)


def check(settings: Settings) -> None:
    """SettingError: proxy_allow_ips names something else than addresses, or TLS cannot be spoken with these."""
    _proxies(settings)
    if secure(settings):
        # Here and below: a server without TLS does not import the module ssl, which takes some 10 ms.
        from unicorn_http.serving import tls

        tls.prepare(settings)
    elif settings.cert_reqs != "none":
        # Who asks for certificates does not want to speak plain HTTP because a line is missing.
        raise SettingError(
            f"setting cert_reqs ({settings.origin('cert_reqs')}): needs certfile, the server's certificate"
        )


def _proxies(settings: Settings) -> TrustedPeers:
    return TrustedPeers.parse(settings.proxy_allow_ips, "proxy_allow_ips")


def _tls(settings: Settings, log: Logger) -> "TlsServer | None":
    if not secure(settings):
        return None
    from unicorn_http.serving.tls import TlsServer

    return TlsServer(settings, log)
