"""A connection as those see it who keep it and who open it, whatever its requests are run by."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from unicorn_http.codec import ConnectionFactory, Peer
from unicorn_http.semantics.proxy_protocol import ProxyHeader
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.serving.states import Opening, State
from unicorn_http.serving.stream import SecureStream, Stream

Common = dict[str, Any]
"""What all requests of one connection have in common, in the gateway's form (for WSGI a part of environ)."""


class CommonFactory(Protocol):
    """Makes that."""

    def for_connection(self, peer: Peer, proxy: ProxyHeader | None = None) -> Common:
        """`proxy`: what a PROXY header said, if there was one."""
        ...


class Opened(Protocol):
    """While what comes before HTTP is still to come.

    Attributes:
        state: what it waits for.
        opening: what is still to come.
        peer: the two ends.
        socket: what bytes go through.
    """

    state: State
    opening: Opening
    peer: Peer
    socket: Stream

    def shake_hands(self, now: float) -> None:
        """Go on with `opening` as far as that goes without waiting."""

    def introduce(self, peer: Peer, make_codec: ConnectionFactory, common: Common, /) -> None:
        """This is who the client is."""

    def refuse(self, refusal: Refusal) -> None:
        """Answer with this, and read no more."""

    def unwatch(self) -> None:
        """Let whoever polls forget it."""

    def secure(self, stream: SecureStream) -> None:
        """From now on bytes go through this; the socket belongs to it."""

    def secured(self, variables: Mapping[str, str]) -> None:
        """The requests come over TLS."""


class Kept(Opened, Protocol):
    """One that a table of connections keeps.

    Attributes:
        fd: of its socket.
        since: when the present wait began (monotonic seconds).
        patience: seconds for which it may be idle, beside its keep-alive.
        served: it has brought a request before.
    """

    fd: int
    since: float
    patience: float
    served: bool

    @property
    def queue(self) -> Collection[Any]:
        """Requests that came and are not yet run."""
        ...

    @property
    def idle(self) -> bool:
        """It waits for a request of which nothing has come."""
        ...

    @property
    def begun(self) -> bool:
        """A part of a request's head has come, and the rest is waited for."""
        ...

    def expired(self, now: float) -> bool:
        """The present wait has lasted too long."""
        ...

    def take_in(self, now: float) -> None:
        """Read once, without waiting."""

    def watch(self) -> None:
        """Let whoever polls tell when something comes, or when the client can be written to."""

    def cut(self) -> None:
        """Close at once, by a reset."""
