"""Reading a request's head: the rules of one connection, applied to what a parser splits."""

from collections.abc import Callable

from msgspec import Struct

from unicorn_http.semantics.forwarded import SchemeFields
from unicorn_http.semantics.framing import body_length
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.request_line import METHODS, check_line_length, read_request_line
from unicorn_http.semantics.scan import HeadScan, field_too_large, split_fields, too_many_fields

SplitFields = Callable[[bytes, Request], int]
"""A parser: splits a block of field lines (with the empty line that ends it), gives them to the request, and tells how
many they were.

Raises ValueError for what it cannot split.
"""


class UnderscorePolicy(Struct, frozen=True):
    """What happens to names with underscores, which WSGI cannot tell from those with hyphens.

    Attributes:
        header_map: drop, refuse or dangerous (let through).
        forwarder: lower-case names that this connection's peer may use all the same (`forwarder_headers`, from a
            trusted peer).
    """

    header_map: str = "drop"
    forwarder: frozenset[bytes] = frozenset()

    def apply(self, request: Request) -> None:
        """Store the fields with an underscore that are wanted, drop the others or refuse the request for them."""
        for name, value in request.underscored:
            if name in self.forwarder:
                if name == b"script_name":
                    self._note_script_name(request, value)
            elif self.header_map == "refuse":
                raise Refusal(400, "underscore", "a field name contains an underscore", "setting header_map")
            elif self.header_map == "drop":
                continue
            request.store(name, value)

    def _note_script_name(self, request: Request, value: bytes) -> None:
        if request.script_name is not None:
            raise Refusal(400, "script-name", "SCRIPT_NAME is repeated: one may be a stranger's", "forwarder_headers")
        request.script_name = value.decode("latin-1")


class FieldMemo:
    """A connection's last block of fields, and a request made from it once it has come twice.

    Clients that keep a connection mostly send the same fields again, byte for byte; only the request line differs. Then
    a copy of what was read saves reading it. Where every block is another one, it costs a comparison that fails early.
    """

    __slots__ = ("block", "request")

    LARGEST = 4096

    def __init__(self) -> None:
        self.block = b""
        self.request: Request | None = None

    def note(self, block: bytes, request: Request) -> None:
        """A block was read. Bodies and fields with underscores need another look each time: those are not kept."""
        if block != self.block:
            self.block, self.request = (block, None) if len(block) <= self.LARGEST else (b"", None)
        elif block and not request.has_body and not request.underscored:
            self.request = request.repeated()


class HeadPolicy:
    """What one connection's heads are read by.

    Attributes:
        scheme: the fields by which the peer, a believed proxy, names its client's scheme; None for other peers.
        harmless: bytes of a head that is so small that only the number of its fields can exceed a limit.
    """

    __slots__ = ("harmless", "limits", "permit_unconventional_method", "scheme", "underscores")

    def __init__(
        self,
        limits: Limits,
        underscores: UnderscorePolicy,
        scheme: SchemeFields | None,
        permit_unconventional_method: bool,
    ) -> None:
        self.limits = limits
        self.underscores = underscores
        self.scheme = scheme
        self.permit_unconventional_method = permit_unconventional_method
        self.harmless = min(limits.line, limits.field, limits.head)

    def scan(self) -> HeadScan:
        """A strict reading of a head, for one that comes in pieces or that a parser refuses."""
        return HeadScan(self.limits, permit_unconventional=self.permit_unconventional_method)

    def read(
        self, raw: bytes, split: SplitFields, new_request: Callable[[], Request], memo: FieldMemo | None = None
    ) -> Request:
        """Read a complete head.

        Args:
            raw: from the request line to the empty line.
            split: the parser.
            new_request: makes an empty request.
            memo: the connection's.

        Raises:
            Refusal: the first rule broken.
        """
        try:
            limits = self.limits
            end = raw.find(b"\r\n")
            line = raw[:end]
            block = raw[end + 2 :]
            parts = str(line, "latin-1").split(" ")
            # Most requests: a well-known method, a path, HTTP/1.1, and a head so small that only the number of fields
            # can exceed a limit.
            if (
                len(parts) == 3
                and parts[2] == "HTTP/1.1"
                and parts[0] in METHODS
                and (target := parts[1]).startswith("/")
                and target.isascii()
                and target.isprintable()
                and "#" not in target
                and len(raw) <= self.harmless
            ):
                if memo and block == memo.block and memo.request:
                    request = memo.request.repeated()
                    request.line, request.method, request.target = line, parts[0], target
                    return request
                request = new_request()
                request.line, request.method, request.target = line, parts[0], target
            else:
                memo = None
                check_line_length(line, limits)
                request = new_request()
                request.line = line
                request.method, request.target, request.protocol = read_request_line(
                    line, self.permit_unconventional_method
                )
                self._check_sizes(raw, end)
            if split(block, request) > limits.fields:
                raise too_many_fields(limits)
            if request.underscored:
                self.underscores.apply(request)
            # Most requests again: there is nothing but a known Host to look at.
            if request.watched or request.host() not in request.names.hosts or request.protocol != "HTTP/1.1":
                self._interpret(request)
            if memo:
                memo.note(block, request)
            return request
        except (Refusal, ValueError):
            if split is split_fields:
                raise
            # The first broken rule in the order of the bytes decides, whatever the parser stumbled over; and what
            # breaks none is served, also where a parser has stricter ideas.
            self.scan().feed(raw)
            return self.read(raw, split_fields, new_request)

    def _check_sizes(self, raw: bytes, end: int) -> None:
        limits = self.limits
        if len(raw) > limits.head or max(map(len, raw[end + 2 :].split(b"\r\n"))) > limits.field:
            raise field_too_large(limits)

    def _interpret(self, request: Request) -> None:
        """Apply the rules about the fields that the server looks at."""
        watched = request.watched
        http_1_1 = request.protocol == "HTTP/1.1"
        host = request.host()
        if host is not None:
            request.names.check_host(host)
        elif http_1_1:
            raise Refusal(400, "host-missing", "the Host field is missing", "RFC 9112 section 3.2")
        request.chunked, request.content_length = body_length(
            request.protocol, watched.get(b"transfer-encoding"), watched.get(b"content-length")
        )
        request.keep_alive = _keep_alive(http_1_1, watched.get(b"connection"))
        if self.scheme:
            request.scheme = self.scheme.scheme(watched, "http")
        expect = watched.get(b"expect")
        if expect is not None and http_1_1:
            if expect.lower() != b"100-continue":
                raise Refusal(417, "expect", "an expectation other than 100-continue", "RFC 9110 section 10.1.1")
            request.expects_continue = request.has_body


def _keep_alive(http_1_1: bool, connection: bytes | None) -> bool:
    """RFC 9112 section 9.3."""
    if connection is None:
        return http_1_1
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    return b"close" not in options and (http_1_1 or b"keep-alive" in options)
