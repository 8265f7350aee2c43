"""The scope of an HTTP request (ASGI specification, HTTP & WebSocket, version 2.5)."""

from collections.abc import Iterable
from typing import Any

from unicorn_http.codec import Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.proxied import Proxied
from unicorn_http.semantics.proxy_protocol import ProxyHeader
from unicorn_http.semantics.request import ListRequest
from unicorn_http.semantics.request_line import begins_with, split_target

Scope = dict[str, Any]

SPEC_VERSION = "2.5"
_VERSIONS = {"HTTP/2": "2", "HTTP/2.0": "2", "HTTP/3": "3", "HTTP/3.0": "3"}


class RootPathError(ValueError):
    """The path of a request lies outside of the prefix that a proxy names: the two are configured differently."""


class SecureListRequest(ListRequest, eq=False):
    """One that came over TLS."""

    scheme: str = "https"


class ScopeFactory:
    """Makes scopes; what is the same for all requests of a connection is made once.

    Args:
        also_watched: see unicorn_http.semantics.fields.FieldNames.
        root_path: the setting.
        extensions: what is offered to every HTTP request.

    Attributes:
        state: what lifespan has left for the requests, each of which gets a copy; None: there is no lifespan.
    """

    def __init__(self, also_watched: Iterable[bytes], root_path: str, extensions: Iterable[str]) -> None:
        self.names: FieldNames[bytes] = FieldNames(lambda lower: lower, also_watched)
        self.state: dict[str, Any] | None = None
        self._root_path = root_path.rstrip("/")
        self._extensions = {name: dict[str, Any]() for name in extensions}

    def for_connection(self, peer: Peer, proxy: ProxyHeader | None = None) -> Scope:
        """What all requests of one connection have in common. The empty ones are set for each request."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
            "http_version": "1.1",
            "method": "",
            "scheme": "http",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": "",
            "headers": (),
            "client": (peer.client, peer.client_port) if peer.client else None,
            "server": (peer.server, peer.server_port or None),
            "extensions": self._extensions,
        }

    def http(self, request: ListRequest, common: Scope) -> Scope:
        """The scope of an HTTP request.

        Raises:
            RootPathError: the path lies outside of SCRIPT_NAME.
        """
        scope = common.copy()
        target = request.target
        if target[0] != "/":
            target = _absolute(target, request)
        raw, _, query = target.partition("?")
        scope["method"] = request.method
        scope["path"] = raw if "%" not in raw and raw.isascii() else _decoded(raw)
        scope["raw_path"] = raw.encode("latin-1")
        if query:
            scope["query_string"] = query.encode("latin-1")
        scope["extensions"] = common["extensions"].copy()
        scope["scheme"] = request.scheme
        if request.protocol != "HTTP/1.1":
            scope["http_version"] = _VERSIONS.get(request.protocol, "1.0")
        if request.proxied is not None:
            _apply(request.proxied, scope, request)
        if self._root_path or request.script_name is not None:
            self._mount(scope, request)
        scope["headers"] = request.fields
        if self.state is not None:
            scope["state"] = self.state.copy()
        return scope

    def _mount(self, scope: Scope, request: ListRequest) -> None:
        """Where the application is mounted: `path` begins with `root_path`, whoever has taken that away."""
        if request.script_name is not None:
            # As for WSGI: the proxy leaves the path whole, and says which part of it is the prefix.
            prefix = request.script_name
            if not begins_with(scope["path"], prefix):
                raise RootPathError(f"the path {scope['path']!r} does not begin with SCRIPT_NAME {prefix!r}")
            scope["root_path"] = prefix
            return
        prefix = self._root_path
        scope["root_path"] = prefix + scope["root_path"]
        if not begins_with(scope["path"], prefix):
            scope["path"] = prefix + scope["path"]
            scope["raw_path"] = prefix.encode() + scope["raw_path"]


def _decoded(raw: str) -> str:
    """Percent-encoded bytes, and those beyond ASCII, as UTF-8; what is not becomes U+FFFD."""
    from urllib.parse import unquote  # costs 2 ms of every start, and few paths need it

    if not raw.isascii():
        raw = raw.encode("latin-1").decode("utf-8", "replace")
    return unquote(raw)


def _absolute(target: str, request: ListRequest) -> str:
    """The path of an absolute-form target, whose authority replaces Host (RFC 9112 section 3.2.2)."""
    authority, path = split_target(target)
    if authority is not None and (request.proxied is None or not request.proxied.host):
        _replace_host(request, authority.encode("latin-1"))
    return path


def _apply(said: Proxied, scope: Scope, request: ListRequest) -> None:
    """What a believed proxy tells takes the place of what the connection shows."""
    if said.client:
        scope["client"] = (said.client, said.client_port)
    if said.host:
        _replace_host(request, said.host.encode("latin-1"))
    if said.server or said.port:
        server, port = scope["server"]
        scope["server"] = (said.server or server, said.port or port)
    if said.prefix:
        prefix = _decoded(said.prefix)
        scope["root_path"] = prefix
        scope["path"] = prefix + scope["path"]
        scope["raw_path"] = said.prefix.encode("latin-1") + scope["raw_path"]


def _replace_host(request: ListRequest, host: bytes) -> None:
    """A new list: requests that repeat on a connection share nothing that changes."""
    request.fields = [(b"host", host), *(field for field in request.fields if field[0] != b"host")]
