"""The environ dictionary (PEP 3333, "environ Variables")."""

import os
from collections.abc import Iterable
from typing import TextIO
from urllib.parse import unquote_to_bytes

from unicorn_core.worker.environment import SERVER_SOFTWARE
from unicorn_http.codec import Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.hosts import split_port
from unicorn_http.semantics.proxy_protocol import ProxyHeader
from unicorn_http.semantics.request_line import begins_with, split_target
from unicorn_http.wsgi.file_wrapper import FileWrapper
from unicorn_http.wsgi.request import RECEIVED, Environ, WsgiRequest, environ_key


class ScriptNameError(ValueError):
    """The path of a request does not begin with SCRIPT_NAME: the proxy and the server are configured differently."""


class EnvironFactory:
    """Makes environs; what is the same for all requests of a worker, or of a connection, is made once."""

    def __init__(self, errors: TextIO, also_watched: Iterable[bytes], *, multithread: bool, multiprocess: bool) -> None:
        """`also_watched`: see unicorn_http.semantics.fields.FieldNames."""
        self.names = FieldNames(environ_key, also_watched)
        self._script_name = os.environ.get("SCRIPT_NAME", "")
        # The empty ones are set for each request. They stand here so that the copy is large enough from the beginning.
        self._common: Environ = {
            "REQUEST_METHOD": "",
            "RAW_URI": "",
            "PATH_INFO": "",
            "QUERY_STRING": "",
            "SERVER_PROTOCOL": "",
            "wsgi.url_scheme": "",
            "wsgi.input": None,
            "wsgi.early_hints": None,
            "wsgi.version": (1, 0),
            "wsgi.errors": errors,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "SERVER_SOFTWARE": SERVER_SOFTWARE,
            "SCRIPT_NAME": "",
        }

    def for_connection(self, peer: Peer, proxy: ProxyHeader | None = None) -> Environ:
        """What all requests of one connection have in common; `proxy`: what a PROXY header said, if there was one."""
        environ = self._common.copy()
        environ["REMOTE_ADDR"] = peer.client
        environ["SERVER_NAME"] = peer.server
        environ["SERVER_PORT"] = str(peer.server_port)
        if peer.client:
            environ["REMOTE_PORT"] = str(peer.client_port)
        if proxy is not None:
            environ["PROXY_PROTOCOL"] = proxy.protocol
            if proxy.proxy:
                environ["PROXY_ADDR"] = proxy.proxy
                environ["PROXY_PORT"] = str(proxy.proxy_port)
        return environ

    def complete(self, request: WsgiRequest) -> Environ:
        """The environ of one request, whose fields are in it already, without wsgi.input.

        Raises:
            ScriptNameError: the path lies outside of SCRIPT_NAME.
        """
        environ = request.environ
        target = request.target
        if not target.startswith("/"):
            target = _absolute(target, environ)
        path, _, query = target.partition("?")
        if "%" in path:
            path = str(unquote_to_bytes(path.encode("latin-1")), "latin-1")
        environ["REQUEST_METHOD"] = request.method
        environ["RAW_URI"] = request.target
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = request.protocol
        environ["wsgi.url_scheme"] = request.scheme
        if not environ["SERVER_NAME"]:
            _server_from_host(environ)
        prefix = self._script_name if request.script_name is None else request.script_name
        if prefix:
            _cut_script_name(environ, prefix)
        return environ


def _cut_script_name(environ: Environ, prefix: str) -> None:
    path = environ["PATH_INFO"]
    if not begins_with(path, prefix):
        raise ScriptNameError(f"the path {path!r} does not begin with SCRIPT_NAME {prefix!r}")
    environ["SCRIPT_NAME"] += prefix  # behind what a proxy has taken away itself
    environ["PATH_INFO"] = path.removeprefix(prefix)


def _absolute(target: str, environ: Environ) -> str:
    """The path of an absolute-form target, whose authority replaces Host (RFC 9112 section 3.2.2).

    It does not replace the host that a believed proxy tells."""
    authority, path = split_target(target)
    if authority is not None and "HTTP_HOST" not in environ.get(RECEIVED, ()):
        environ["HTTP_HOST"] = authority
    return path


def _server_from_host(environ: Environ) -> None:
    """On a unix socket only the client knows under which name it came."""
    name, port = split_port(environ.get("HTTP_HOST", ""))
    environ["SERVER_NAME"] = name or "localhost"
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")
