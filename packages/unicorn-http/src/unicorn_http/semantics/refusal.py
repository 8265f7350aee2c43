"""Why a request is refused, and what it is answered."""

from http import HTTPStatus


class CodecError(Exception):
    """Reading the connection cannot go on: what the peer sends is refused, or it is gone."""


class Disconnected(CodecError):
    """The peer closed the connection in the middle of a request."""


class Refusal(CodecError):
    """The peer's bytes break a rule.

    Attributes:
        status: of the answer.
        reason: a stable code for logs and metrics.
        rule: where the rule stands.
        to_head: the answer has no body, for the request is a HEAD.
    """

    def __init__(self, status: int, reason: str, text: str, rule: str) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.rule = rule
        self.to_head = False


def too_many_requests() -> Refusal:
    """For a request beyond those that a worker may have taken in and not answered."""
    return Refusal(503, "concurrency", "too many requests wait for their answers", "setting limit_concurrency")


def too_slow(part: str) -> Refusal:
    """For a request whose head or body does not come in time."""
    return Refusal(408, f"{part}-timeout", f"the request's {part} did not come in time", "RFC 9110 section 15.5.9")


def error_body(status: int, text: str = "") -> tuple[str, bytes]:
    """Status line's rest and a short plain body for an answer that the server itself gives."""
    phrase = HTTPStatus(status).phrase
    body = f"{status} {phrase}\n" if not text else f"{status} {phrase}: {text}\n"
    return f"{status} {phrase}", body.encode("latin-1", "replace")
