"""The request line: method, target, version (RFC 9112 section 3)."""

import re

from unicorn_http.semantics import grammar
from unicorn_http.semantics.limits import Limits
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.tolerance import Tolerance

_RULE = "RFC 9112 section 3"
METHODS = frozenset(
    (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "TRACE",
        "PROPFIND",
        "REPORT",
        "MKCOL",
        "LOCK",
        "UNLOCK",
    )
)
_VERSIONS = ("HTTP/1.1", "HTTP/1.0")
_CONVENTIONAL = re.compile(r"[A-Z0-9$\-_.]{3,20}")


def check_line_length(line: bytes, limits: Limits) -> None:
    """414 for a request line that is too long, unless it breaks a rule before that."""
    if len(line) > limits.line:
        if b"\r" in line[: limits.line] or b"\n" in line[: limits.line]:
            raise Refusal(400, "bare-cr", "a line end is malformed", "RFC 9112 section 2.2")
        raise Refusal(414, "line-too-long", f"the request line is longer than {limits.line} bytes", _RULE)


def read_request_line(line: bytes, tolerance: Tolerance) -> tuple[str, str, str]:
    """Method, target and protocol version.

    Raises:
        Refusal: malformed, an unknown version, or a method that is not conventional (unless tolerated).
    """
    if grammar.REQUEST_LINE.fullmatch(line) is None:
        if grammar.OBS_REQUEST_LINE.fullmatch(line) is None:
            raise Refusal(400, "request-line", "the request line is malformed", _RULE)
        tolerance.refuse(
            Refusal(400, "target-bytes", "the request target has bytes beyond ASCII", "RFC 9112 section 3.2")
        )
    method, target, version = line.decode("latin-1").split(" ")
    if version not in _VERSIONS:
        # Another major version may have another framing: no setting permits it.
        if not (tolerance.versions and version.startswith("HTTP/1.")):
            raise Refusal(505, "version", "only HTTP/1.0 and HTTP/1.1 are served", "RFC 9110 section 2.5")
        version = "HTTP/1.1"
    if tolerance.casefold_method:
        method = method.upper()
    if method not in METHODS and not tolerance.methods and _CONVENTIONAL.fullmatch(method) is None:
        text = "the method is unconventional (permit_unconventional_http_method)"
        tolerance.refuse(Refusal(400, "method", text, "RFC 9110 section 9.1"))
    if method == "CONNECT" or grammar.ORIGIN_FORM.fullmatch(target) is None:
        _check_other_form(method, target)
    return method, target, version


def split_target(target: str) -> tuple[str | None, str]:
    """The authority of a checked target in absolute form (RFC 9112 section 3.2.2), and what remains as origin form.

    (None, target) for another form.
    """
    if target.startswith("/") or (found := grammar.ABSOLUTE_FORM.fullmatch(target)) is None:
        return None, target
    return found[1], found[2] if found[2].startswith("/") else "/" + found[2]


def begins_with(path: str, prefix: str) -> bool:
    """Whether a path lies below a prefix: "/app" is none of "/apple"."""
    return path.startswith(prefix) and (len(path) == len(prefix) or prefix.endswith("/") or path[len(prefix)] == "/")


def _check_other_form(method: str, target: str) -> None:
    if method == "CONNECT":
        raise Refusal(501, "connect", "CONNECT is not served", "RFC 9110 section 9.3.6")
    if target == "*" and method == "OPTIONS":
        return
    found = grammar.ABSOLUTE_FORM.fullmatch(target)
    if found is None or grammar.HOST.fullmatch(found[1].encode("ascii")) is None:
        raise Refusal(400, "target", "the request target is malformed", "RFC 9112 section 3.2")
