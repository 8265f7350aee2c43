"""HTTP/1.1 requests as bytes, and what every codec, parser and worker class must make of them.

`MALFORMED` are to be refused, each with its status and reason code; `VALID` are to be served, with what is seen of
them. A case that names settings needs those instead of the defaults. The peer is a believed proxy (127.0.0.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

CLOSED = 0
"""In place of a status: the connection is closed without an answer, for nobody is left who could read it."""


@dataclass(frozen=True, slots=True, repr=False)
class Malformed:
    """Bytes that are refused as soon as the last of them has come.

    Attributes:
        status: of the answer; CLOSED for a request that the client itself breaks off after `data`.
        reason: the code of the refusal.
        rule: where it stands.
        settings: other than the defaults.
        in_body: the head is in order; a worker may have called the application before the rest came.
    """

    name: str
    data: bytes
    status: int
    reason: str
    rule: str
    settings: Mapping[str, str] = field(default_factory=dict)
    in_body: bool = False

    def __repr__(self) -> str:
        return f"<malformed: {self.name}>"


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it must be understood."""

    method: str
    target: bytes
    table: Mapping[bytes, bytes]
    body: bytes = b""
    protocol: str = "HTTP/1.1"
    keep_alive: bool = True
    chunked: bool = False
    scheme: str = "http"
    expects_continue: bool = False

    @property
    def fields(self) -> dict[str, str]:
        """The table as entries of a WSGI environ."""
        found = {}
        for name, value in self.table.items():
            key = name.decode("latin-1").upper().replace("-", "_")
            found[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value.decode("latin-1")
        return found


@dataclass(frozen=True, slots=True, repr=False)
class Valid:
    """Bytes that hold the requests `seen`, and nothing else."""

    name: str
    data: bytes
    seen: tuple[Seen, ...]
    settings: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<valid: {self.name}>"


LINE, FIELDS, FIELD, HEAD = 4094, 100, 8190, 131072
"""The limits by default, in the order limit_request_line, _fields, _field_size, _head."""
CHUNK_LINE, CHUNK_EXTENSIONS = 1024, 16384

NOTHING: Mapping[str, str] = {}
HOST = {b"host": b"a"}
GET = b"GET / HTTP/1.1"


def message(*lines: bytes, body: bytes = b"") -> bytes:
    """A head of these lines, and a body."""
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(*parts: bytes) -> bytes:
    """A request with this chunked body."""
    return message(b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", body=b"".join(parts))


# Malformed


def _request_lines() -> list[Malformed]:
    """RFC 9112 section 3; each line is followed by a Host field."""
    syntax, version = "RFC 9112 section 3", "RFC 9110 section 2.5"
    target, method = "RFC 9112 section 3.2", "RFC 9110 section 9.1"
    rows = [
        ("two spaces before the target", b"GET  / HTTP/1.1", 400, "request-line", syntax),
        ("two spaces and no target", b"GET  HTTP/1.1", 400, "request-line", syntax),
        ("two spaces before the version", b"GET /  HTTP/1.1", 400, "request-line", syntax),
        ("a space before the method", b" GET / HTTP/1.1", 400, "request-line", syntax),
        ("a tab before the method", b"\tGET / HTTP/1.1", 400, "request-line", syntax),
        ("a space after the version", b"GET / HTTP/1.1 ", 400, "request-line", syntax),
        ("a tab after the version", b"GET / HTTP/1.1\t", 400, "request-line", syntax),
        ("tabs between the words", b"GET\t/\tHTTP/1.1", 400, "request-line", syntax),
        ("a tab before the version", b"GET /\tHTTP/1.1", 400, "request-line", syntax),
        ("a tab and a space before the version", b"GET / \tHTTP/1.1", 400, "request-line", syntax),
        ("a vertical tab between the words", b"GET\x0b/ HTTP/1.1", 400, "request-line", syntax),
        ("a form feed between the words", b"GET / \x0cHTTP/1.1", 400, "request-line", syntax),
        ("a space in the target", b"GET /a b HTTP/1.1", 400, "request-line", syntax),
        ("no version", b"GET /", 400, "request-line", syntax),
        ("no version but a space", b"GET / ", 400, "request-line", syntax),
        ("no target", b"GET HTTP/1.1", 400, "request-line", syntax),
        ("a method alone", b"GET", 400, "request-line", syntax),
        ("no method", b"/ HTTP/1.1", 400, "request-line", syntax),
        ("version 1.2", b"GET / HTTP/1.2", 505, "version", version),
        ("version 1.9", b"GET / HTTP/1.9", 505, "version", version),
        ("version 0.9", b"GET / HTTP/0.9", 505, "version", version),
        ("version 2.0", b"GET / HTTP/2.0", 505, "version", version),
        ("version 3.0", b"GET / HTTP/3.0", 505, "version", version),
        ("a version without minor number", b"GET / HTTP/1", 400, "request-line", syntax),
        ("a version without dot", b"GET / HTTP/11", 400, "request-line", syntax),
        ("a version with a comma", b"GET / HTTP/1,1", 400, "request-line", syntax),
        ("a version with two minor digits", b"GET / HTTP/1.10", 400, "request-line", syntax),
        ("a version with two major digits", b"GET / HTTP/01.1", 400, "request-line", syntax),
        ("a version with a sign", b"GET / HTTP/+1.1", 400, "request-line", syntax),
        ("a version with superscript digits", b"GET / HTTP/1.\xb9", 400, "request-line", syntax),
        ("lower-case http", b"GET / http/1.1", 400, "request-line", syntax),
        ("capitalised Http", b"GET / Http/1.1", 400, "request-line", syntax),
        ("a space in the version", b"GET / HTTP/ 1.1", 400, "request-line", syntax),
        ("another protocol", b"GET / HTTPS/1.1", 400, "request-line", syntax),
        ("icecast", b"SOURCE / ICE/1.0", 400, "request-line", syntax),
        ("rtsp", b"DESCRIBE / RTSP/1.0", 400, "request-line", syntax),
        ("NUL in the method", b"GE\0T / HTTP/1.1", 400, "request-line", syntax),
        ("NUL in the target", b"GET /\0 HTTP/1.1", 400, "request-line", syntax),
        ("NUL after the version", b"GET / HTTP/1.1\0", 400, "request-line", syntax),
        ("DEL in the target", b"GET /\x7f HTTP/1.1", 400, "request-line", syntax),
        ("an escape in the target", b"GET /\x1b[2J HTTP/1.1", 400, "request-line", syntax),
        ("UTF-8 in the target", "GET /ä HTTP/1.1".encode(), 400, "target-bytes", target),
        ("latin-1 in the target", b"GET /\xe4 HTTP/1.1", 400, "target-bytes", target),
        ("latin-1 in the query", b"GET /?q=\xe4 HTTP/1.1", 400, "target-bytes", target),
        ("latin-1 in the method", b"G\xcbT / HTTP/1.1", 400, "request-line", syntax),
        ("a separator in the method", b"GE(T / HTTP/1.1", 400, "request-line", syntax),
        ("a colon after the method", b"GET: / HTTP/1.1", 400, "request-line", syntax),
        ("a lower-case method", b"get / HTTP/1.1", 400, "method", method),
        ("a method of two letters", b"GO / HTTP/1.1", 400, "method", method),
        ("a method of 21 letters", b"A" * 21 + b" / HTTP/1.1", 400, "method", method),
        ("a fragment", b"GET /a#b HTTP/1.1", 400, "target", target),
        ("a fragment after the query", b"GET /?a#b HTTP/1.1", 400, "target", target),
        ("a fragment in the absolute form", b"GET http://a/#b HTTP/1.1", 400, "target", target),
        ("an absolute form without authority", b"GET http:///a HTTP/1.1", 400, "target", target),
        ("an absolute form with user information", b"GET http://u:p@a/ HTTP/1.1", 400, "target", target),
        ("an absolute form with letters as port", b"GET http://a:b/ HTTP/1.1", 400, "target", target),
        ("an absolute form with two ports", b"GET http://a:1:2/ HTTP/1.1", 400, "target", target),
        ("an absolute form of another scheme", b"GET ftp://a/ HTTP/1.1", 400, "target", target),
        ("an absolute form with one slash", b"GET http:/a HTTP/1.1", 400, "target", target),
        ("an absolute form with a backslash", b"GET http:\\\\a\\ HTTP/1.1", 400, "target", target),
        ("a relative target", b"GET index.html HTTP/1.1", 400, "target", target),
        ("a dot as target", b"GET . HTTP/1.1", 400, "target", target),
        ("a query alone", b"GET ?a HTTP/1.1", 400, "target", target),
        ("an asterisk with GET", b"GET * HTTP/1.1", 400, "target", target),
        ("an asterisk and more", b"OPTIONS *a HTTP/1.1", 400, "target", target),
        ("an authority with GET", b"GET a:80 HTTP/1.1", 400, "target", target),
        ("CONNECT", b"CONNECT a:80 HTTP/1.1", 501, "connect", "RFC 9110 section 9.3.6"),
        ("CONNECT with a path", b"CONNECT / HTTP/1.1", 501, "connect", "RFC 9110 section 9.3.6"),
        ("CONNECT with an asterisk", b"CONNECT * HTTP/1.1", 501, "connect", "RFC 9110 section 9.3.6"),
        ("a target that is too long", b"GET /" + b"a" * LINE + b" HTTP/1.1", 414, "line-too-long", syntax),
        ("a line one byte too long", b"GET /%b HTTP/1.1" % (b"a" * (LINE - 13)), 414, "line-too-long", syntax),
        ("a method that is too long", b"A" * LINE + b" / HTTP/1.1", 414, "line-too-long", syntax),
    ]
    cases = [
        Malformed(name, message(line, b"Host: a"), status, reason, rule) for name, line, status, reason, rule in rows
    ]
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    endless = b"GET /" + b"a" * (LINE + 16)
    return [
        *cases,
        Malformed("the preface of HTTP/2", preface, 505, "version", version),
        Malformed("a request line without end", endless, 414, "line-too-long", syntax),
    ]


def _line_ends() -> list[Malformed]:
    """RFC 9112 section 2.2: CRLF ends lines; what else a lenient reader takes for an end is refused."""
    rule = "RFC 9112 section 2.2"
    lf, cr, empty = "bare-lf", "bare-cr", "empty-lines"
    rows = [
        ("LF for every line end", b"GET / HTTP/1.1\nHost: a\n\n", lf),
        ("LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", lf),
        ("LF after the first field", b"GET / HTTP/1.1\r\nHost: a\nB: b\r\n\r\n", lf),
        ("LF after the last field", b"GET / HTTP/1.1\r\nHost: a\r\nB: b\n\r\n", lf),
        ("LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", lf),
        ("LF and CRLF for the empty line", b"GET / HTTP/1.1\r\nHost: a\n\n\r\n", lf),
        ("LF in the target", b"GET /\n HTTP/1.1\r\nHost: a\r\n\r\n", lf),
        ("LF in the method", b"G\nET / HTTP/1.1\r\nHost: a\r\n\r\n", lf),
        ("LF in a field name", b"GET / HTTP/1.1\r\nHo\nst: a\r\n\r\n", lf),
        ("LF in a value", b"GET / HTTP/1.1\r\nHost: a\r\nB: b\nc\r\n\r\n", lf),
        ("LF CR after a field", b"GET / HTTP/1.1\r\nHost: a\n\rB: b\r\n\r\n", lf),
        ("CR for every line end", b"GET / HTTP/1.1\rHost: a\r\r", cr),
        ("CR after the request line", b"GET / HTTP/1.1\rHost: a\r\n\r\n", cr),
        ("CR CR LF after the request line", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", cr),
        ("CR in the target", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", cr),
        ("CR in the method", b"GE\rT / HTTP/1.1\r\nHost: a\r\n\r\n", cr),
        ("CR after the first field", b"GET / HTTP/1.1\r\nHost: a\rB: b\r\n\r\n", cr),
        ("CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nB: b\rc\r\n\r\n", cr),
        ("CR in a field name", b"GET / HTTP/1.1\r\nHo\rst: a\r\n\r\n", cr),
        ("CR at the beginning of a value", b"GET / HTTP/1.1\r\nHost: a\r\nB:\rb\r\n\r\n", cr),
        ("CR CR LF after a field", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", cr),
        ("CR CR LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", cr),
        ("CR in a long value", b"GET / HTTP/1.1\r\nHost: a\r\nB: b\r%b\r\n\r\n" % (b"c" * FIELD), cr),
        ("CR in a head that is too large", message(GET, *[b"B: " + b"b" * 8000] * 16, b"C: \r" + b"c" * 5000), cr),
        ("LF before the request line", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", lf),
        ("CR before the request line", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", cr),
        ("CRLF LF before the request line", b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", lf),
        ("CR CR LF before the request line", b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", cr),
        ("three empty lines before the request line", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", empty),
        ("empty lines without end", b"\r\n" * 5000, empty),
    ]
    return [
        *[Malformed(name, data, 400, reason, rule) for name, data, reason in rows],
        Malformed(
            "an empty line and a space before the request line",
            b"\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            400,
            "request-line",
            "RFC 9112 section 3",
        ),
    ]


def _fields() -> list[Malformed]:
    """RFC 9112 section 5."""
    rule = "RFC 9112 section 5"
    rows = [
        ("a space before the colon", b"B : b"),
        ("a tab before the colon", b"B\t: b"),
        ("a space before the colon of Content-Length", b"Content-Length : 5"),
        ("no colon", b"B"),
        ("no colon in a well-known name", b"Accept"),
        ("no colon in Host", b"Host"),
        ("no colon in Content-Length", b"Content-Length"),
        ("a colon at the end of a second name", b"B C:"),
        ("a semicolon in a name", b"B;C: b"),
        ("no colon, but blanks", b"B b"),
        ("an empty name", b": b"),
        ("a colon alone", b":"),
        ("a space in a name", b"B C: b"),
        ("a parenthesis in a name", b"B(: b"),
        ("a quote in a name", b'"B": b'),
        ("a comma in a name", b"B,C: b"),
        ("a slash in a name", b"B/C: b"),
        ("an at sign in a name", b"B@: b"),
        ("brackets in a name", b"[B]: b"),
        ("a brace in a name", b"B{: b"),
        ("a backslash in a name", b"B\\: b"),
        ("latin-1 in a name", b"B\xe4: b"),
        ("UTF-8 in a name", "Bä: b".encode()),
        ("NUL in a name", b"B\0: b"),
        ("NUL at the end of Transfer-Encoding", b"Transfer-Encoding\0: chunked"),
        ("DEL in a name", b"B\x7f: b"),
        ("NUL in a value", b"B: b\0c"),
        ("NUL as value", b"B: \0"),
        ("0x01 in a value", b"B: b\x01c"),
        ("0x08 in a value", b"B: b\x08c"),
        ("a vertical tab in a value", b"B: b\x0bc"),
        ("a form feed at the end of a value", b"B: b\x0c"),
        ("an escape in a value", b"B: \x1b[2J"),
        ("0x1f in a value", b"B: b\x1fc"),
        ("DEL in a value", b"B: b\x7f"),
    ]
    cases = [Malformed(name, message(GET, b"Host: a", line), 400, "field-line", rule) for name, line in rows]
    fold, fold_rule = "obs-fold", "RFC 9112 section 5.2"
    many, large, large_rule = "too-many-fields", "field-too-large", "RFC 6585 section 5"
    too_many = [b"Host: a", *[b"B%d: b" % i for i in range(FIELDS)]]
    for name, data, status, reason, where in [
        ("a folded value", message(GET, b"Host: a", b"B: b", b" c"), 400, fold, fold_rule),
        ("a value folded with a tab", message(GET, b"Host: a", b"B: b", b"\tc"), 400, fold, fold_rule),
        ("a folded Host", message(GET, b"Host:", b" a"), 400, fold, fold_rule),
        (
            "a folded Transfer-Encoding",
            message(GET, b"Host: a", b"Transfer-Encoding:", b" chunked"),
            400,
            fold,
            fold_rule,
        ),
        ("a blank line that is not empty", message(GET, b"Host: a", b" "), 400, fold, fold_rule),
        ("a space before the first field", message(GET, b" Host: a"), 400, fold, fold_rule),
        ("too many fields", message(GET, *too_many), 431, many, large_rule),
        ("too many fields of one name", message(GET, b"Host: a", *[b"B: b"] * FIELDS), 431, many, large_rule),
        ("fields without end", GET + b"\r\n" + b"B: b\r\n" * 5000, 431, many, large_rule),
        ("a field that is too large", message(GET, b"Host: a", b"B: " + b"b" * FIELD), 431, large, large_rule),
        ("a field one byte too large", message(GET, b"Host: a", b"B: " + b"b" * (FIELD - 2)), 431, large, large_rule),
        ("a name that is too large", message(GET, b"Host: a", b"B" * FIELD + b": b"), 431, large, large_rule),
        ("a field without end", b"GET / HTTP/1.1\r\nHost: a\r\nB: " + b"b" * FIELD, 431, large, large_rule),
        ("blanks without end", b"GET / HTTP/1.1\r\nHost: a\r\nB:" + b" " * FIELD, 431, large, large_rule),
        (
            "a head that is too large",
            message(GET, b"Host: a", *[b"B: " + b"b" * 8000] * 17),
            431,
            "head-too-large",
            large_rule,
        ),
        (
            "a field that is too large before the head is",
            message(GET, b"Host: a", *[b"B: " + b"b" * 8000] * 15, b"C: " + b"c" * 12000),
            431,
            large,
            large_rule,
        ),
        (
            "too many fields before the head is too large",
            message(GET, b"Host: a", *[b"B: " + b"b" * 1300] * 99, b"C: " + b"c" * 5000),
            431,
            many,
            large_rule,
        ),
        (
            "a large head without end",
            b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"B: " + b"b" * 8000 + b"\r\n") * 16 + b"C: " + b"c" * 3500,
            431,
            "head-too-large",
            large_rule,
        ),
    ]:
        cases.append(Malformed(name, data, status, reason, where))
    return cases


def _hosts() -> list[Malformed]:
    """RFC 9112 section 3.2 and RFC 9110 section 7.2."""
    rule = "RFC 9112 section 3.2"
    cases = [
        Malformed("no Host", message(GET, b"B: b"), 400, "host-missing", rule),
        Malformed("no field at all", message(GET), 400, "host-missing", rule),
        Malformed("no Host beside an absolute form", message(b"GET http://a/ HTTP/1.1"), 400, "host-missing", rule),
        Malformed("two Hosts", message(GET, b"Host: a", b"Host: b"), 400, "host", rule),
        Malformed("two Hosts, the first empty", message(GET, b"Host:", b"Host: b"), 400, "host", rule),
        Malformed("two Hosts, the second empty", message(GET, b"Host: a", b"Host:"), 400, "host", rule),
        Malformed("two empty Hosts", message(GET, b"Host:", b"Host: "), 400, "host", rule),
        Malformed("two equal Hosts", message(GET, b"Host: a", b"hOST: a"), 400, "host", rule),
        Malformed("two Hosts in HTTP/1.0", message(b"GET / HTTP/1.0", *[b"Host: a"] * 2), 400, "host", rule),
    ]
    for name, value in [
        ("a space in Host", b"a b"),
        ("a list in Host", b"a, b"),
        ("a path in Host", b"a/b"),
        ("a URL in Host", b"http://a"),
        ("user information in Host", b"u@a"),
        ("a query in Host", b"a?b"),
        ("a fragment in Host", b"a#b"),
        ("letters as port in Host", b"a:b"),
        ("a sign before the port in Host", b"a:+80"),
        ("a long port in Host", b"a:100000000"),
        ("two ports in Host", b"a:80:80"),
        ("an open bracket in Host", b"[::1"),
        ("a name in brackets in Host", b"[xyz]"),
        ("bytes after the brackets in Host", b"[::1]a"),
        ("a backslash in Host", b"a\\b"),
        ("a quote in Host", b'"a"'),
        ("latin-1 in Host", b"\xe4"),
    ]:
        cases.append(Malformed(name, message(GET, b"Host: " + value), 400, "host", rule))
    return cases


def _content_lengths() -> list[Malformed]:
    """RFC 9112 section 6.3: digits and nothing else, once."""
    cases = []
    for name, value in [
        ("a plus sign in Content-Length", b"+5"),
        ("a minus sign in Content-Length", b"-5"),
        ("minus zero as Content-Length", b"-0"),
        ("hexadecimal in Content-Length", b"0x5"),
        ("octal in Content-Length", b"0o5"),
        ("hexadecimal digits in Content-Length", b"a"),
        ("an underscore in Content-Length", b"0_5"),
        ("a list in Content-Length", b"5, 5"),
        ("a list without blank in Content-Length", b"5,5"),
        ("a list of different lengths", b"5,6"),
        ("a comma after Content-Length", b"5,"),
        ("a space in Content-Length", b"0 5"),
        ("a tab in Content-Length", b"0\t5"),
        ("a fraction in Content-Length", b"5.0"),
        ("an exponent in Content-Length", b"5e0"),
        ("a parameter in Content-Length", b"5;a"),
        ("a quoted Content-Length", b'"5"'),
        ("a word in Content-Length", b"five"),
        ("19 digits in Content-Length", b"0" * 18 + b"5"),
        ("a huge Content-Length", b"9" * 40),
        ("two to the 64th and five", b"18446744073709551621"),
        ("4,000 digits", b"9" * 4000),
        ("superscript digits in Content-Length", b"\xb2"),
        ("Arabic digits in Content-Length", "\u0665".encode()),
        ("full-width digits in Content-Length", "\uff15".encode()),
        ("a no-break space before Content-Length", b"\xa05"),
        ("an empty Content-Length", b""),
        ("a blank Content-Length", b" \t"),
    ]:
        data = message(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: " + value, body=b"hello")
        cases.append(Malformed(name, data, 400, "content-length", "RFC 9112 section 6.3"))
    for name, first, second in [
        ("two equal Content-Lengths", b"5", b"5"),
        ("two different Content-Lengths", b"5", b"6"),
        ("two Content-Lengths, one of them zero", b"0", b"5"),
        ("two Content-Lengths, one of them empty", b"5", b""),
    ]:
        data = message(
            b"POST / HTTP/1.1", b"Host: a", b"Content-Length: " + first, b"content-length: " + second, body=b"hello"
        )
        cases.append(Malformed(name, data, 400, "repeated-field", "RFC 9112 section 6.3"))
    return cases


def _transfer_encodings() -> list[Malformed]:
    """RFC 9112 section 6.1."""
    cases = []
    framing, unknown = ("te-not-chunked", 400), ("transfer-coding", 501)
    for name, value, (reason, status) in [
        ("gzip", b"gzip", framing),
        ("identity", b"identity", framing),
        ("gzip, chunked", b"gzip, chunked", unknown),
        ("identity, chunked", b"identity, chunked", unknown),
        ("chunked twice", b"chunked, chunked", framing),
        ("chunked twice without blank", b"chunked,chunked", framing),
        ("chunked, identity", b"chunked, identity", framing),
        ("chunked, gzip", b"chunked, gzip", framing),
        ("chunked, gzip, chunked", b"chunked, gzip, chunked", framing),
        ("xchunked", b"xchunked", framing),
        ("chunkedx", b"chunkedx", framing),
        ("chunk", b"chunk", framing),
        ("two words", b"chunked chunked", framing),
        ("a comma after chunked", b"chunked,", framing),
        ("a comma before chunked", b",chunked", framing),
        ("a comma alone", b",", framing),
        ("chunked in quotes", b'"chunked"', framing),
        ("chunked in single quotes", b"'chunked'", framing),
        ("chunked with a parameter", b"chunked;a=b", framing),
        ("chunked with a semicolon", b"chunked;", framing),
        ("chunked with a no-break space after it", b"chunked\xa0", framing),
        ("chunked with a no-break space before it", b"\xa0chunked", framing),
        ("chunked with a UTF-8 no-break space", "chunked\u00a0".encode(), framing),
        ("chunked with a next-line character", b"chunked\x85", framing),
        ("chunked with the Kelvin sign", "chun\u212aed".encode(), framing),
        ("an empty Transfer-Encoding", b"", framing),
    ]:
        data = message(b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: " + value, body=b"5\r\nhello\r\n0\r\n\r\n")
        cases.append(Malformed(f"Transfer-Encoding: {name}", data, status, reason, "RFC 9112 section 6.1"))
    field_line = "field-line"
    for name, lines, reason in [
        ("with Content-Length", (b"Transfer-Encoding: chunked", b"Content-Length: 5"), "te-and-cl"),
        ("after Content-Length", (b"Content-Length: 5", b"Transfer-Encoding: chunked"), "te-and-cl"),
        ("with a Content-Length of zero", (b"Transfer-Encoding: chunked", b"Content-Length: 0"), "te-and-cl"),
        ("malformed, with Content-Length", (b"Transfer-Encoding: xchunked", b"Content-Length: 5"), "te-and-cl"),
        ("twice", (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), "repeated-field"),
        ("gzip, then chunked", (b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), "repeated-field"),
        ("chunked, then identity", (b"Transfer-Encoding: chunked", b"transfer-encoding: identity"), "repeated-field"),
        ("with a vertical tab before chunked", (b"Transfer-Encoding: \x0bchunked",), field_line),
        ("with a form feed after chunked", (b"Transfer-Encoding: chunked\x0c",), field_line),
        ("with a space before the colon", (b"Transfer-Encoding : chunked",), field_line),
    ]:
        data = message(b"POST / HTTP/1.1", b"Host: a", *lines, body=b"5\r\nhello\r\n0\r\n\r\n")
        cases.append(Malformed(f"Transfer-Encoding {name}", data, 400, reason, "RFC 9112 section 6.1"))
    old = message(b"POST / HTTP/1.0", b"Host: a", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    return [*cases, Malformed("Transfer-Encoding in HTTP/1.0", old, 400, "te-in-1.0", "RFC 9112 section 6.1")]


def _chunks() -> list[Malformed]:
    """RFC 9112 section 7.1."""
    size, line_end, data_end = "chunk-size", "chunk-line-end", "chunk-end"
    rule, extension_rule = "RFC 9112 section 7.1", "RFC 9112 section 7.1.1"
    rest = b"\r\nhello\r\n0\r\n\r\n"
    rows: list[tuple[str, bytes, str, str]] = []
    for name, text in [
        ("a plus sign", b"+5"),
        ("a minus sign", b"-5"),
        ("0x", b"0x5"),
        ("an underscore", b"0_5"),
        ("a suffix", b"5h"),
        ("17 digits", b"0" * 16 + b"5"),
        ("16 digits", b"f" * 16),
        ("a blank before it", b" 5"),
        ("a blank after it", b"5 "),
        ("a tab after it", b"5\t"),
        ("a blank within", b"0 5"),
        ("a comma", b"5,5"),
        ("a letter beyond f", b"g"),
        ("superscript digits", b"\xb2"),
        ("full-width digits", "\uff15".encode()),
        ("quotes", b'"5"'),
        ("nothing", b""),
        ("NUL after it", b"5\0"),
        ("a vertical tab after it", b"5\x0b"),
    ]:
        rows.append((f"a chunk size with {name}", text + rest, size, rule))
    for name, text in [
        ("without name", b"5;"),
        ("without name but with a value", b"5;=a"),
        ("without value", b"5;a="),
        ("with a blank at the end", b"5;a "),
        ("with an open quote", b'5;a="b'),
        ("with bytes after the quotes", b'5;a="b"c'),
        ("with NUL", b"5;a\0"),
        ("with NUL in quotes", b'5;a="\0"'),
        ("with an escape", b"5;a\x1b"),
        ("with DEL in quotes", b'5;a="\x7f"'),
        ("with a separator in the name", b"5;a(b"),
        ("with latin-1 in the name", b"5;\xe4"),
        ("with a carriage return", b"5;a\rb"),
        ("with a carriage return in quotes", b'5;a="\r"'),
        ("with a carriage return at the end", b"5;a\r"),
    ]:
        rows.append((f"a chunk extension {name}", text + rest, size, extension_rule))
    for name, text in [
        ("with a blank before the semicolon", b"5 ;a"),
        ("with a blank after the semicolon", b"5; a"),
        ("with a blank before the equals sign", b"5;a =b"),
        ("with a tab before the value", b"5;a=\tb"),
    ]:
        rows.append((f"a chunk extension {name}", text + rest, "chunk-blanks", extension_rule))
    long = b"5;" + b"a" * CHUNK_LINE
    many = (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * (CHUNK_EXTENSIONS // 1000 + 1)
    rows += [
        ("a chunk extension with LF", b"5;a\n" + rest, line_end, extension_rule),
        ("a chunk extension with LF in quotes", b'5;a="\n"' + rest, line_end, extension_rule),
        ("a chunk extension with LF and more on the line", b"5;a\nbb\r\nhello\r\n0\r\n\r\n", line_end, extension_rule),
        ("a chunk extension that is too long", long + rest, "chunk-line-too-long", extension_rule),
        ("a chunk extension that is too long, with LF", long + b"\nhello\r\n", "chunk-line-too-long", extension_rule),
        ("a chunk extension without end", long, "chunk-line-too-long", extension_rule),
        ("too many chunk extensions", many, "chunk-extensions", extension_rule),
        ("zeros without end as chunk size", b"0" * (CHUNK_LINE + 1), "chunk-line-too-long", rule),
        ("LF after a chunk size", b"5\nhello\r\n0\r\n\r\n", line_end, rule),
        ("CR after a chunk size", b"5\rhello\r\n0\r\n\r\n", size, rule),
        ("LF for every line end of chunks", b"5\nhello\n0\n\n", line_end, rule),
        ("LF after the last chunk", b"5\r\nhello\r\n0\n\r\n", line_end, rule),
        ("LF for the last empty line", b"5\r\nhello\r\n0\r\n\n", line_end, rule),
        ("nothing after chunk data", b"5\r\nhello0\r\n\r\n", data_end, rule),
        ("chunk data longer than its size", b"5\r\nhelloo\r\n0\r\n\r\n", data_end, rule),
        ("chunk data shorter than its size", b"5\r\nhell\r\n0\r\n\r\n", data_end, rule),
        ("an empty line before the first chunk", b"\r\n5\r\nhello\r\n0\r\n\r\n", size, rule),
        ("a second malformed chunk", b"5\r\nhello\r\nx\r\nhello\r\n0\r\n\r\n", size, rule),
    ]
    interesting = b"\r\n\0 \t0;x"
    for first, second in product(interesting, repeat=2):
        pair = bytes((first, second))
        if pair != b"\r\n":
            rows.append((f"{pair!r} after chunk data", b"5\r\nhello" + pair + b"0\r\n\r\n", data_end, rule))
    cases = [Malformed(name, chunked(body), 400, reason, where, in_body=True) for name, body, reason, where in rows]
    syntax, merging = "RFC 9112 section 7.1.2", "RFC 9110 section 6.5.1"
    end = b"5\r\nhello\r\n0\r\n"
    for name, lines, status, reason, where in [
        ("without colon", b"B\r\n\r\n", 400, "trailer-line", syntax),
        ("with a space before the colon", b"B : b\r\n\r\n", 400, "trailer-line", syntax),
        ("with an empty name", b": b\r\n\r\n", 400, "trailer-line", syntax),
        ("that is folded", b"B: b\r\n c\r\n\r\n", 400, "trailer-line", syntax),
        ("that begins with a space", b" B: b\r\n\r\n", 400, "trailer-line", syntax),
        ("with NUL", b"B: \0\r\n\r\n", 400, "trailer-line", syntax),
        ("with DEL", b"B: \x7f\r\n\r\n", 400, "trailer-line", syntax),
        ("with a carriage return", b"B: b\rc\r\n\r\n", 400, "trailer-line", syntax),
        ("with CR CR LF", b"B: b\r\r\n\r\n", 400, "trailer-line", syntax),
        ("with LF", b"B: b\n\r\n", 400, "chunk-line-end", syntax),
        ("with latin-1 in its name", b"\xe4: b\r\n\r\n", 400, "trailer-line", syntax),
        ("that is the next request", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 400, "trailer-line", syntax),
        ("Content-Length", b"Content-Length: 5\r\n\r\n", 400, "trailer-forbidden", merging),
        ("Transfer-Encoding", b"transfer-encoding: chunked\r\n\r\n", 400, "trailer-forbidden", merging),
        ("Host", b"Host: b\r\n\r\n", 400, "trailer-forbidden", merging),
        ("Authorization", b"Authorization: Basic eDp5\r\n\r\n", 400, "trailer-forbidden", merging),
        ("Cookie", b"Cookie: a=b\r\n\r\n", 400, "trailer-forbidden", merging),
        ("Content-Type", b"CONTENT-TYPE: text/plain\r\n\r\n", 400, "trailer-forbidden", merging),
        ("X-Forwarded-For", b"X-Forwarded-For: 10.0.0.1\r\n\r\n", 400, "trailer-forbidden", merging),
        ("beyond the limit", b"B: b\r\n" * (FIELDS + 1) + b"\r\n", 431, "too-many-trailers", "RFC 6585 section 5"),
        ("that is too large", b"B: " + b"b" * FIELD + b"\r\n\r\n", 431, "trailer-too-large", "RFC 6585 section 5"),
        (
            "that is too large, with LF",
            b"B: " + b"b" * FIELD + b"\n\r\n",
            431,
            "trailer-too-large",
            "RFC 6585 section 5",
        ),
        (
            "beyond the limit that is too large",
            b"B: b\r\n" * FIELDS + b"C: " + b"c" * FIELD + b"\r\n\r\n",
            431,
            "too-many-trailers",
            "RFC 6585 section 5",
        ),
        ("without end", b"B: " + b"b" * FIELD, 431, "trailer-too-large", "RFC 6585 section 5"),
    ]:
        cases.append(Malformed(f"a trailer field {name}", chunked(end + lines), status, reason, where, in_body=True))
    return cases


def _meanings() -> list[Malformed]:
    """What is well-formed and still not served."""
    expect, single = "RFC 9110 section 10.1.1", "RFC 9110 section 5.3"
    scheme, underscore = "setting secure_scheme_headers", "setting header_map"
    refuse = {"header_map": "refuse"}
    rows: list[tuple[str, tuple[bytes, ...], int, str, str, Mapping[str, str]]] = [
        ("an unknown expectation", (b"Expect: 200-ok",), 417, "expect", expect, NOTHING),
        ("100-continue and more", (b"Expect: 100-continue, b",), 417, "expect", expect, NOTHING),
        ("100-continue with a parameter", (b"Expect: 100-continue;a",), 417, "expect", expect, NOTHING),
        ("an empty expectation", (b"Expect:",), 417, "expect", expect, NOTHING),
        (
            "two expectations",
            (b"Expect: 100-continue", b"Expect: 100-continue"),
            400,
            "repeated-field",
            single,
            NOTHING,
        ),
        ("two content types", (b"Content-Type: a/b", b"Content-Type: a/c"), 400, "repeated-field", single, NOTHING),
        ("https and not SSL", (b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"), 400, "scheme", scheme, NOTHING),
        ("http and SSL", (b"X-Forwarded-Proto: http", b"X-Forwarded-Ssl: on"), 400, "scheme", scheme, NOTHING),
        ("three schemes", (b"X-Forwarded-Protocol: ssl", b"X-Forwarded-Proto: b"), 400, "scheme", scheme, NOTHING),
        ("an underscore", (b"X_Forwarded_For: 10.0.0.1",), 400, "underscore", underscore, refuse),
        ("an underscore in Content_Length", (b"Content_Length: 5",), 400, "underscore", underscore, refuse),
        ("an underscore in Transfer_Encoding", (b"Transfer_Encoding: chunked",), 400, "underscore", underscore, refuse),
        ("a name of one underscore", (b"_: b",), 400, "underscore", underscore, refuse),
        ("an underscore beside the hyphen", (b"B-C: b", b"B_C: c"), 400, "underscore", underscore, refuse),
    ]
    return [
        Malformed(name, message(GET, b"Host: a", *lines), status, reason, rule, settings)
        for name, lines, status, reason, rule, settings in rows
    ]


TOLERANT: Mapping[str, str] = {"permit_obsolete_folding": "true", "strip_header_spaces": "true"}
OLD: Mapping[str, str] = {"permit_unconventional_http_version": "true", "casefold_http_method": "true"}
HOSTS: Mapping[str, str] = {"allowed_hosts": "a,test,a.example,*.b.example,[::1]"}
BODY: Mapping[str, str] = {"limit_request_body": "10"}
X_FORWARDED: Mapping[str, str] = {"proxy_headers": "x-forwarded"}
FORWARDED: Mapping[str, str] = {"proxy_headers": "forwarded"}
REPORT: Mapping[str, str] = {"strictness": "report", "header_map": "refuse"}


def _tolerated() -> list[Malformed]:
    """What is refused also where a setting permits something like it: nothing that frames or routes is repaired."""
    fold, field_line, line_end = "obs-fold", "field-line", "bare-lf"
    rule, fold_rule, large = "RFC 9112 section 5.1", "RFC 9112 section 5.2", "RFC 6585 section 5"
    framing = [b"Content-Length", b"Transfer-Encoding", b"Host", b"Content-Type", b"Expect", b"Connection"]
    framing += [b"Forwarded", b"X-Forwarded-Proto", b"x-forwarded-anything", b"TE", b"Trailer", b"Upgrade"]
    rows: list[tuple[str, tuple[bytes, ...], int, str, str]] = [
        *[(f"folding in {name.decode()}", (name + b":", b" 5"), 400, fold, fold_rule) for name in framing],
        *[(f"a space behind {name.decode()}", (name + b" : 5",), 400, field_line, rule) for name in framing],
        ("folding into a line of blanks", (b"B: b", b" \t"), 400, fold, fold_rule),
        ("folding with NUL", (b"B: b", b" \0"), 400, field_line, fold_rule),
        ("folding with CR", (b"B: b", b" c\rd"), 400, "bare-cr", fold_rule),
        ("folding with LF", (b"B: b", b" c\nd"), 400, line_end, fold_rule),
        ("folding after a field of framing", (b"Content-Length: 0", b" 5"), 400, fold, fold_rule),
        ("folding of a name without colon", (b"B", b" : b"), 400, field_line, rule),
        ("folding that is too large", (b"B: b", *[b" " + b"c" * 4000] * 3), 431, "field-too-large", large),
        ("a blank without colon", (b"B b",), 400, field_line, rule),
        ("a vertical tab before the colon", (b"B\x0b: b",), 400, field_line, rule),
    ]
    lines = [
        Malformed(
            f"{name}, although permitted",
            message(GET, b"Accept: a", *fields, b"Host: a"),
            status,
            reason,
            rule,
            TOLERANT,
        )
        for name, fields, status, reason, rule in rows
    ]
    first = message(GET, b" B: b", b"Host: a")
    return [
        *lines,
        Malformed("folding of the request line, although permitted", first, 400, fold, fold_rule, TOLERANT),
        *[
            Malformed(
                f"version {version.decode()}, although others are permitted",
                message(b"GET / HTTP/" + version, b"Host: a"),
                *(505, "version", "RFC 9110 section 2.5", OLD),
            )
            for version in (b"0.9", b"2.0", b"3.0")
        ],
        Malformed(
            "connect in lower case",
            message(b"connect a:80 HTTP/1.1", b"Host: a"),
            501,
            "connect",
            "RFC 9110 9.3.6",
            OLD,
        ),
        Malformed(
            "a short method in lower case",
            message(b"go / HTTP/1.1", b"Host: a"),
            400,
            "method",
            "RFC 9110 section 9.1",
            OLD,
        ),
    ]


def _limited() -> list[Malformed]:
    """Bodies and hosts beyond what settings allow."""
    large, rule = "body-too-large", "RFC 9110 section 15.5.14"
    other, hosts = "host-not-served", "RFC 9110 section 15.5.20"
    post = b"POST / HTTP/1.1"
    cases = [
        Malformed(
            "a Content-Length beyond the limit",
            message(post, b"Host: a", b"Content-Length: 11", body=b"hello, worl"),
            *(413, large, rule, BODY),
        ),
        Malformed(
            "a Content-Length far beyond the limit that expects to be asked",
            message(post, b"Host: a", b"Content-Length: 999999999999", b"Expect: 100-continue"),
            *(413, large, rule, BODY),
        ),
    ]
    for name, body in [
        ("a chunk beyond the limit", b"b\r\n"),
        ("a second chunk beyond the limit", b"5\r\nhello\r\n6\r\n, worl\r\n"),
        ("a chunk of huge size", b"5\r\nhello\r\nfffffffffffffff\r\n"),
        ("an eleventh chunk of one byte", b"1\r\nx\r\n" * 11),
    ]:
        cases.append(Malformed(name, chunked(body), 413, large, rule, BODY, in_body=True))
    for host in (b"b.example", b"a.example.org", b"xa.example", b"a.example:x.b.example", b"", b"[::2]", b"127.0.0.2"):
        status, reason = (400, "host") if b":x" in host else (421, other)
        name = f"the host {host.decode() or 'of no name'} that is not served"
        cases.append(Malformed(name, message(GET, b"Host: " + host), status, reason, hosts, HOSTS))
    absolute = message(b"GET http://c.example/ HTTP/1.1", b"Host: a.example")
    other_host = message(b"GET http://a.example/ HTTP/1.1", b"Host: c.example")
    return [
        *cases,
        Malformed("an absolute form of a host that is not served", absolute, 421, other, hosts, HOSTS),
        Malformed("an absolute form beside a Host that is not served", other_host, 421, other, hosts, HOSTS),
        Malformed("no Host where only some are served", message(b"GET / HTTP/1.0"), 421, other, hosts, HOSTS),
        Malformed("two Hosts that are served", message(GET, *[b"Host: a.example"] * 2), 400, "host", hosts, HOSTS),
    ]


def _proxied() -> list[Malformed]:
    """A believed proxy that does not make itself clear."""
    rule = "setting proxy_headers"
    rows: list[tuple[str, Mapping[str, str], tuple[bytes, ...]]] = [
        ("a name in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: localhost",)),
        ("an empty hop in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: 192.0.2.1,",)),
        ("a script in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: 192.0.2.1, <b>",)),
        ("a malformed address in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: 192.0.2.256",)),
        ("an octal address in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: 192.0.2.010",)),
        ("a zone in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: fe80::1%eth0",)),
        ("a port beyond all in X-Forwarded-For", X_FORWARDED, (b"X-Forwarded-For: 192.0.2.1:65536",)),
        ("two hosts in X-Forwarded-Host", X_FORWARDED, (b"X-Forwarded-Host: b, c",)),
        ("two X-Forwarded-Host", X_FORWARDED, (b"X-Forwarded-Host: b", b"X-Forwarded-Host: c")),
        ("a URL in X-Forwarded-Host", X_FORWARDED, (b"X-Forwarded-Host: http://b",)),
        ("a port alone in X-Forwarded-Host", X_FORWARDED, (b"X-Forwarded-Host: :80",)),
        ("a sign in X-Forwarded-Port", X_FORWARDED, (b"X-Forwarded-Port: +80",)),
        ("two X-Forwarded-Port", X_FORWARDED, (b"X-Forwarded-Port: 80", b"X-Forwarded-Port: 80")),
        ("a port beyond all in X-Forwarded-Port", X_FORWARDED, (b"X-Forwarded-Port: 99999",)),
        ("two forwarded ports", X_FORWARDED, (b"X-Forwarded-Host: b:80", b"X-Forwarded-Port: 81")),
        ("a host as X-Forwarded-Prefix", X_FORWARDED, (b"X-Forwarded-Prefix: //b.example/",)),
        ("a relative X-Forwarded-Prefix", X_FORWARDED, (b"X-Forwarded-Prefix: a",)),
        ("a query in X-Forwarded-Prefix", X_FORWARDED, (b"X-Forwarded-Prefix: /a?b",)),
        ("two X-Forwarded-Prefix", X_FORWARDED, (b"X-Forwarded-Prefix: /a", b"X-Forwarded-Prefix: /b c")),
        ("an empty Forwarded", FORWARDED, (b"Forwarded:",)),
        ("Forwarded with an empty element", FORWARDED, (b"Forwarded: for=192.0.2.1,,for=192.0.2.2",)),
        ("Forwarded without value", FORWARDED, (b"Forwarded: for",)),
        ("Forwarded with blanks around the equals sign", FORWARDED, (b"Forwarded: for = 192.0.2.1",)),
        ("Forwarded with an open quote", FORWARDED, (b'Forwarded: for="192.0.2.9', b"Forwarded: for=192.0.2.1")),
        ("Forwarded with a quote that ends in the next", FORWARDED, (b'Forwarded: a="', b'Forwarded: for="[::1]"')),
        ("Forwarded with an unquoted IPv6 address", FORWARDED, (b"Forwarded: for=[2001:db8::1]",)),
        ("Forwarded with an IPv6 address without brackets", FORWARDED, (b'Forwarded: for="2001:db8::1"',)),
        ("Forwarded with a name", FORWARDED, (b"Forwarded: for=localhost",)),
        ("Forwarded with for twice", FORWARDED, (b"Forwarded: for=192.0.2.1;FOR=192.0.2.2",)),
        ("Forwarded with another protocol", FORWARDED, (b"Forwarded: for=192.0.2.1;proto=ftp",)),
        ("Forwarded with a malformed host", FORWARDED, (b'Forwarded: for=192.0.2.1;host="a/b"',)),
        ("Forwarded with latin-1", FORWARDED, (b'Forwarded: for="\xe4"',)),
    ]
    cases = [
        Malformed(name, message(GET, b"Host: a", *lines), 400, "forwarded", rule, settings)
        for name, settings, lines in rows
    ]
    both = message(GET, b"Host: a", b"SCRIPT_NAME: /a", b"X-Forwarded-Prefix: /b")
    return [*cases, Malformed("two prefixes", both, 400, "script-name", rule, X_FORWARDED)]


def _reported() -> list[Malformed]:
    """What is refused also where rules are only reported."""
    syntax = "RFC 9112 section 3"
    return [
        Malformed(f"{name}, although reported", data, 400, reason, rule, REPORT)
        for name, data, reason, rule in [
            ("UTF-8 in the method", message("GÄT / HTTP/1.1".encode(), b"Host: a"), "request-line", syntax),
            (
                "UTF-8 in an absolute form",
                message("GET http://a/ä HTTP/1.1".encode(), b"Host: a"),
                "request-line",
                syntax,
            ),
            ("a fragment", message(b"GET /#a HTTP/1.1", b"Host: a"), "target", syntax),
            ("LF", b"GET / HTTP/1.1\nHost: a\n\n", "bare-lf", "RFC 9112 section 2.2"),
            ("65 empty lines", b"\r\n" * 65 + message(GET, b"Host: a"), "empty-lines", "RFC 9112 section 2.2"),
            ("two Hosts", message(GET, b"Host: a", b"Host: a"), "host", "RFC 9112 section 3.2"),
            ("folding", message(GET, b"Host: a", b"B: b", b" c"), "obs-fold", "RFC 9112 section 5.2"),
            (
                "two framings",
                message(GET, b"Host: a", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
                "te-and-cl",
                "RFC 9112 section 6.1",
            ),
        ]
    ]


def _broken_off() -> list[Malformed]:
    """The client closes its side in the middle: RFC 9112 section 8."""
    rows = [
        ("in the method", b"GE", False),
        ("in the request line", b"GET / HTT", False),
        ("after the request line", b"GET / HTTP/1.1\r\n", False),
        ("in a field", b"GET / HTTP/1.1\r\nHost: a", False),
        ("after a field", b"GET / HTTP/1.1\r\nHost: a\r\n", False),
        ("in the last line end", b"GET / HTTP/1.1\r\nHost: a\r\n\r", False),
        ("within TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", False),
        ("before a counted body", message(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 5"), False),
        ("in a counted body", message(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 5", body=b"hell"), False),
        (
            "in a large counted body",
            message(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 16385", body=b"hell" * 4096),
            True,
        ),
        ("before the first chunk", chunked(), True),
        ("in a chunk size", chunked(b"5"), True),
        ("in a chunk", chunked(b"5\r\nhel"), True),
        ("after a chunk", chunked(b"5\r\nhello\r\n"), True),
        ("after the last chunk", chunked(b"5\r\nhello\r\n0\r\n"), True),
        ("in the trailer", chunked(b"5\r\nhello\r\n0\r\nB: b\r\n"), True),
        ("in the last line end of chunks", chunked(b"5\r\nhello\r\n0\r\n\r"), True),
    ]
    return [
        Malformed(f"broken off {name}", data, CLOSED, "disconnected", "RFC 9112 section 8", in_body=in_body)
        for name, data, in_body in rows
    ]


MALFORMED: tuple[Malformed, ...] = tuple(
    _request_lines()
    + _line_ends()
    + _fields()
    + _hosts()
    + _content_lengths()
    + _transfer_encodings()
    + _chunks()
    + _meanings()
    + _tolerated()
    + _limited()
    + _proxied()
    + _reported()
    + _broken_off()
)


# Valid


def _one(name: str, *lines: bytes, table: Mapping[bytes, bytes] = HOST, **seen: object) -> Valid:
    """A request without a body, of these lines."""
    method, target, protocol = lines[0].split(b" ")
    settings = seen.pop("settings", NOTHING)
    one = Seen(method.decode(), target, table, protocol=protocol.decode(), **seen)  # type: ignore[arg-type]
    return Valid(name, message(*lines), (one,), settings)  # type: ignore[arg-type]


def _field(name: str, line: bytes, value: bytes, **seen: object) -> Valid:
    """A GET with one field beside Host."""
    return _one(name, GET, b"Host: a", line, table=HOST | {line.partition(b":")[0].lower(): value}, **seen)


def _heads() -> list[Valid]:
    longest = b"GET /%b HTTP/1.1" % (b"a" * (LINE - 14))
    most = {b"b%d" % i: b"b" for i in range(FIELDS - 1)}
    closing = {b"connection": b"close"}
    return [
        _one("the least", GET, b"Host: a"),
        _one("HTTP/1.0", b"GET / HTTP/1.0", table={}, keep_alive=False),
        _one(
            "HTTP/1.0 with keep-alive",
            b"GET / HTTP/1.0",
            b"Connection: Keep-Alive",
            table={b"connection": b"Keep-Alive"},
        ),
        _one(
            "HTTP/1.0 that closes and keeps alive",
            b"GET / HTTP/1.0",
            b"Connection: keep-alive, close",
            table={b"connection": b"keep-alive, close"},
            keep_alive=False,
        ),
        _one(
            "HTTP/1.0 with an expectation", b"GET / HTTP/1.0", b"Expect: b", table={b"expect": b"b"}, keep_alive=False
        ),
        _one("close", GET, b"Host: a", b"Connection: close", table=HOST | closing, keep_alive=False),
        _field("CLOSE among others", b"Connection: te,\tCLOSE", b"te,\tCLOSE", keep_alive=False),
        _field("an upgrade that is not taken", b"Connection: upgrade", b"upgrade"),
        _one(
            "a target of every character", b"GET /" + bytes(set(range(0x21, 0x7F)) - {0x23}) + b" HTTP/1.1", b"Host: a"
        ),
        _one("percent-encoding", b"GET /%41%2f%00%zz%?a=%20%C3%A4 HTTP/1.1", b"Host: a"),
        _one("two slashes", b"GET //a//b/../c?d?e HTTP/1.1", b"Host: a"),
        _one("an empty query", b"GET /? HTTP/1.1", b"Host: a"),
        _one("a target that holds a URL", b"GET /http://b/c:8@d HTTP/1.1", b"Host: a"),
        _one("the absolute form", b"GET http://b:80/c?d HTTP/1.1", b"Host: a"),
        _one("the absolute form of https, upper case", b"GET HTTPS://[::1]:443/ HTTP/1.1", b"Host: a"),
        _one("the absolute form without path", b"GET http://b HTTP/1.1", b"Host: a"),
        _one("the absolute form with only a query", b"GET http://b?c HTTP/1.1", b"Host: a"),
        _one("OPTIONS *", b"OPTIONS * HTTP/1.1", b"Host: a"),
        _one("an uncommon method", b"M-SEARCH /a HTTP/1.1", b"Host: a"),
        _one("an unknown method", b"FROB_1.$ /a HTTP/1.1", b"Host: a"),
        _one(
            "an unconventional method that is permitted",
            b"frob*' / HTTP/1.1",
            b"Host: a",
            settings={"permit_unconventional_http_method": "true"},
        ),
        _one("the longest line", longest, b"Host: a"),
        _one("as many fields as allowed", GET, b"Host: a", *[name + b": b" for name in most], table=HOST | most),
        _field("the largest field", b"B: " + b"b" * (FIELD - 3), b"b" * (FIELD - 3)),
        _one("a host with a port", GET, b"Host: a.example:8080", table={b"host": b"a.example:8080"}),
        _one("a host with an empty port", GET, b"Host: a:", table={b"host": b"a:"}),
        _one("an IPv6 host", GET, b"Host: [::1]:8080", table={b"host": b"[::1]:8080"}),
        _one("an empty host", GET, b"Host:", table={b"host": b""}),
        _one("an international host", GET, b"Host: %C3%A4.xn--4ca", table={b"host": b"%C3%A4.xn--4ca"}),
        _field("no blank before a value", b"B:b", b"b"),
        _field("blanks around a value", b"B:  \t b \t ", b"b"),
        _field("blanks within a value", b"B: b \t  c", b"b \t  c"),
        _field("an empty value", b"B:", b""),
        _field("a value of blanks", b"B: \t ", b""),
        _field("colons in a value", b"B: :b: c:", b":b: c:"),
        _field("obs-text in a value", b"B: \x80\xa0\xff", b"\x80\xa0\xff"),
        _field("every character in a value", b"B: " + bytes(range(0x21, 0x7F)), bytes(range(0x21, 0x7F))),
        _field("a name of every character", b"!#$%&'*+-.^`|~0Zz: b", b"b"),
        _field("a lower-case name", b"b: b", b"b"),
        _field("an upper-case name", b"ACCEPT: b", b"b"),
        _field("Sec-WebSocket-Key1 without a hidden body", b"Sec-WebSocket-Key1: b", b"b"),
        _field("a trailer that is announced", b"Trailer: b", b"b"),
        _one(
            "repeated fields, joined in order",
            *(GET, b"Host: a", b"B: 1", b"C: c", b"b: 2", b"B:", b"B: 3, 4"),
            table=HOST | {b"b": b"1,2,,3, 4", b"c": b"c"},
        ),
        _one(
            "repeated cookies",
            *(GET, b"Host: a", b"Cookie: a=1", b"cookie: b=2"),
            table=HOST | {b"cookie": b"a=1; b=2"},
        ),
        _one("an underscore, dropped", GET, b"Host: a", b"B_C: b", b"B-C: c", table=HOST | {b"b-c": b"c"}),
        _one("Content_Length, dropped", GET, b"Host: a", b"Content_Length: 5"),
        _one(
            "a name with an underscore before the same with a hyphen",
            *(GET, b"Host: a", b"X_Real_Ip: b", b"X-Real-Ip: c", b"x_real-ip: d"),
            table=HOST | {b"x-real-ip": b"c"},
        ),
        _one("Transfer_Encoding, dropped", GET, b"Host: a", b"Transfer_Encoding: chunked"),
        _field("SCRIPT_NAME of a believed proxy", b"SCRIPT_NAME: /a", b"/a"),
        _field("SCRIPT_NAME where others are refused", b"Script_Name: /a", b"/a", settings={"header_map": "refuse"}),
        _field("an underscore, let through", b"B_C: b", b"b", settings={"header_map": "dangerous"}),
        _field("https by a believed proxy", b"X-Forwarded-Proto: https", b"https", scheme="https"),
        _field("http by a believed proxy", b"X-Forwarded-Proto: http", b"http"),
        _one(
            "https said twice",
            *(GET, b"Host: a", b"X-Forwarded-Ssl: on", b"X-Forwarded-Proto: https"),
            table=HOST | {b"x-forwarded-ssl": b"on", b"x-forwarded-proto": b"https"},
            scheme="https",
        ),
        _field("an expectation without a body", b"Expect: 100-continue", b"100-continue"),
    ]


def _counted(name: str, length: bytes, body: bytes, *lines: bytes, **seen: object) -> Valid:
    data = message(b"POST /a HTTP/1.1", b"Host: a", b"Content-Length: " + length, *lines, body=body)
    table = HOST | {b"content-length": length.strip(b" \t")}
    table |= {line.partition(b": ")[0].lower(): line.partition(b": ")[2] for line in lines}
    return Valid(name, data, (Seen("POST", b"/a", table, body, **seen),))  # type: ignore[arg-type]


def _chunky(name: str, wire: bytes, body: bytes, coding: bytes = b" chunked") -> Valid:
    data = message(b"POST /a HTTP/1.1", b"Host: a", b"Transfer-Encoding:" + coding, body=wire)
    table = HOST | {b"transfer-encoding": coding.strip(b" \t")}
    return Valid(name, data, (Seen("POST", b"/a", table, body, chunked=True),))


def _bodies() -> list[Valid]:
    last = b"0\r\n\r\n"
    longest = b"1;" + b"a" * (CHUNK_LINE - 2)
    trailers = b"".join(b"B%d: b\r\n" % i for i in range(FIELDS))
    return [
        _counted("a counted body", b"5", b"hello"),
        _counted("an empty counted body", b"0", b""),
        _counted("a length with zeros before it", b"000005", b"hello"),
        _counted("a length with blanks around it", b"\t 5 \t", b"hello"),
        _counted("a body that looks like requests", b"38", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTT\r\n"),
        _counted("a body of all bytes", b"256", bytes(range(256))),
        _counted("a body of 70,000 bytes", b"70000", b"0123456789" * 7000),
        _counted("100-continue", b"5", b"hello", b"Expect: 100-continue", expects_continue=True),
        _counted("100-Continue", b"5", b"hello", b"Expect: 100-Continue", expects_continue=True),
        Valid(
            "Content_Length and Content_Type, dropped beside those with a hyphen",
            message(
                *(b"POST /a HTTP/1.1", b"Host: a", b"Content-Length: 5", b"Content_Length: 7"),
                *(b"Content_Type: a/b", b"Content-Type: c/d"),
                body=b"hello",
            ),
            (Seen("POST", b"/a", HOST | {b"content-length": b"5", b"content-type": b"c/d"}, b"hello"),),
        ),
        Valid(
            "a body with GET",
            message(GET, b"Host: a", b"Content-Length: 2", body=b"hi"),
            (Seen("GET", b"/", HOST | {b"content-length": b"2"}, b"hi"),),
        ),
        Valid(
            "a body in HTTP/1.0",
            message(b"POST / HTTP/1.0", b"Content-Length: 2", body=b"hi"),
            (Seen("POST", b"/", {b"content-length": b"2"}, b"hi", "HTTP/1.0", keep_alive=False),),
        ),
        _chunky("chunks", b"5\r\nhello\r\n7\r\n, world\r\n" + last, b"hello, world"),
        _chunky("no chunk", last, b""),
        _chunky(
            "hexadecimal sizes, upper and lower case",
            b"A\r\n0123456789\r\nb\r\n0123456789a\r\n" + last,
            b"01234567890123456789a",
        ),
        _chunky("zeros before sizes", b"005\r\nhello\r\n000000\r\n\r\n", b"hello"),
        _chunky("a size of 15 digits", b"000000000000005\r\nhello\r\n" + last, b"hello"),
        _chunky("chunks of line ends", b"4\r\n\r\n\r\n\r\n2\r\n0\r\r\n" + last, b"\r\n\r\n0\r"),
        _chunky("extensions", b'5;a;b=c;d="e; \\"f\\"\t\xe4"\r\nhello\r\n0;g\r\n\r\n', b"hello"),
        _chunky("the longest chunk line", longest + b"\r\nx\r\n" + last, b"x"),
        _chunky("trailers", b"5\r\nhello\r\n0\r\nB: b\r\nC:\r\n\r\n", b"hello"),
        _chunky("as many trailers as allowed", b"0\r\n" + trailers + b"\r\n", b""),
        _chunky("the largest trailer", b"0\r\nB: " + b"b" * (FIELD - 3) + b"\r\n\r\n", b""),
        _chunky("upper-case CHUNKED", last, b"", b" CHUNKED"),
        _chunky("blanks around chunked", last, b"", b"\t chunked \t"),
        _chunky("a thousand chunks of one byte", b"1\r\nx\r\n" * 1000 + last, b"x" * 1000),
    ]


def _several() -> list[Valid]:
    """Empty lines before requests, and several requests on one connection."""
    post = message(b"POST /2 HTTP/1.1", b"Host: a", b"Content-Length: 5", body=b"hello")
    chunks = message(b"PUT /3 HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\nB: b\r\n\r\n")
    get = message(b"GET /4 HTTP/1.1", b"Host: a")
    seen_post = Seen("POST", b"/2", HOST | {b"content-length": b"5"}, b"hello")
    seen_chunks = Seen("PUT", b"/3", HOST | {b"transfer-encoding": b"chunked"}, b"x", chunked=True)
    seen_get = Seen("GET", b"/4", HOST)
    return [
        Valid("an empty line before a request", b"\r\n" + get, (seen_get,)),
        Valid("two empty lines before a request", b"\r\n\r\n" + get, (seen_get,)),
        Valid("pipelined", get + post + chunks + get, (seen_get, seen_post, seen_chunks, seen_get)),
        Valid("an empty line after a body", post + b"\r\n" + get, (seen_post, seen_get)),
        Valid(
            "two empty lines between requests",
            get + b"\r\n\r\n" + chunks + b"\r\n\r\n" + post,
            (seen_get, seen_chunks, seen_post),
        ),
        Valid("fifty pipelined", get * 50, (seen_get,) * 50),
    ]


def _permitted() -> list[Valid]:
    """What settings permit."""
    fold = HOST | {b"b": b"b c  d", b"c": b"e"}
    cases = [
        _one("folded values", GET, b"Host: a", b"B: b", b" c ", b"\t d", b"C: e", table=fold, settings=TOLERANT),
        _one(
            "a value that begins in the next line",
            *(GET, b"B:", b" \tb", b"Host: a"),
            table=HOST | {b"b": b"b"},
            settings=TOLERANT,
        ),
        _one(
            "a fold that looks like a field of framing",
            *(GET, b"Host: a", b"B: b", b" Content-Length: 5"),
            table=HOST | {b"b": b"b Content-Length: 5"},
            settings=TOLERANT,
        ),
        _one("a blank before the colon", GET, b"Host: a", b"B : b", table=HOST | {b"b": b"b"}, settings=TOLERANT),
        _one(
            "blanks before the colon, and a fold",
            *(GET, b"Host: a", b"B \t: b", b" c : d", b"C : e"),
            table=HOST | {b"b": b"b c : d", b"c": b"e"},
            settings=TOLERANT,
        ),
        _one(
            "as many fields as allowed, folded",
            *(GET, b"Host: a", *[b"B%d: b\r\n c" % number for number in range(FIELDS - 1)]),
            table=HOST | {b"b%d" % number: b"b c" for number in range(FIELDS - 1)},
            settings=TOLERANT,
        ),
        Valid("version 1.2, permitted", message(b"GET / HTTP/1.2", b"Host: a"), (Seen("GET", b"/", HOST),), OLD),
        Valid("version 1.9, permitted", message(b"GET / HTTP/1.9", b"Host: a"), (Seen("GET", b"/", HOST),), OLD),
        Valid("a method in lower case", message(b"get / HTTP/1.1", b"Host: a"), (Seen("GET", b"/", HOST),), OLD),
        Valid("a method in both cases", message(b"Patch / HTTP/1.1", b"Host: a"), (Seen("PATCH", b"/", HOST),), OLD),
    ]
    hosts = (b"a.example", b"A.Example:8000", b"a.example.", b"x.b.example", b"x.y.B.example:1", b"[::1]:8000")
    cases += [
        _one(f"the host {host.decode()} that is served", GET, b"Host: " + host, table={b"host": host}, settings=HOSTS)
        for host in hosts
    ]
    cases.append(
        _one(
            "an absolute form of a host that is served",
            *(b"GET http://x.b.example/ HTTP/1.1", b"Host: a.example"),
            table={b"host": b"a.example"},
            settings=HOSTS,
        )
    )
    for body in (b"0123456789", b""):
        length = b"%d" % len(body)
        data = message(b"POST /a HTTP/1.1", b"Host: a", b"Content-Length: " + length, body=body)
        seen = Seen("POST", b"/a", HOST | {b"content-length": length}, body)
        cases.append(Valid(f"a body of {len(body)} bytes within the limit", data, (seen,), BODY))
    within = chunked(b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n")
    seen = Seen("POST", b"/", HOST | {b"transfer-encoding": b"chunked"}, b"helloworld", chunked=True)
    return [*cases, Valid("chunks within the limit", within * 2, (seen, seen), BODY), *_watched()]


def _watched() -> list[Valid]:
    """What is served where rules are only reported."""
    expecting = {b"expect": b"b", b"content-length": b"5"}
    chunks = chunked(b"5 ; a = b\r\nhello\r\n0\r\nCookie: a=b\r\n\r\n")
    seen = Seen("POST", b"/", HOST | {b"transfer-encoding": b"chunked"}, b"hello", chunked=True)
    return [
        _one("a lower-case method, reported", b"get / HTTP/1.1", b"Host: a", settings=REPORT),
        _one("UTF-8 in the target, reported", "GET /ä?ö HTTP/1.1".encode(), b"Host: a", settings=REPORT),
        _one("an underscore, reported", GET, b"Host: a", b"B_C: b", settings=REPORT),
        Valid(
            "an unknown expectation, reported",
            message(b"POST / HTTP/1.1", b"Host: a", b"Content-Length: 5", b"Expect: b", body=b"hello"),
            (Seen("POST", b"/", HOST | expecting, b"hello"),),
            REPORT,
        ),
        Valid(
            "many empty lines, reported", b"\r\n" * 64 + message(GET, b"Host: a"), (Seen("GET", b"/", HOST),), REPORT
        ),
        Valid("blanks in an extension and a trailer that must not be one, reported", chunks, (seen,), REPORT),
    ]


VALID: tuple[Valid, ...] = tuple(_heads() + _bodies() + _several() + _permitted())
