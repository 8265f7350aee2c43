"""The environ dictionary (PEP 3333, "environ Variables")."""

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TextIO
from urllib.parse import unquote_to_bytes

from unicorn_core.worker.child import SERVER_SOFTWARE
from unicorn_http.codec import Peer
from unicorn_http.semantics import grammar
from unicorn_http.semantics.fields import FieldNames, Fields
from unicorn_http.semantics.head import RequestHead
from unicorn_http.wsgi.file_wrapper import FileWrapper

Environ = dict[str, Any]


class ScriptNameError(ValueError):
    """The path of a request does not begin with SCRIPT_NAME: the proxy and the server are configured differently."""


def environ_key(name: bytes) -> str:
    """The key of a field in environ, from its lower-case name."""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


class EnvironFields(Fields[str]):
    """Fields as entries of environ, which begins as a copy of the connection's; repeated ones are joined."""

    __slots__ = ("_ordinary", "environ")

    def __init__(self, names: FieldNames[str], connection: Environ) -> None:
        self.names = names
        self._ordinary = names.ordinary
        self.watched = {}
        self.underscored = []
        self.environ = connection.copy()

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self._ordinary[name]
        if key is None:
            key = self.notice(name, value)
        environ = self.environ
        if key in environ:
            # RFC 9110 section 5.2, and RFC 6265 section 5.4 for cookies.
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + str(value, "latin-1").rstrip(" \t")
        else:
            environ[key] = str(value, "latin-1").rstrip(" \t")

    def remove(self, name: bytes) -> None:
        self.environ.pop(environ_key(name), None)


class EnvironFactory:
    """Makes environs; what is the same for all requests of a worker, or of a connection, is made once."""

    def __init__(self, errors: TextIO, also_watched: Iterable[bytes], *, multithread: bool, multiprocess: bool) -> None:
        """`also_watched`: see unicorn_http.semantics.fields.FieldNames."""
        self.names = FieldNames(environ_key, also_watched)
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

    def fields_for(self, peer: Peer) -> Callable[[], EnvironFields]:
        """Makes the fields of each request of one connection, upon what all of them have in common."""
        environ = self._common.copy()
        environ["REMOTE_ADDR"] = peer.client
        environ["SERVER_NAME"] = peer.server
        environ["SERVER_PORT"] = str(peer.server_port)
        if peer.client:
            environ["REMOTE_PORT"] = str(peer.client_port)
        return partial(EnvironFields, self.names, environ)

    def for_request(self, head: RequestHead) -> Environ:
        """The environ of one request, without wsgi.input.

        Raises:
            ScriptNameError: the path lies outside of SCRIPT_NAME.
        """
        environ: Environ = head.fields.environ
        target = head.target
        if not target.startswith(b"/"):
            target = _absolute(target, environ)
        path, _, query = target.partition(b"?")
        if b"%" in path:
            path = unquote_to_bytes(path)
        environ["REQUEST_METHOD"] = head.method
        environ["RAW_URI"] = str(head.target, "latin-1")
        environ["PATH_INFO"] = str(path, "latin-1")
        environ["QUERY_STRING"] = str(query, "latin-1")
        environ["SERVER_PROTOCOL"] = head.protocol
        environ["wsgi.url_scheme"] = head.scheme
        if not environ["SERVER_NAME"]:
            _server_from_host(environ)
        if self._script_name or head.fields.underscored:
            self._cut_script_name(environ, head.fields.underscored)
        return environ

    def _cut_script_name(self, environ: Environ, underscored: Sequence[bytes]) -> None:
        """The prefix under which the application is mounted: a believed proxy's word, or the process's environment."""
        prefix = self._script_name
        if b"script_name" in underscored:
            # Only a believed peer's field is still in environ.
            prefix = environ.get("HTTP_SCRIPT_NAME", prefix)
        environ["SCRIPT_NAME"] = prefix
        if prefix:
            path = environ["PATH_INFO"]
            if not path.startswith(prefix):
                raise ScriptNameError(f"the path {path!r} does not begin with SCRIPT_NAME {prefix!r}")
            environ["PATH_INFO"] = path[len(prefix) :]


def _absolute(target: bytes, environ: Environ) -> bytes:
    """The path of an absolute-form target, whose authority replaces Host (RFC 9112 section 3.2.2)."""
    found = grammar.ABSOLUTE_FORM.fullmatch(target)
    if found is None:
        return target
    environ["HTTP_HOST"] = str(found[1], "latin-1")
    return found[2] if found[2].startswith(b"/") else b"/" + found[2]


def _server_from_host(environ: Environ) -> None:
    """On a unix socket only the client knows under which name it came."""
    host = environ.get("HTTP_HOST", "")
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    environ["SERVER_NAME"] = name or "localhost"
    environ["SERVER_PORT"] = port or ("443" if environ["wsgi.url_scheme"] == "https" else "80")
