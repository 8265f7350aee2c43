"""A request's head: the checked and interpreted result of reading it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unicorn_http.semantics.fields import Fields, UnderscorePolicy
from unicorn_http.semantics.forwarded import SchemeFields
from unicorn_http.semantics.framing import body_length
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request_line import METHODS, ORIGIN_FORM, check_line_length, read_request_line
from unicorn_http.semantics.scan import HeadScan, field_too_large, split_fields, too_many_fields

AnyFields = Fields[Any]
SplitFields = Callable[[bytes, AnyFields], None]
"""A parser: splits a block of field lines (with the empty line that ends it) and hands each to `Fields.on_header`.

Blanks before a value are removed. Raises ValueError for what it cannot split.
"""


class RequestHead:
    """One request as far as its head tells.

    Attributes:
        line: the request line as received.
        method, protocol: as text ("GET", "HTTP/1.1").
        target: as received.
        fields: in the gateway's form.
        chunked, content_length: the body's framing; neither: no body.
        keep_alive: the client wants the connection to persist.
        scheme: http or https, as the peer's connection or a believed proxy says.
        expects_continue: the client waits for "100 Continue" before it sends the body.
    """

    chunked = False
    content_length = 0
    keep_alive = True
    scheme = "http"
    expects_continue = False

    def __init__(self, line: bytes, method: str, target: bytes, protocol: str, fields: Any) -> None:
        self.line = line
        self.method = method
        self.target = target
        self.protocol = protocol
        self.fields = fields

    @property
    def has_body(self) -> bool:
        return self.chunked or self.content_length > 0


@dataclass(frozen=True)
class HeadPolicy:
    """What one connection's heads are read by.

    Attributes:
        scheme: the fields by which the peer, a believed proxy, names its client's scheme; None for other peers.
    """

    limits: Limits
    underscores: UnderscorePolicy
    scheme: SchemeFields | None
    permit_unconventional_method: bool

    @cached_property
    def harmless(self) -> int:
        """Bytes of a head that is so small that only the number of its fields can exceed a limit."""
        return min(self.limits.line, self.limits.field, self.limits.head)

    def scan(self) -> HeadScan:
        """A strict reading of a head, for one that comes in pieces or that a parser refuses."""
        return HeadScan(self.limits, permit_unconventional=self.permit_unconventional_method)

    def read(self, raw: bytes, split: SplitFields, new_fields: Callable[[], AnyFields]) -> RequestHead:
        """Read a complete head.

        Args:
            raw: from the request line to the empty line.
            split: the parser.
            new_fields: makes an empty collection of fields.

        Raises:
            Refusal: the first rule broken.
        """
        try:
            limits = self.limits
            fields = new_fields()
            end = raw.find(b"\r\n")
            line = raw[:end]
            parts = line.split(b" ")
            # Most requests: a well-known method, a path, HTTP/1.1, and a head so small that no limit can be reached.
            if (
                len(parts) == 3
                and parts[2] == b"HTTP/1.1"
                and (known := METHODS.get(parts[0]))
                and ORIGIN_FORM(parts[1])
                and len(raw) <= self.harmless
                and raw.count(b"\n") - 2 <= limits.fields
            ):
                method, target, protocol = known, parts[1], "HTTP/1.1"
                split(raw[end + 2 :], fields)
            else:
                check_line_length(line, limits)
                method, target, protocol = read_request_line(line, self.permit_unconventional_method)
                self._check_sizes(raw, end)
                split(raw[end + 2 :], fields)
            if fields.underscored:
                self.underscores.apply(fields)
            head = RequestHead(line, method, target, protocol, fields)
            watched = fields.watched
            host = watched.get(b"host")
            # Most requests again: there is nothing but a known Host to look at.
            if len(watched) > 1 or host not in fields.names.hosts or protocol != "HTTP/1.1":
                self._interpret(head)
            return head
        except (Refusal, ValueError):
            if split is split_fields:
                raise
            # The first broken rule in the order of the bytes decides, whatever the parser stumbled over; and what
            # breaks none is served, also where a parser has stricter ideas.
            self.scan().feed(raw)
            return self.read(raw, split_fields, new_fields)

    def _check_sizes(self, raw: bytes, end: int) -> None:
        limits = self.limits
        if raw.count(b"\n") - 2 > limits.fields:
            raise too_many_fields(limits)
        if len(raw) > limits.head or max(map(len, raw[end + 2 :].split(b"\r\n"))) > limits.field:
            raise field_too_large(limits)

    def _interpret(self, head: RequestHead) -> None:
        """Apply the rules about the fields that the server looks at."""
        watched = head.fields.watched
        http_1_1 = head.protocol == "HTTP/1.1"
        host = watched.get(b"host")
        if host is not None:
            head.fields.names.check_host(host)
        elif http_1_1:
            raise Refusal(400, "host-missing", "the Host field is missing", "RFC 9112 section 3.2")
        head.chunked, head.content_length = body_length(
            head.protocol, watched.get(b"transfer-encoding"), watched.get(b"content-length")
        )
        head.keep_alive = _keep_alive(http_1_1, watched.get(b"connection"))
        if self.scheme:
            head.scheme = self.scheme.scheme(watched, "http")
        expect = watched.get(b"expect")
        if expect is not None and http_1_1:
            if expect.lower() != b"100-continue":
                raise Refusal(417, "expect", "an expectation other than 100-continue", "RFC 9110 section 10.1.1")
            head.expects_continue = head.has_body


def _keep_alive(http_1_1: bool, connection: bytes | None) -> bool:
    """RFC 9112 section 9.3."""
    if connection is None:
        return http_1_1
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    return b"close" not in options and (http_1_1 or b"keep-alive" in options)
