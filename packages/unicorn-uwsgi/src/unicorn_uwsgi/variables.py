"""What the variables of a request mean: the head of the HTTP request that they stand for, and what the front tells
beside that.

Fields arrive as HTTP_* (RFC 3875 section 4.1.18). They are written as field lines again, so that the one reading of
heads in unicorn_http.semantics judges them, with its rules and its limits. All other variables are the front's word.
"""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

from msgspec import Struct

from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.policies import UNKNOWN
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.scan import field_too_large, too_many_fields
from unicorn_uwsgi.packet import RULE, split_block

_FIELD = re.compile(r"HTTP_[!#$%&'*+\-.^_`|~0-9A-Z]+")
"""Of the name of a field: what a token becomes in upper case."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""No dot, so that no front can set what begins with "wsgi." in environ."""
_QUERY = re.compile(r"[\x21\x22\x24-\x7e]*")
_SWAPPED = str.maketrans("_-", "-_")
_PATH = "".join(map(chr, {*range(0x21, 0x7F)} - {*b"#%?"}))
"""Characters of a path that need no encoding to stand in a request target (grammar.ORIGIN_FORM)."""

_SINGLE = (b"REQUEST_METHOD", b"CONTENT_LENGTH")
_PORTS = ("REMOTE_PORT", "SERVER_PORT")
_NOBODY = (None, "", "unix:")
"""The client's address as a front tells it that was reached by a unix socket (nginx: "unix:"), or does not tell it."""
_OF_ANOTHER_HOP = ("HTTP_CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
"""How the front's client has framed its request, which is not how the front frames it."""

_SERVED_AS = {"HTTP/0.9": "HTTP/1.0", "HTTP/2": "HTTP/1.1", "HTTP/2.0": "HTTP/1.1"} | {
    "HTTP/3": "HTTP/1.1",
    "HTTP/3.0": "HTTP/1.1",
}
"""Whose rules a request is judged by that came to the front in another version."""
_SCHEMES = ("http", "https")
_SWITCH = {"on": "https", "1": "https", "true": "https", "yes": "https"} | {
    "off": "http",
    "0": "http",
    "false": "http",
    "no": "http",
}


class Told(Struct):
    """What one block of variables says.

    Attributes:
        head: of the HTTP request that it stands for.
        variables: all but the fields and SCRIPT_NAME, for `Request.take_variables`.
        client: the address of the front's client; UNKNOWN if it is not told.
        scheme: http or https; empty: it is not said.
        script_name: the prefix of the target's path under which the application is mounted; None: it is not said.
        protocol: that the front's client speaks, if it is another than the one in `head`.
    """

    head: bytes
    variables: dict[str, str]
    client: str
    scheme: str
    script_name: str | None
    protocol: str | None


class FieldLines(dict[str, str]):
    """A variable's name -> how the line of its field begins; "" for one that is no field. A bounded cache of checked
    names.

    In a variable an underscore stands for a hyphen. A name that has a hyphen all the same goes on with an underscore:
    what the policy of names with underscores is there for is that two names look like one.
    """

    LARGEST = 4096
    LONGEST = 128

    def __missing__(self, name: str) -> str:
        if name.startswith("HTTP_") and name not in _OF_ANOTHER_HOP:
            wanted, begin = _FIELD, f"{name[5:].translate(_SWAPPED)}: "
        else:
            wanted, begin = _VARIABLE, ""
        if wanted.fullmatch(name) is None:
            raise Refusal(400, "variable-name", "the name of a variable is malformed", RULE)
        if len(self) < self.LARGEST and len(name) <= self.LONGEST:
            self[name] = begin
        return begin


def interpret(block: bytes, begins: FieldLines, limits: Limits, mounted: bool) -> Told:
    """Read a block of variables.

    Args:
        mounted: PATH_INFO begins with SCRIPT_NAME, instead of following it.

    Raises:
        Refusal: it is malformed, or something is missing or contradicts itself.
    """
    lines, told = split_block(block, begins)
    for single in _SINGLE:
        if block.count(single) > 1:
            _check_repeated(block)
    if len(told) > limits.fields:
        raise too_many_fields(limits)
    if len(block) > limits.field and any(len(name) + len(value) > limits.field for name, value in told.items()):
        raise field_too_large(limits)
    _frame(told, lines)
    script_name = told.pop("SCRIPT_NAME", "")
    target = _target(told, "" if mounted else script_name)
    protocol = told.get("SERVER_PROTOCOL") or "HTTP/1.0"
    served_as = _SERVED_AS.get(protocol)
    lines.insert(0, f"{_method(told)} {target} {served_as or protocol}")
    head = "\r\n".join(lines)
    if not head.count("\r") == head.count("\n") == len(lines) - 1:
        raise Refusal(400, "line-end", "a variable has a line end in it", RULE)
    client = told.get("REMOTE_ADDR")
    if client in _NOBODY:
        told["REMOTE_ADDR"] = client = UNKNOWN
    _check_ports(told)
    return Told(
        f"{head}\r\n\r\n".encode("latin-1"), told, client, _scheme(told), script_name or None, served_as and protocol
    )


def _method(told: dict[str, str]) -> str:
    method = told.get("REQUEST_METHOD")
    if not method:
        raise _contradiction("REQUEST_METHOD is missing")
    return method


def _check_repeated(block: bytes) -> None:
    """A front's configuration may say a thing twice, to change what it has included. The last word counts, but not for
    what decides how the request is read."""
    said = {line.partition("=")[::2] for line in split_block(block, _Assignments())[0]}
    for single in _SINGLE:
        if sum(name.encode("latin-1") == single for name, _ in said) > 1:
            raise _contradiction(f"{single.decode()} is there twice, with two values")


class _Assignments(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"{name}="


def _frame(told: dict[str, str], lines: list[str]) -> None:
    """Write the fields that are variables of their own (RFC 3875 section 4.1), the body's framing among them.

    CONTENT_LENGTH decides. Without it, a body that the front's client sends in chunks has passed through the front as
    it is; beside it, the front has taken the chunks away. An empty one says that the front keeps the body to itself.
    """
    length, received = told.pop("CONTENT_LENGTH", None), told.pop("HTTP_CONTENT_LENGTH", "")
    codings = told.pop("HTTP_TRANSFER_ENCODING", "")
    if length:
        if received and received != length:
            raise _contradiction("CONTENT_LENGTH and HTTP_CONTENT_LENGTH contradict each other")
        lines.append(f"Content-Length: {length}")
    elif length is None:
        if received:
            raise _contradiction("CONTENT_LENGTH is missing")
        if codings:
            lines.append(f"Transfer-Encoding: {codings}")
    kind = told.pop("CONTENT_TYPE", ""), told.pop("HTTP_CONTENT_TYPE", "")
    if any(kind):
        lines.append(f"Content-Type: {kind[0] or kind[1]}")


def _target(told: dict[str, str], prefix: str) -> str:
    """The request target as the front routes it: REQUEST_URI, unless the front has rewritten path or query."""
    uri = told.get("REQUEST_URI", "")
    raw, _, received = uri.partition("?")
    path, query = prefix + told.get("PATH_INFO", ""), told.get("QUERY_STRING", received)
    if not path:
        if not uri:
            raise _contradiction("REQUEST_URI and PATH_INFO are missing")
        return uri
    if query == received and path == (raw if "%" not in raw else str(unquote_to_bytes(raw), "latin-1")):
        return uri
    if query != received and _QUERY.fullmatch(query) is None:
        raise Refusal(400, "target", "QUERY_STRING is malformed", "RFC 9112 section 3.2")
    target = quote_from_bytes(path.encode("latin-1"), _PATH)
    return f"{target}?{query}" if query else target


def _scheme(told: dict[str, str]) -> str:
    """What the front says on purpose comes before what it says of its own connection."""
    if scheme := told.get("UWSGI_SCHEME"):
        scheme = scheme.lower()
    elif switch := told.get("HTTPS"):
        scheme = _SWITCH.get(switch.lower(), "?")
    else:
        scheme = told.get("REQUEST_SCHEME", "").lower()
    if scheme and scheme not in _SCHEMES:
        raise Refusal(400, "scheme", "UWSGI_SCHEME, HTTPS or REQUEST_SCHEME has a value that means nothing", RULE)
    return scheme


def _check_ports(told: dict[str, str]) -> None:
    for name in _PORTS:
        port = told.get(name)
        if port and not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
            raise _contradiction(f"{name} is no port")
        if port == "":
            del told[name]


def _contradiction(text: str) -> Refusal:
    return Refusal(400, "variables", text, RULE)
