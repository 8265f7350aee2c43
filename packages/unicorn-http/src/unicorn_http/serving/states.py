"""What a connection waits for, whatever worker class it belongs to, and what bounds it."""

from collections.abc import Iterator
from enum import Enum, auto

RECEIVE = 65536
"""Bytes read at once. Together with the rule that nothing is read while requests wait, the bound of pipelining."""
PER_TURN = 32
"""Requests of one connection that are run in one turn, so that a pipelining client does not keep others waiting."""
LARGE_BODY = 16384
"""A request whose body has so many bytes is run as soon as its head is there: the bodies of a whole turn would push
each other out of the cache."""
LINGER = 2.0
"""Seconds that a client has for reading the last answer before the connection is reset (RFC 9112 section 9.6)."""
LINGER_BYTES = 1 << 20


class State(Enum):
    """What a connection waits for."""

    READING = auto()
    FLUSHING = auto()  # for the client to read what is unsent (on a loop that is no state of its own)
    LINGERING = auto()  # for the client to close, after the last answer
    CLOSED = auto()
    HANDSHAKING = auto()  # for what comes before HTTP: a PROXY header, a TLS handshake


# Names of the module, because looking a member up in its class costs more than comparing it.
READING, FLUSHING, LINGERING, CLOSED, HANDSHAKING = State

Opening = Iterator[int]
"""What comes before HTTP, step by step: gives READ or WRITE for what it waits, and ends when HTTP may begin. It may
leave the connection in another state than HANDSHAKING, too; OSError: the client is gone."""


class Persistence:
    """Whether connections stay open after their next answer: one for all connections of a worker.

    Attributes:
        allowed: they do, as far as the worker is concerned.
    """

    __slots__ = ("allowed",)

    def __init__(self) -> None:
        self.allowed = True
