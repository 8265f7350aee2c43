"""The environ dictionary (PEP 3333, "environ Variables")."""

import os
from collections.abc import Mapping
from typing import Any, TextIO
from urllib.parse import unquote_to_bytes

from unicorn_core.worker.child import SERVER_SOFTWARE
from unicorn_http.codec import Peer
from unicorn_http.semantics import grammar
from unicorn_http.semantics.head import RequestHead
from unicorn_http.wsgi.file_wrapper import FileWrapper

Environ = dict[str, Any]


class ScriptNameError(ValueError):
    """The path of a request does not begin with SCRIPT_NAME: the proxy and the server are configured differently."""


class _Keys(dict[bytes, str]):
    """Lower-case field name -> key in environ; a bounded cache."""

    LARGEST = 4096

    def __missing__(self, name: bytes) -> str:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        if len(self) < self.LARGEST:
            self[name] = key
        return key


class EnvironFactory:
    """Makes environs; what is the same for all requests of a worker, or of a connection, is made once."""

    def __init__(self, errors: TextIO, *, multithread: bool, multiprocess: bool) -> None:
        self._keys = _Keys()
        self._script_name = os.environ.get("SCRIPT_NAME", "")
        self._common: Environ = {
            "wsgi.version": (1, 0),
            "wsgi.errors": errors,
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "SERVER_SOFTWARE": SERVER_SOFTWARE,
            "SCRIPT_NAME": self._script_name,
        }

    def for_connection(self, peer: Peer) -> Environ:
        """What all requests of one connection have in common."""
        environ = self._common.copy()
        environ["REMOTE_ADDR"] = peer.client
        environ["SERVER_NAME"] = peer.server
        environ["SERVER_PORT"] = str(peer.server_port)
        if peer.client:
            environ["REMOTE_PORT"] = str(peer.client_port)
        return environ

    def for_request(self, connection: Environ, head: RequestHead) -> Environ:
        """The environ of one request, without wsgi.input.

        Raises:
            ScriptNameError: the path lies outside of SCRIPT_NAME.
        """
        environ = connection.copy()
        target = head.target
        if not target.startswith(b"/"):
            target = self._absolute(target, head)
        path, _, query = target.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["REQUEST_METHOD"] = head.method
        environ["RAW_URI"] = str(head.target, "latin-1")
        environ["PATH_INFO"] = str(path, "latin-1")
        environ["QUERY_STRING"] = str(query, "latin-1")
        environ["SERVER_PROTOCOL"] = head.protocol
        environ["wsgi.url_scheme"] = head.scheme
        keys = self._keys
        table = head.table
        for name, value in table.items():
            environ[keys[name]] = str(value, "latin-1")
        if not environ["SERVER_NAME"]:
            _server_from_host(environ)
        if self._script_name or b"script_name" in table:
            self._cut_script_name(environ, table)
        return environ

    def _absolute(self, target: bytes, head: RequestHead) -> bytes:
        """The path of an absolute-form target, whose authority replaces Host (RFC 9112 section 3.2.2)."""
        found = grammar.ABSOLUTE_FORM.fullmatch(target)
        if found is None:
            return target
        head.table[b"host"] = found[1]
        return found[2] if found[2].startswith(b"/") else b"/" + found[2]

    def _cut_script_name(self, environ: Environ, table: Mapping[bytes, bytes]) -> None:
        prefix = str(table[b"script_name"], "latin-1") if b"script_name" in table else self._script_name
        environ["SCRIPT_NAME"] = prefix
        if prefix:
            path = environ["PATH_INFO"]
            if not path.startswith(prefix):
                raise ScriptNameError(f"the path {path!r} does not begin with SCRIPT_NAME {prefix!r}")
            environ["PATH_INFO"] = path[len(prefix) :]


def _server_from_host(environ: Environ) -> None:
    """On a unix socket only the client knows under which name it came."""
    host = environ.get("HTTP_HOST", "")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    environ["SERVER_NAME"] = name or "localhost"
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")
