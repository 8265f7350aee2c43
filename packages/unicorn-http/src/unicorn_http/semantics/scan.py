"""The strict reading of a request head, line by line, in the order of its bytes.

The parsers are faster, but none is strict and each hides something else. So whatever they refuse, and every head
that arrives in pieces, is read here too: the first line that breaks a rule decides, wherever the pieces were cut.
"""

from unicorn_http.semantics import grammar
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.request_line import check_line_length, read_request_line
from unicorn_http.semantics.tolerance import Tolerance


class HeadScan:
    """Reads one head, from its request line on; `feed` may be called with ever longer prefixes of it."""

    def __init__(self, limits: Limits, tolerance: Tolerance) -> None:
        self._limits = limits
        self._tolerance = tolerance
        self._at = 0  # where the first line begins that is not read yet
        self._lines = 0
        self._foldable = 0  # bytes so far of a field that may go on in the next line; 0: it may not

    def feed(self, raw: bytes | bytearray) -> None:
        """Read all that is complete of `raw`, which begins with what was given before.

        Raises:
            Refusal: the first rule broken.
        """
        while (end := raw.find(b"\n", self._at)) >= 0:
            if end >= self._limits.head:
                part = bytes(raw[self._at : min(self._limits.head, end - 1)])
                self._check_length(part)
                if b"\r" in part:
                    raise _bare_cr()
                raise head_too_large()
            line = bytes(raw[self._at : end])
            if not line.endswith(b"\r"):
                self._check_length(line)
                if b"\r" in line:
                    raise _bare_cr()
                raise Refusal(400, "bare-lf", "a line ends without carriage return", "RFC 9112 section 2.2")
            self._read(line[:-1])
            self._at = end + 1
        rest = bytes(raw[self._at :])
        self._check_length(rest.removesuffix(b"\r"))
        if b"\r" in rest[:-1]:
            raise _bare_cr()
        if len(raw) > self._limits.head:
            raise head_too_large()

    def _read(self, line: bytes) -> None:
        self._check_length(line)
        if b"\r" in line:
            raise _bare_cr()
        if self._lines == 0:
            read_request_line(line, self._tolerance)
            self._lines = 1
        elif self._folds(line):
            self._read_fold(line)
        elif line:
            self._lines += 1
            self._read_field(line)

    def _folds(self, line: bytes) -> bool:
        """The line goes on with the value of the field before it, and that is permitted."""
        return self._foldable > 0 and line.startswith((b" ", b"\t"))

    def _check_length(self, line: bytes) -> None:
        if self._lines == 0:
            check_line_length(line, self._limits)
            return
        allowed = self._limits.field
        if self._folds(line):
            allowed -= self._foldable
        elif line and self._lines > self._limits.fields:
            raise too_many_fields(self._limits)
        if len(line) > allowed:
            if b"\r" in line[: max(0, allowed)]:
                raise _bare_cr()
            raise field_too_large(self._limits)

    def _read_field(self, line: bytes) -> None:
        if line[0] in b" \t":
            raise _obs_fold()
        tolerance = self._tolerance
        found = grammar.FIELD_LINE.fullmatch(line)
        if found is None and tolerance.blanks_before_colon:
            found = grammar.SPACED_FIELD_LINE.fullmatch(line)
            if found is not None and not tolerance.may_repair(found[1]):
                found = None
        if found is None:
            raise _malformed_field()
        self._foldable = len(line) if tolerance.folding and tolerance.may_repair(found[1]) else 0

    def _read_fold(self, line: bytes) -> None:
        # A line of blanks alone is to some readers the end of the head.
        if not line.strip(b" \t"):
            raise _obs_fold()
        if grammar.FIELD_CONTENT.fullmatch(line) is None:
            raise _malformed_field()
        self._foldable += len(line)


def split_fields(block: bytes, request: Request) -> int:
    """Split field lines by the grammar alone; a unicorn_http.semantics.head.SplitFields."""
    lines = block.split(b"\r\n")[:-2]
    for line in lines:
        found = grammar.FIELD_LINE.fullmatch(line)
        if found is None:
            raise ValueError("malformed field line")
        request.on_header(found[1], found[2].lstrip(b" \t"))
    return len(lines)


def too_many_fields(limits: Limits) -> Refusal:
    return Refusal(431, "too-many-fields", f"more than {limits.fields} header fields", "RFC 6585 section 5")


def field_too_large(limits: Limits) -> Refusal:
    return Refusal(431, "field-too-large", f"a header field is longer than {limits.field} bytes", "RFC 6585 section 5")


def head_too_large() -> Refusal:
    return Refusal(431, "head-too-large", "the request head is too large", "RFC 6585 section 5")


def _bare_cr() -> Refusal:
    return Refusal(400, "bare-cr", "a carriage return stands alone", "RFC 9112 section 2.2")


def _obs_fold() -> Refusal:
    return Refusal(400, "obs-fold", "a field value is folded over lines", "RFC 9112 section 5.2")


def _malformed_field() -> Refusal:
    return Refusal(400, "field-line", "a header field is malformed", "RFC 9112 section 5")
