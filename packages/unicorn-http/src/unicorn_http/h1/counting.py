"""A codec whose connection serves so many requests and no more (setting limit_requests_per_connection)."""

from unicorn_http.codec import ServerLines, Sink
from unicorn_http.h1.codec import H1Codec
from unicorn_http.semantics.head import HeadPolicy, SplitFields
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import ResponseHead


class CountingH1Codec(H1Codec):
    """A class of its own, so that who sets no limit pays for no count."""

    __slots__ = ("_remaining",)

    def __init__(self, sink: Sink, policy: HeadPolicy, split: SplitFields, server: ServerLines, limit: int) -> None:
        super().__init__(sink, policy, split, server)
        self._remaining = limit

    def head(self, request: Request, response: ResponseHead, length: int | None, persist: bool) -> bytes:
        self._remaining -= 1
        return super().head(request, response, length, persist and self._remaining > 0)
