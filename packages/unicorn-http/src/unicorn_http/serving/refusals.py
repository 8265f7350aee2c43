"""The log of requests that are refused, or would be."""

from unicorn_core.observe.limiter import RateLimiter
from unicorn_core.observe.logs import Logger, printable
from unicorn_http.codec import Peer
from unicorn_http.semantics.refusal import Refusal


class RefusalLog:
    """One a worker, since what clients do wrong must not fill the log."""

    def __init__(self, log: Logger) -> None:
        self._warn = RateLimiter(log.warning)

    def refused(self, peer: Peer, refusal: Refusal) -> None:
        """A request was refused."""
        self._tell("Refused request from %s: %s %s (%s, %s)", peer, refusal)

    def reported(self, peer: Peer, refusal: Refusal) -> None:
        """A request breaks a rule that is only watched (setting strictness)."""
        self._tell("Request from %s would be refused: %s %s (%s, %s)", peer, refusal)

    def _tell(self, text: str, peer: Peer, refusal: Refusal) -> None:
        client = peer.name
        self._warn(text, client, refusal.status, printable(str(refusal)), refusal.reason, refusal.rule)
