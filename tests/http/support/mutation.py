"""Small changes to requests, and settings to read them under, for tests that look for what readers disagree about."""

from collections.abc import Iterable, Mapping

from request_corpus import BODY, FORWARDED, HOSTS, MALFORMED, OLD, REPORT, TOLERANT, VALID, X_FORWARDED

SMALL = 600
VALID_SEEDS: tuple[bytes, ...] = tuple(case.data for case in VALID if len(case.data) <= SMALL)
SEEDS: tuple[bytes, ...] = (*VALID_SEEDS, *(case.data for case in MALFORMED if len(case.data) <= SMALL))

SETTINGS: tuple[Mapping[str, str], ...] = (
    *({}, {}, {}, TOLERANT, OLD, HOSTS, BODY, X_FORWARDED, FORWARDED, REPORT),
    {"header_map": "refuse"},
    {"header_map": "dangerous", **REPORT, **TOLERANT, **OLD, **X_FORWARDED},
    {
        "limit_request_line": "60",
        "limit_request_fields": "4",
        "limit_request_field_size": "40",
        "limit_request_head": "150",
        **TOLERANT,
    },
)
"""The last has limits that the changed requests reach."""

TOKENS: tuple[bytes, ...] = (
    *(bytes((byte,)) for byte in b'\0\x01\t\n\x0b\x0c\r "#%*,-/:;=?@[\\]_09AFaf{|}\x7f\x80\x85\xa0\xb2\xff'),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\r\n", b"\r\n ", b"\r\n\t", b" \t", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0"),
    *(b"0", b"5", b"00", b"0x5", b"+5", b"5 ", b"5;a", b"0\r\n\r\n", b"5\r\nhello\r\n", b"hello"),
    *(b"Host: b\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 5, 5\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"transfer-encoding: Chunked\r\n"),
    *(b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Connection: Upgrade\r\nUpgrade: b\r\n"),
    *(b"Expect: 100-continue\r\n", b"Content_Length: 5\r\n", b"B:\r\n", b"B: \t b \t\r\n", b"Cookie: a=b\r\n"),
    *(b"X-Forwarded-Proto: https\r\n", b"X-Forwarded-Ssl: off\r\n", b"Trailer: b\r\n", b"Proxy-Connection: b\r\n"),
    *(b"chunked", b"identity", b", ", b"http://b/", b"*", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"CONNECT", b"PRI"),
)

CHANGES = ("replace", "insert", "delete", "flip", "repeat line", "drop line", "swap lines", "splice")
Change = tuple[str, int, int]
"""What, where, and with what: numbers of any size."""


def mutated(data: bytes, changes: Iterable[Change]) -> bytes:
    """`data` after some changes."""
    for what, where, which in changes:
        data = _change(data, what, where, which)
    return data


def _change(data: bytes, what: str, where: int, which: int) -> bytes:
    at = where % (len(data) + 1)
    token = TOKENS[which % len(TOKENS)]
    match what:
        case "insert":
            return data[:at] + token + data[at:]
        case "replace":
            return data[:at] + token + data[at + len(token) :]
        case "delete":
            return data[:at] + data[at + 1 + which % 4 :]
        case "flip":
            return data[:at] + bytes(byte ^ (1 << which % 8) for byte in data[at : at + 1]) + data[at + 1 :]
        case "splice":
            other = SEEDS[which % len(SEEDS)]
            return data[:at] + other[where % (len(other) + 1) :]
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one, two = where % len(lines), which % len(lines)
    match what:
        case "repeat line":
            lines.insert(two, lines[one])
        case "drop line":
            del lines[one]
        case "swap lines":
            lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)
