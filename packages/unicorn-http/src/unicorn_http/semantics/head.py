"""Reading a request's head: the rules of one connection, applied to what a parser splits."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from unicorn_http.semantics.forwarded import SchemeFields
from unicorn_http.semantics.framing import body_length, body_too_large
from unicorn_http.semantics.hosts import AllowedHosts
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.proxied import Proxied, ProxyFields
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.request_line import METHODS, check_line_length, read_request_line, split_target
from unicorn_http.semantics.scan import HeadScan, field_too_large, split_fields, too_many_fields
from unicorn_http.semantics.tolerance import STRICT, Report, Tolerance

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

    def apply(self, request: Request, tolerance: Tolerance = STRICT) -> None:
        """Store the fields with an underscore that are wanted, drop the others or refuse the request for them."""
        for name, value in request.underscored:
            if name in self.forwarder:
                if name == b"script_name":
                    self._note_script_name(request, value)
            elif self.header_map == "refuse":
                tolerance.refuse(Refusal(400, "underscore", "a field name has an underscore", "setting header_map"))
                continue
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
            self.request = request.repeated(b"-", "-", "-")


class KnownLines(dict[bytes, tuple[str, str] | None]):
    """Request line -> method and target; None for a line that needs another look. A bounded cache of what came lately.

    What it knows is valid whatever may be tolerated: a well-known method, a path, HTTP/1.1, as nearly all lines are.
    """

    MOST = 512
    LONGEST = 256

    def __missing__(self, line: bytes) -> tuple[str, str] | None:
        parts = str(line, "latin-1").split(" ")
        if not (
            len(parts) == 3
            and parts[2] == "HTTP/1.1"
            and parts[0] in METHODS
            and (target := parts[1]).startswith("/")
            and target.isascii()
            and target.isprintable()
            and "#" not in target
        ):
            return None
        known = parts[0], target
        if len(line) <= self.LONGEST:
            if len(self) >= self.MOST:
                self.clear()
            self[line] = known
        return known


class HeadPolicy:
    """What one connection's heads are read by.

    Attributes:
        scheme: the fields by which the peer, a believed proxy, names its client's scheme; None for other peers.
        proxy: the fields by which it tells about the client beside that; None if they are not believed.
        hosts: that are served; None if all are.
        harmless: bytes of a head that is so small that only the number of its fields can exceed a limit.
    """

    __slots__ = ("_lines", "harmless", "hosts", "limits", "proxy", "scheme", "tolerance", "underscores")

    def __init__(
        self,
        limits: Limits,
        underscores: UnderscorePolicy,
        scheme: SchemeFields | None = None,
        proxy: ProxyFields | None = None,
        hosts: AllowedHosts | None = None,
        tolerance: Tolerance = STRICT,
    ) -> None:
        self.limits = limits
        self.underscores = underscores
        self.scheme = scheme
        self.proxy = proxy
        self.hosts = hosts
        self.tolerance = tolerance
        self.harmless = min(limits.line, limits.field, limits.head)
        self._lines = KnownLines()

    def reporting(self, report: Report) -> "HeadPolicy":
        """The same for one connection, of which breaches of rules that are only watched are reported."""
        tolerance = replace(self.tolerance, report=report)
        return HeadPolicy(self.limits, self.underscores, self.scheme, self.proxy, self.hosts, tolerance)

    def scan(self) -> HeadScan:
        """A strict reading of a head, for one that comes in pieces or that a parser refuses."""
        return HeadScan(self.limits, self.tolerance)

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
            known = self._lines[line]
            # Most requests: a known line, and a head so small that only the number of fields can exceed a limit.
            if known is not None and len(raw) <= self.harmless:
                if memo and block == memo.block and memo.request:
                    return memo.request.repeated(line, *known)
                request = new_request()
                request.line = line
                request.method, request.target = known
            else:
                memo = None
                check_line_length(line, limits)
                request = new_request()
                request.line = line
                request.method, request.target, request.protocol = read_request_line(line, self.tolerance)
                self._check_sizes(raw, end)
            if split(block, request) > limits.fields:
                raise too_many_fields(limits)
            if request.underscored:
                self.underscores.apply(request, self.tolerance)
            # Most requests again: there is nothing but a known Host to look at.
            if request.watched or request.host() not in request.names.hosts or memo is None:
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
            return self.read(self.tolerance.repaired(raw), split_fields, new_request)

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
            self._check_host(host, request)
        elif http_1_1:
            raise Refusal(400, "host-missing", "the Host field is missing", "RFC 9112 section 3.2")
        request.chunked, request.content_length = body_length(
            request.protocol, watched.get(b"transfer-encoding"), watched.get(b"content-length")
        )
        if request.content_length > self.limits.body:
            raise body_too_large(self.limits.body)
        request.keep_alive = _keep_alive(http_1_1, watched.get(b"connection"))
        if self.scheme:
            request.scheme = self.scheme.scheme(watched, request.scheme)
        said = self._ask_proxy(request, _text(host)) if self.proxy else None
        if self.hosts:
            self._check_served(said.host if said else "", host, request.target)
        expect = watched.get(b"expect")
        if expect is not None and http_1_1:
            if expect.lower() != b"100-continue":
                text = "an expectation other than 100-continue"
                self.tolerance.refuse(Refusal(417, "expect", text, "RFC 9110 section 10.1.1"))
            else:
                request.expects_continue = request.has_body

    def _check_host(self, host: Any, request: Request) -> None:
        """Check Host, in the gateway's form, by its grammar, and remember it if it needs no further look."""
        names = request.names
        if host not in names.hosts:
            names.check_host(host)
            if self.hosts is None or self.hosts.allows(_text(host)):
                names.know_host(host)

    def _ask_proxy(self, request: Request, host: str) -> Proxied | None:
        """Let a believed proxy tell about the client."""
        assert self.proxy is not None
        said = self.proxy.read(request.watched, host, request.scheme)
        if said is None:
            return None
        if said.prefix and request.script_name is not None:
            raise Refusal(400, "script-name", "both SCRIPT_NAME and X-Forwarded-Prefix", "setting proxy_headers")
        request.scheme = said.scheme
        request.take_proxied(said)
        return said

    def _check_served(self, said: str, host: Any, target: str) -> None:
        """Refuse a host that is not served: the one that a proxy has `said`, else both Host and the target's."""
        assert self.hosts is not None
        if said:
            self.hosts.check(said)
            return
        self.hosts.check(None if host is None else _text(host))
        if (authority := split_target(target)[0]) is not None:
            self.hosts.check(authority)


def _text(host: str | bytes | None) -> str:
    return host.decode("latin-1") if isinstance(host, bytes) else host or ""


def _keep_alive(http_1_1: bool, connection: bytes | None) -> bool:
    """RFC 9112 section 9.3."""
    if connection is None:
        return http_1_1
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    return b"close" not in options and (http_1_1 or b"keep-alive" in options)
