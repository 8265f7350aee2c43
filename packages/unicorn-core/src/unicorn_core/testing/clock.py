"""A clock that goes on only when a test says so."""


class FakeClock:
    """Call it for the time (seconds)."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; gives the new time."""
        self.now += seconds
        return self.now
