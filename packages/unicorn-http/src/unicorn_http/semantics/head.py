"""A request's head: the checked and interpreted result of reading it."""

from collections.abc import Callable
from dataclasses import dataclass

from unicorn_http.semantics import grammar
from unicorn_http.semantics.fields import FieldNames, FieldPolicy, join_repeated
from unicorn_http.semantics.forwarded import SchemeFields
from unicorn_http.semantics.framing import body_length
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request_line import check_line_length, read_request_line
from unicorn_http.semantics.scan import HeadScan, field_too_large, split_fields, too_many_fields

Fields = list[tuple[bytes, bytes]]
SplitFields = Callable[[bytes], Fields]
"""A parser: splits a block of field lines (with the empty line that ends it) into names and values, in order.

Blanks around a value are removed. Raises ValueError for what it cannot split.
"""


class RequestHead:
    """One request as far as its head tells.

    Attributes:
        method, protocol: as text ("GET", "HTTP/1.1").
        target: as received.
        table: values by lower-case name; of a field that was repeated, joined.
        chunked, content_length: the body's framing; neither: no body.
        keep_alive: the client wants the connection to persist.
        scheme: http or https, as the peer's connection or a believed proxy says.
        expects_continue: the client waits for "100 Continue" before it sends the body.
    """

    __slots__ = (
        "chunked",
        "content_length",
        "expects_continue",
        "keep_alive",
        "method",
        "pairs",
        "protocol",
        "scheme",
        "table",
        "target",
    )

    chunked: bool
    content_length: int
    keep_alive: bool
    scheme: str

    def __init__(self, method: str, target: bytes, protocol: str, table: dict[bytes, bytes], pairs: Fields) -> None:
        self.method = method
        self.target = target
        self.protocol = protocol
        self.table = table
        self.pairs = pairs
        self.expects_continue = False

    @property
    def has_body(self) -> bool:
        return self.chunked or self.content_length > 0


@dataclass(frozen=True, slots=True)
class HeadPolicy:
    """What one connection's heads are read by.

    Attributes:
        scheme: the fields by which the peer, a believed proxy, names its client's scheme; None for other peers.
    """

    limits: Limits
    fields: FieldPolicy
    scheme: SchemeFields | None
    permit_unconventional_method: bool

    def scan(self) -> HeadScan:
        """A strict reading of a head, for one that comes in pieces or that a parser refuses."""
        return HeadScan(self.limits, permit_unconventional=self.permit_unconventional_method)

    def read(self, raw: bytes, split: SplitFields, names: FieldNames) -> RequestHead:
        """Read a complete head.

        Args:
            raw: from the request line to the empty line.
            split: the parser.
            names: the cache of field names.

        Raises:
            Refusal: the first rule broken.
        """
        try:
            return self._read(raw, split, names)
        except (Refusal, ValueError):
            # The first broken rule in the order of the bytes decides, whatever the parser stumbled over; and what
            # breaks none is served, also where a parser has stricter ideas.
            names.take_underscored()
            self.scan().feed(raw)
            return self._read(raw, split_fields, names)

    def _read(self, raw: bytes, split: SplitFields, names: FieldNames) -> RequestHead:
        limits = self.limits
        end = raw.find(b"\r\n")
        line = raw[:end]
        if end > limits.line:
            check_line_length(line, limits)
        method, target, protocol = read_request_line(line, self.permit_unconventional_method)
        pairs = split(raw[end + 2 :])
        if len(pairs) > limits.fields:
            raise too_many_fields(limits)
        if len(raw) > limits.field:
            self._check_field_sizes(raw, end)
        table = {names[name]: value for name, value in pairs}
        if len(table) != len(pairs):
            pairs = [(name.lower(), value) for name, value in pairs]
            table = join_repeated(pairs)
        if names.underscored:
            pairs = self.fields.without_underscores(table, pairs, names.take_underscored())
        head = RequestHead(method, target, protocol, table, pairs)
        self._interpret(head)
        return head

    def _check_field_sizes(self, raw: bytes, end: int) -> None:
        limits = self.limits
        if len(raw) > limits.head or max(map(len, raw[end + 2 :].split(b"\r\n"))) > limits.field:
            raise field_too_large(limits)

    def _interpret(self, head: RequestHead) -> None:
        get = head.table.get
        http_1_1 = head.protocol == "HTTP/1.1"
        host = get(b"host")
        if host is None:
            if http_1_1:
                raise Refusal(400, "host-missing", "the Host field is missing", "RFC 9112 section 3.2")
        elif grammar.HOST.fullmatch(host) is None:
            raise Refusal(400, "host", "the Host field is malformed", "RFC 9112 section 3.2")
        head.chunked, head.content_length = body_length(
            head.protocol, get(b"transfer-encoding"), get(b"content-length")
        )
        connection = get(b"connection")
        if connection is None:
            head.keep_alive = http_1_1
        else:
            options = [option.strip(b" \t") for option in connection.lower().split(b",")]
            head.keep_alive = b"close" not in options and (http_1_1 or b"keep-alive" in options)
        head.scheme = self.scheme.scheme(head.table, "http") if self.scheme else "http"
        expect = get(b"expect")
        if expect is not None and http_1_1:
            if expect.lower() != b"100-continue":
                raise Refusal(417, "expect", "an expectation other than 100-continue", "RFC 9110 section 10.1.1")
            head.expects_continue = head.has_body
