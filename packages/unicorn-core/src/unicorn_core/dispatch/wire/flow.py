"""How far a stream may run ahead of who takes it.

The task worker may send values worth `WINDOW`; the caller grants as much again as the values were worth that it has
taken. Task worker, dispatcher and client count alike, so that no message is needed but the grants.
"""

from unicorn_core.dispatch.wire.frames import Frame, size

WINDOW = 256 * 1024
LEAST = 4 * 1024
"""What the smallest value counts for: some 64 of them may be under way."""
GRANT = WINDOW // 4
"""The caller tells of what it has taken as soon as it is worth so much."""


def worth(frame: Frame) -> int:
    """What a value counts for."""
    return LEAST + size(frame)


def grant(amount: int) -> bytes:
    """The body of a CREDIT frame."""
    return amount.to_bytes(8)


def granted(frame: Frame) -> int:
    """How much a CREDIT frame grants; nothing if it is malformed."""
    return int.from_bytes(frame.body) if len(frame.body) == 8 else 0
