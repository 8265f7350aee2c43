"""What settings permit beyond the rules, and the rules that may be watched instead of being kept.

None of it touches framing: how long a head or a body is, and where the next request begins, is never up to a setting.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from unicorn_http.semantics.fields import WATCHED
from unicorn_http.semantics.refusal import Refusal

Report = Callable[[Refusal], None]
"""Is told of a rule that a request breaks and that is not kept."""

RIGID = WATCHED | {b"host", b"forwarded", b"te", b"trailer", b"upgrade"}
"""Lower-case names of fields that no setting repairs: what frames or routes a request has one spelling."""

_FOLD = re.compile(rb"\r\n[\t ]+")
_BLANKS_BEFORE_COLON = re.compile(rb"((?:^|\r\n)[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[\t ]+:")


class Tolerance(Struct, frozen=True):
    """How far one connection's requests may leave the rules.

    Attributes:
        methods: unconventional methods are permitted.
        casefold_method: methods are made upper-case.
        versions: HTTP/1.2 to HTTP/1.9 are served as HTTP/1.1.
        folding: values folded over lines are joined by spaces (RFC 9112 section 5.2).
        blanks_before_colon: they are taken away.
        rigid: fields, in lower case, for which the last two do not hold.
        report: takes the place of those refusals that are no matter of framing (setting strictness); None: it does not.
    """

    methods: bool = False
    casefold_method: bool = False
    versions: bool = False
    folding: bool = False
    blanks_before_colon: bool = False
    rigid: frozenset[bytes] = RIGID
    report: Report | None = None

    def refuse(self, refusal: Refusal) -> None:
        """A rule is broken that need not be kept: raise the refusal, or report it and return."""
        if self.report is None:
            raise refusal
        self.report(refusal)

    def repaired(self, raw: bytes) -> bytes:
        """A head that `HeadScan` has passed, as it would be without what is permitted in its fields."""
        if not (self.folding or self.blanks_before_colon):
            return raw
        line, end, block = raw.partition(b"\r\n")
        block = block[:-2]  # the empty line at the end is no fold, whatever follows
        if self.folding:
            block = _FOLD.sub(b" ", block)
        if self.blanks_before_colon:
            block = _BLANKS_BEFORE_COLON.sub(rb"\1:", block)
        return line + end + block + b"\r\n"

    def may_repair(self, name: bytes) -> bool:
        """Whether the field of this name, in any case and with blanks behind it, may be repaired."""
        name = name.rstrip(b" \t").lower()
        return name not in self.rigid and not name.startswith(b"x-forwarded-")


class OncePerReason:
    """Reports of one connection: a client that breaks a rule mostly does so in each request, and a head that comes in
    pieces is looked at more than once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._reported: set[str] = set()

    def __call__(self, refusal: Refusal) -> None:
        if refusal.reason not in self._reported:
            self._reported.add(refusal.reason)
            self._report(refusal)


STRICT = Tolerance()
