"""The limits that a pool holds its workers to."""

from msgspec import Struct


class Limits(Struct, frozen=True):
    """Seconds; 0 means no limit.

    Attributes:
        boot: from spawn to ready.
        silence: of a ready worker, from one heartbeat to the next.
        graceful: from the request to drain to the end of the process.
        last: from the request to quit, or from an abort, to the kill.
        lame: from the request to stop gracefully to the one to drain.
        lifetime, lifetime_jitter: of a ready worker, until it is replaced.
        memory: bytes beyond which a worker is replaced.
        boot_setting: where `boot` comes from, for messages.
    """

    boot: float = 120.0
    silence: float = 30.0
    graceful: float = 30.0
    last: float = 1.0
    lame: float = 0.0
    lifetime: float = 0.0
    lifetime_jitter: float = 0.0
    memory: int = 0
    boot_setting: str = "worker_boot_timeout"


def deadline(now: float, limit: float) -> float | None:
    """When a limit that begins now runs out; None without a limit."""
    return now + limit if limit else None
