"""Packets of the uwsgi protocol as bytes, and what must be made of them: as request_corpus does for HTTP/1.1.

`MALFORMED` are to be refused, each with its status and reason code; `VALID` are to be served.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from request_corpus import CLOSED, Malformed

Pair = tuple[bytes, bytes]

RULE = "uwsgi protocol"
TYPICAL: Mapping[str, str] = {
    "QUERY_STRING": "q=1",
    "REQUEST_METHOD": "GET",
    "CONTENT_TYPE": "",
    "CONTENT_LENGTH": "",
    "REQUEST_URI": "/a%20b?q=1",
    "PATH_INFO": "/a b",
    "DOCUMENT_ROOT": "/usr/share/nginx/html",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_SCHEME": "http",
    "REMOTE_ADDR": "192.0.2.7",
    "REMOTE_PORT": "40000",
    "SERVER_PORT": "80",
    "SERVER_NAME": "example.org",
    "HTTP_HOST": "example.org",
    "HTTP_USER_AGENT": "test",
}
"""What nginx sends with its own uwsgi_params."""


def block(pairs: Iterable[Pair]) -> bytes:
    """A block of variables."""
    return b"".join(part for pair in pairs for text in pair for part in (len(text).to_bytes(2, "little"), text))


def packet(content: bytes, modifier1: int = 0, modifier2: int = 0, size: int | None = None) -> bytes:
    """A packet; `size`: as it claims, if that is another than it has."""
    claimed = len(content) if size is None else size
    return bytes((modifier1,)) + claimed.to_bytes(2, "little") + bytes((modifier2,)) + content


def pairs_of(changes: Mapping[str, str | None]) -> list[Pair]:
    """The variables of `TYPICAL` with these changes; None takes one away."""
    table = {name: value for name, value in (TYPICAL | changes).items() if value is not None}
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in table.items()]


def request(*more: Pair, body: bytes = b"", modifier1: int = 0, **changes: str | None) -> bytes:
    """A request with the variables of `TYPICAL`, some of them changed, and with `more` behind them."""
    if body and "CONTENT_LENGTH" not in changes:
        changes = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(body))} | changes
    return packet(block([*pairs_of(changes), *more]), modifier1) + body


def get(path: str, *more: Pair, body: bytes = b"", **changes: str | None) -> bytes:
    """A request for a path without anything to decode, and perhaps a query."""
    name, _, query = path.partition("?")
    wanted = {"REQUEST_URI": path, "PATH_INFO": name, "QUERY_STRING": query}
    return request(*more, body=body, **(wanted | changes))


# Malformed

NAME = (b"NAME", b"value")


def _kinds() -> list[Malformed]:
    rows = [
        (f"modifier1 {number}", packet(block([NAME]), number), 501, "modifier")
        for number in (1, 5, 6, 7, 14, 17, 18, 23, 31, 32, 48, 98, 99, 101, 109, 111, 173, 200, 224, 250, 255)
    ]
    rows += [
        ("modifier2 1", packet(block([NAME]), 0, 1), 501, "modifier"),
        ("modifier2 255", packet(block([NAME]), 0, 255), 501, "modifier"),
        ("modifier2 of a mounted request", packet(block([NAME]), 30, 2), 501, "modifier"),
        ("a ping with a block", packet(block([NAME]), 100), 501, "modifier"),
        ("an answer to a ping", b"\x64\0\0\1", 501, "modifier"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 501, "modifier"),
        ("a PROXY header of version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 501, "modifier"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", 501, "modifier"),
        ("an answer of HTTP", b"HTTP/1.1 200 OK\r\n\r\n", 400, "no-uwsgi"),
    ]
    rows += [
        (f"HTTP, {line.partition(b' ')[0].decode()}", line + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400, "no-uwsgi")
        for line in (b"GET /", b"HEAD /", b"POST /", b"PUT /a", b"DELETE /a", b"OPTIONS *", b"PRI *")
    ]
    return [Malformed(name, data, status, reason, RULE) for name, data, status, reason in rows]


def _sizes() -> list[Malformed]:
    good = block(pairs_of({}))
    rows = [
        ("one byte instead of a size", packet(b"\x04")),
        ("a size and nothing behind it", packet(b"\x04\0")),
        ("a name that is longer than the block", packet(b"\x09\0NAME")),
        ("a name as long as a size can say", packet(b"\xff\xffNAME")),
        ("a name whose size is big-endian", packet(b"\0\x04NAME\0\x05value")),
        ("a name without a value", packet(b"\x04\0NAME")),
        ("a name and half the size of a value", packet(b"\x04\0NAME\x05")),
        ("a name and the size of a value", packet(b"\x04\0NAME\x05\0")),
        ("a value that is longer than the block", packet(b"\x04\0NAME\x06\0value")),
        ("a value as long as a size can say", packet(b"\x04\0NAME\xff\xffvalue")),
        ("a last value one byte too short", packet(good[:-1])),
        ("one byte behind the last value", packet(good + b"\0")),
        ("two bytes behind the last value", packet(good + b"\x01\0")),
        ("three bytes behind the last value", packet(good + b"\0\0\0")),
        ("a packet that claims one byte less", packet(good, size=len(good) - 1)),
    ]
    return [Malformed(name, data, 400, "block", RULE) for name, data in rows]


def _names() -> list[Malformed]:
    names = {
        "empty": b"",
        "with a NUL": b"NA\0ME",
        "with a space": b"NA ME",
        "with a colon": b"NAME:",
        "with a dot": b"NA.ME",
        "with a hyphen": b"NA-ME",
        "with a line end": b"NAME\r\nX",
        "with a digit in front": b"1NAME",
        "beyond ASCII": b"N\xc4ME",
        "of the server's environ": b"wsgi.url_scheme",
        "of the server's input": b"wsgi.input",
        "of the server's socket": b"unicorn.socket",
        "of no field": b"HTTP_",
        "of a field, in lower case": b"HTTP_accept",
        "of a field, with a space": b"HTTP_A B",
        "of a field, with a colon": b"HTTP_A:B",
        "of a field, with a line end": b"HTTP_A\r\nB",
        "of a field, with a NUL": b"HTTP_A\0",
        "of a field, beyond ASCII": b"HTTP_\xc4",
        "of a field, with an equals sign": b"HTTP_A=B",
    }
    return [
        Malformed(f"a name {what}", request((name, b"value")), 400, "variable-name", RULE)
        for what, name in names.items()
    ]


def _values() -> list[Malformed]:
    ends = {"CR": "\r", "LF": "\n", "CRLF": "\r\n"}
    rows = [
        (f"{what} in {name}", request(**{name: f"/a{end}Evil: yes"}), 400, "line-end")
        for what, end in ends.items()
        for name in ("HTTP_USER_AGENT", "HTTP_HOST", "REQUEST_METHOD", "CONTENT_TYPE", "SERVER_PROTOCOL")
    ]
    rows += [
        ("LF at the end of a field", request(HTTP_USER_AGENT="a\n"), 400, "line-end"),
        ("CRLF in a routed target", request(REQUEST_URI="/a\r\nb", PATH_INFO=None, QUERY_STRING=None), 400, "line-end"),
        ("CRLF in a length", request(CONTENT_LENGTH="5\r\nEvil: yes"), 400, "line-end"),
        ("NUL in a field", request(HTTP_USER_AGENT="a\0b"), 400, "field-line"),
        ("0x01 in a field", request(HTTP_USER_AGENT="a\x01b"), 400, "field-line"),
        ("DEL in a field", request(HTTP_USER_AGENT="a\x7fb"), 400, "field-line"),
        ("NUL in Host", request(HTTP_HOST="a\0b"), 400, "field-line"),
    ]
    return [Malformed(name, data, status, reason, RULE) for name, data, status, reason in rows]


def _variables() -> list[Malformed]:
    rows = [
        ("nothing at all", packet(b"")),
        ("no method", request(REQUEST_METHOD=None)),
        ("an empty method", request(REQUEST_METHOD="")),
        ("neither REQUEST_URI nor PATH_INFO", request(REQUEST_URI=None, PATH_INFO=None)),
        ("two methods", request((b"REQUEST_METHOD", b"POST"))),
        ("two lengths", request((b"CONTENT_LENGTH", b"6"), body=b"hello")),
        ("an empty length beside another", request((b"CONTENT_LENGTH", b""), body=b"hello")),
        ("a client's length that is not the front's", request((b"HTTP_CONTENT_LENGTH", b"6"), body=b"hello")),
        ("a client's length alone", request((b"HTTP_CONTENT_LENGTH", b"5"), CONTENT_LENGTH=None)),
        ("a client that is a name", request(REMOTE_ADDR="localhost")),
        ("a client with a port", request(REMOTE_ADDR="192.0.2.7:80")),
        ("two clients", request(REMOTE_ADDR="192.0.2.7, 192.0.2.8")),
        ("a client with something else in place of a zone", request(REMOTE_ADDR="fe80::1%a\nb")),
        ("a client with an empty zone", request(REMOTE_ADDR="fe80::1%")),
        ("a client with a line end", request(REMOTE_ADDR="192.0.2.7\r\n")),
        ("a client's port that is a word", request(REMOTE_PORT="http")),
        ("a client's port with a sign", request(REMOTE_PORT="+80")),
        ("a client's port in other digits", request(REMOTE_PORT="\xb2")),
        ("a server's port beyond all", request(SERVER_PORT="65536")),
        ("a server's port of many digits", request(SERVER_PORT="000080")),
    ]
    found = [Malformed(name, data, 400, "variables", RULE) for name, data in rows]
    schemes = [("UWSGI_SCHEME", "ftp"), ("HTTPS", "perhaps"), ("REQUEST_SCHEME", "javascript")]
    found += [Malformed(f"{name} is {value}", request(**{name: value}), 400, "scheme", RULE) for name, value in schemes]
    return found


def _heads() -> list[Malformed]:
    """What HTTP's rules refuse, whichever protocol it comes by."""
    rows = [
        ("a length with a sign", request(CONTENT_LENGTH="+5"), 400, "content-length"),
        ("a negative length", request(CONTENT_LENGTH="-1"), 400, "content-length"),
        ("a hexadecimal length", request(CONTENT_LENGTH="0x5"), 400, "content-length"),
        ("a length with an underscore", request(CONTENT_LENGTH="1_0"), 400, "content-length"),
        ("a list of lengths", request(CONTENT_LENGTH="5, 5"), 400, "content-length"),
        ("a length in other digits", request(CONTENT_LENGTH="\xb2"), 400, "content-length"),
        ("a length of many digits", request(CONTENT_LENGTH="0" * 18 + "5"), 400, "content-length"),
        ("a blank length", request(CONTENT_LENGTH=" "), 400, "content-length"),
        ("two Hosts", request((b"HTTP_HOST", b"other.example")), 400, "host"),
        ("a malformed Host", request(HTTP_HOST="a/b"), 400, "host"),
        ("no Host", request(HTTP_HOST=None), 400, "host-missing"),
        ("two expectations", request(*[(b"HTTP_EXPECT", b"100-continue")] * 2), 400, "repeated-field"),
        ("another expectation", request((b"HTTP_EXPECT", b"miracles")), 417, "expect"),
        ("a version 1.2", request(SERVER_PROTOCOL="HTTP/1.2"), 505, "version"),
        ("a version 4.0", request(SERVER_PROTOCOL="HTTP/4.0"), 505, "version"),
        ("another protocol", request(SERVER_PROTOCOL="INCLUDED"), 400, "request-line"),
        ("a protocol in lower case", request(SERVER_PROTOCOL="http/1.1"), 400, "request-line"),
        ("a method in lower case", request(REQUEST_METHOD="get"), 400, "method"),
        ("a method with a space", request(REQUEST_METHOD="GET /b"), 400, "request-line"),
        ("a method with a NUL", request(REQUEST_METHOD="GE\0T"), 400, "request-line"),
        ("CONNECT", request(REQUEST_METHOD="CONNECT"), 501, "connect"),
        ("a target with a space", request(REQUEST_URI="/a b", PATH_INFO=None), 400, "request-line"),
        ("a target with a fragment", request(REQUEST_URI="/a#b", PATH_INFO=None), 400, "target"),
        ("a target without a slash", request(REQUEST_URI="a", PATH_INFO=None), 400, "target"),
        ("a target beyond ASCII", request(REQUEST_URI="/\xe4", PATH_INFO=None), 400, "target-bytes"),
        ("a path without a slash", request(REQUEST_URI=None, PATH_INFO="a"), 400, "target"),
        ("another query with a space", request(QUERY_STRING="q=1 2"), 400, "target"),
        ("another query with a line end", request(QUERY_STRING="q=1\r\n"), 400, "target"),
        ("another query beyond ASCII", request(QUERY_STRING="q=\xe4"), 400, "target"),
        ("a target that is too long", request(REQUEST_URI="/" + "a" * 4094, PATH_INFO=None), 414, "line-too-long"),
        ("a field that is too large", request(HTTP_COOKIE="a" * 8190), 431, "field-too-large"),
        ("a variable that is too large", request(DOCUMENT_ROOT="a" * 8190), 431, "field-too-large"),
        ("a packet of one field that is too large", packet(block([(b"HTTP_A", b"a" * 9000)])), 400, "variables"),
        ("too many fields", request(*[(b"HTTP_X_%d" % n, b"") for n in range(99)]), 431, "too-many-fields"),
        ("too many variables", request(*[(b"X_%d" % n, b"") for n in range(99)]), 431, "too-many-fields"),
        (
            "another coding",
            request((b"HTTP_TRANSFER_ENCODING", b"gzip"), CONTENT_LENGTH=None),
            400,
            "te-not-chunked",
        ),
        (
            "another coding before chunked",
            request((b"HTTP_TRANSFER_ENCODING", b"gzip, chunked"), CONTENT_LENGTH=None),
            501,
            "transfer-coding",
        ),
        (
            "chunks in HTTP/1.0",
            request((b"HTTP_TRANSFER_ENCODING", b"chunked"), CONTENT_LENGTH=None, SERVER_PROTOCOL="HTTP/1.0"),
            400,
            "te-in-1.0",
        ),
    ]
    found = [Malformed(name, data, status, reason, "HTTP") for name, data, status, reason in rows]
    found += [
        Malformed(
            "a packet larger than a head may be",
            request(),
            431,
            "head-too-large",
            "HTTP",
            {"limit_request_head": "100"},
        ),
        Malformed(
            "a field whose name has a hyphen where that is refused",
            request((b"HTTP_X-A", b"b")),
            400,
            "underscore",
            "HTTP",
            {"header_map": "refuse"},
        ),
        Malformed(
            "a host that is not served",
            request(),
            421,
            "host-not-served",
            "HTTP",
            {"allowed_hosts": "other.example"},
        ),
        Malformed(
            "a body that is too large",
            request(body=b"hello"),
            413,
            "body-too-large",
            "HTTP",
            {"limit_request_body": "4"},
        ),
        Malformed(
            "two prefixes of a proxy",
            request((b"HTTP_X_FORWARDED_PREFIX", b"/b"), SCRIPT_NAME="/a", REMOTE_ADDR="127.0.0.1"),
            400,
            "script-name",
            "HTTP",
            {"proxy_headers": "x-forwarded"},
        ),
    ]
    return found


def chunked(body: bytes, **changes: str | None) -> bytes:
    """A request with a body whose chunks have passed through the front."""
    changes = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": None} | changes
    return request((b"HTTP_TRANSFER_ENCODING", b"chunked"), **changes) + body


def _bodies() -> list[Malformed]:
    rows = [
        ("a chunk size that is no number", chunked(b"x\r\n"), 400, "chunk-size"),
        ("a chunk without its end", chunked(b"1\r\nab\r\n"), 400, "chunk-end"),
        ("a chunked body that another packet follows too early", chunked(b"5\r\nhel" + request()), 400, "chunk-end"),
    ]
    found = [Malformed(name, data, status, reason, "HTTP", in_body=True) for name, data, status, reason in rows]
    good = block(pairs_of({}))
    large = "20000"  # beyond what is collected before the application is called
    found += [
        Malformed("broken off in the first bytes", request()[:3], CLOSED, "disconnected", RULE),
        Malformed("broken off behind the first bytes", request()[:4], CLOSED, "disconnected", RULE),
        Malformed("broken off in the block", request()[:-1], CLOSED, "disconnected", RULE),
        Malformed("a packet that claims one byte more", packet(good, size=len(good) + 1), CLOSED, "disconnected", RULE),
        Malformed("broken off in a small body", request(body=b"hello")[:-1], CLOSED, "disconnected", RULE),
        Malformed(
            "broken off in a large body",
            request(body=b"hello", CONTENT_LENGTH=large, REQUEST_METHOD="POST"),
            CLOSED,
            "disconnected",
            RULE,
            in_body=True,
        ),
        Malformed("broken off in a chunk", chunked(b"5\r\nhel"), CLOSED, "disconnected", RULE, in_body=True),
        Malformed(
            "broken off before the last chunk", chunked(b"5\r\nhello\r\n"), CLOSED, "disconnected", RULE, in_body=True
        ),
    ]
    return found


MALFORMED = (*_kinds(), *_sizes(), *_names(), *_values(), *_variables(), *_heads(), *_bodies())


# Valid


@dataclass(frozen=True, slots=True, repr=False)
class Valid:
    """A request that must be served.

    Attributes:
        fields: entries of environ that are the request's fields: all of them.
        environ: others that must be there.
        facts: attributes of the request.
    """

    name: str
    data: bytes
    method: str = "GET"
    target: str = "/a%20b?q=1"
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<valid: {self.name}>"


POST = {"CONTENT_LENGTH": "5"}
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
NGINX_POST = (b"HTTP_CONTENT_LENGTH", b"5"), (b"HTTP_CONTENT_TYPE", b"text/plain")
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}
PREFIXED = {"SCRIPT_NAME": "/a", "PATH_INFO": "/b", "REQUEST_URI": "/a/b?q=1"}

VALID = (
    Valid("what nginx sends", request(), environ={"DOCUMENT_ROOT": "/usr/share/nginx/html", "SERVER_PORT": "80"}),
    Valid("a body", request(body=b"hello"), "POST", body=b"hello", fields=POST),
    Valid(
        "a body as nginx sends it",
        request(*NGINX_POST, body=b"hello", CONTENT_TYPE="text/plain"),
        "POST",
        body=b"hello",
        fields={**POST, "CONTENT_TYPE": "text/plain"},
    ),
    Valid("an empty body", request(CONTENT_LENGTH="0"), fields={"CONTENT_LENGTH": "0"}),
    Valid(
        "a body whose chunks the front has taken away",
        request((b"HTTP_TRANSFER_ENCODING", b"chunked"), body=b"hello"),
        "POST",
        body=b"hello",
        fields=POST,
    ),
    Valid(
        "a body in chunks",
        chunked(b"5\r\nhello\r\n0\r\n\r\n"),
        "POST",
        body=b"hello",
        fields=CHUNKED,
        facts={"chunked": True},
    ),
    Valid(
        "a body that the front keeps to itself",
        request(*NGINX_POST, (b"HTTP_TRANSFER_ENCODING", b"chunked"), REQUEST_METHOD="POST"),
        "POST",
        fields={"CONTENT_TYPE": "text/plain"},
    ),
    Valid("no lengths at all", request(CONTENT_LENGTH=None, CONTENT_TYPE=None)),
    Valid("HEAD", request(REQUEST_METHOD="HEAD"), "HEAD"),
    Valid("no REQUEST_URI", request(REQUEST_URI=None)),
    Valid("no PATH_INFO", request(PATH_INFO=None, QUERY_STRING=None)),
    Valid("no QUERY_STRING", request(QUERY_STRING=None)),
    Valid("a path that the front has rewritten", request(PATH_INFO="/ä %?#"), target="/%E4%20%25%3F%23?q=1"),
    Valid("a query that the front has rewritten", request(QUERY_STRING="r=2"), target="/a%20b?r=2"),
    Valid("a query that the front has removed", request(QUERY_STRING=""), target="/a%20b"),
    Valid("a path with a decoded line end", request(PATH_INFO="/a\r\nb"), target="/a%0D%0Ab?q=1"),
    Valid("a path said a second time", request((b"PATH_INFO", b"/c")), target="/c?q=1"),
    Valid(
        "OPTIONS *", request(REQUEST_METHOD="OPTIONS", REQUEST_URI="*", PATH_INFO="", QUERY_STRING=""), "OPTIONS", "*"
    ),
    Valid("a prefix", request(**PREFIXED), target="/a/b?q=1", facts={"script_name": "/a"}),
    Valid(
        "a prefix that the path still has",
        request(modifier1=30, **(PREFIXED | {"PATH_INFO": "/a/b"})),
        target="/a/b?q=1",
        facts={"script_name": "/a"},
    ),
    Valid(
        "a prefix and an empty path",
        request(**(PREFIXED | {"PATH_INFO": "", "REQUEST_URI": "/a?q=1"})),
        target="/a?q=1",
    ),
    Valid("an empty prefix", request(SCRIPT_NAME=""), facts={"script_name": None}),
    Valid("HTTPS", request(HTTPS="on"), facts={"scheme": "https"}),
    Valid("HTTPS as uWSGI knows it", request(HTTPS="1"), facts={"scheme": "https"}),
    Valid("HTTPS that is off", request(HTTPS="off", REQUEST_SCHEME=None), facts={"scheme": "http"}),
    Valid("REQUEST_SCHEME", request(REQUEST_SCHEME="https"), facts={"scheme": "https"}),
    Valid("UWSGI_SCHEME above all", request(UWSGI_SCHEME="https", HTTPS="off"), facts={"scheme": "https"}),
    Valid("HTTP/1.0 without Host", request(SERVER_PROTOCOL="HTTP/1.0", HTTP_HOST=None), facts={"protocol": "HTTP/1.0"}),
    Valid("HTTP/0.9", request(SERVER_PROTOCOL="HTTP/0.9"), facts={"protocol": "HTTP/0.9"}),
    Valid("HTTP/2", request(SERVER_PROTOCOL="HTTP/2.0"), facts={"protocol": "HTTP/2.0"}),
    Valid("HTTP/3", request(SERVER_PROTOCOL="HTTP/3.0"), facts={"protocol": "HTTP/3.0"}),
    Valid("no protocol", request(SERVER_PROTOCOL=None), facts={"protocol": "HTTP/1.0"}),
    Valid(
        "an expectation that the front has met",
        request((b"HTTP_EXPECT", b"100-continue"), body=b"hello"),
        "POST",
        body=b"hello",
        fields=POST | {"HTTP_EXPECT": "100-continue"},
        facts={"expects_continue": False},
    ),
    Valid("no client", request(REMOTE_ADDR=None, REMOTE_PORT=None), environ={"REMOTE_ADDR": "unknown"}),
    Valid(
        "a client on a unix socket", request(REMOTE_ADDR="unix:", REMOTE_PORT=""), environ={"REMOTE_ADDR": "unknown"}
    ),
    Valid("a client by IPv6", request(REMOTE_ADDR="2001:db8::7"), environ={"REMOTE_ADDR": "2001:db8::7"}),
    Valid(
        "a client by IPv6 with a zone",
        request(REMOTE_ADDR="fe80::1%eth0.1"),
        environ={"REMOTE_ADDR": "fe80::1%eth0.1"},
    ),
    Valid(
        "more than one field may have",
        request(*[(b"HTTP_X_%d" % n, b"b" * 800) for n in range(15)]),
        fields={f"HTTP_X_{n}": "b" * 800 for n in range(15)},
    ),
    Valid(
        "variables of the front's own",
        request((b"REMOTE_USER", b"ada"), (b"my_param", b"a\r\n\0b")),
        environ={"REMOTE_USER": "ada", "my_param": "a\r\n\0b"},
    ),
    Valid("variables that mean something to uWSGI", request((b"UWSGI_FILE", b"/etc/passwd"), (b"UWSGI_PYHOME", b"/x"))),
    Valid("a field twice", request((b"HTTP_X_A", b"b"), (b"HTTP_X_A", b"c")), fields={"HTTP_X_A": "b,c"}),
    Valid(
        "a cookie twice",
        request((b"HTTP_COOKIE", b"a=b"), (b"HTTP_COOKIE", b"c=d")),
        fields={"HTTP_COOKIE": "a=b; c=d"},
    ),
    Valid("a field beyond ASCII", request((b"HTTP_X_A", "ä".encode())), fields={"HTTP_X_A": "Ã¤"}),
    Valid("a field with blanks around", request((b"HTTP_X_A", b" \tb\t ")), fields={"HTTP_X_A": "b"}),
    Valid("an empty field", request((b"HTTP_X_A", b"")), fields={"HTTP_X_A": ""}),
    Valid(
        "a field that is called SCRIPT_NAME",
        request((b"HTTP_SCRIPT_NAME", b"/evil"), **LOCAL),
        fields={"HTTP_SCRIPT_NAME": "/evil"},
        facts={"script_name": None},
    ),
    Valid("a field whose name has a hyphen", request((b"HTTP_X-A", b"b"))),
    Valid(
        "a field whose name has a hyphen that is let through",
        request((b"HTTP_X-A", b"b"), (b"HTTP_X_A", b"c")),
        fields={"HTTP_X_A": "c,b"},
        settings={"header_map": "dangerous"},
    ),
    Valid(
        "a scheme that a stranger claims",
        request((b"HTTP_X_FORWARDED_PROTO", b"https")),
        fields={"HTTP_X_FORWARDED_PROTO": "https"},
        facts={"scheme": "http"},
    ),
    Valid(
        "a scheme that a believed proxy tells",
        request((b"HTTP_X_FORWARDED_PROTO", b"https"), **LOCAL),
        fields={"HTTP_X_FORWARDED_PROTO": "https"},
        facts={"scheme": "https"},
    ),
    Valid(
        "a client that a believed proxy tells",
        request((b"HTTP_X_FORWARDED_FOR", b"192.0.2.9"), **LOCAL),
        fields={"HTTP_X_FORWARDED_FOR": "192.0.2.9"},
        environ={"REMOTE_ADDR": "192.0.2.9", "SERVER_NAME": "example.org"},
        settings={"proxy_headers": "x-forwarded"},
    ),
    Valid(
        "a client that a stranger tells",
        request((b"HTTP_X_FORWARDED_FOR", b"192.0.2.9")),
        fields={"HTTP_X_FORWARDED_FOR": "192.0.2.9"},
        environ={"REMOTE_ADDR": "192.0.2.7"},
        settings={"proxy_headers": "x-forwarded"},
    ),
    Valid(
        "a target beyond ASCII that is only watched",
        request(REQUEST_URI="/\xe4", PATH_INFO=None, QUERY_STRING=None),
        target="/\xe4",
        settings={"strictness": "report"},
    ),
    Valid("a method that is made upper-case", request(REQUEST_METHOD="get"), settings={"casefold_http_method": "true"}),
)
