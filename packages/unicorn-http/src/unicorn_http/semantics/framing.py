"""How long a request's body is: the framing rules (RFC 9112 section 6).

What that section calls ambiguous is refused, never repaired.
"""

from unicorn_http.semantics import grammar
from unicorn_http.semantics.refusal import Refusal

_RULE = "RFC 9112 section 6.1"


def body_length(protocol: str, transfer_encoding: bytes | None, content_length: bytes | None) -> tuple[bool, int]:
    """(chunked, Content-Length): the length counts only without chunked, and is 0 without a body.

    Raises:
        Refusal: ambiguous or malformed framing, or a transfer coding other than chunked.
    """
    if transfer_encoding is not None:
        if content_length is not None:
            raise Refusal(400, "te-and-cl", "both Transfer-Encoding and Content-Length are present", _RULE)
        if protocol == "HTTP/1.0":
            raise Refusal(400, "te-in-1.0", "Transfer-Encoding in an HTTP/1.0 request", _RULE)
        _check_codings(transfer_encoding)
        return True, 0
    if content_length is None:
        return False, 0
    if grammar.DIGITS.fullmatch(content_length) is None:
        raise Refusal(400, "content-length", "Content-Length is not a number", "RFC 9112 section 6.3")
    return False, int(content_length)


def body_too_large(limit: int) -> Refusal:
    """For a body of more than `limit` bytes."""
    return Refusal(413, "body-too-large", f"the body is larger than {limit} bytes", "RFC 9110 section 15.5.14")


def _check_codings(value: bytes) -> None:
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        return
    if codings.count(b"chunked") == 1 and codings[-1] == b"chunked" and all(map(grammar.TOKEN.fullmatch, codings)):
        raise Refusal(501, "transfer-coding", "the only transfer coding served is chunked", "RFC 9112 section 6.1")
    raise Refusal(400, "te-not-chunked", "Transfer-Encoding does not end in one 'chunked'", "RFC 9112 section 6.3")
