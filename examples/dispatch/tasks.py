"""Task apps: what runs in the task workers."""

import time

from unicorn_core.dispatch import TaskApp, batched


class Reports(TaskApp):
    """Slow work that keeps something in memory."""

    def init(self) -> None:
        time.sleep(0.5)  # a model that is loaded, a connection pool that is opened, ...
        self.made = 0

    def make(self, name: str, seconds: float = 0.2) -> dict[str, object]:
        """A report."""
        time.sleep(seconds)
        self.made += 1
        return {"name": name, "made here": self.made}

    def lines(self, count: int):
        """A report, line by line."""
        for number in range(count):
            time.sleep(0.05)
            yield f"line {number}"


class Scores(TaskApp):
    """Work that is cheaper for many at once; one task worker is enough."""

    workers = 1

    @batched(max_size=16, max_wait=0.01)
    def score(self, texts: list[str]) -> list[int]:
        """How good each text is."""
        time.sleep(0.05)
        return [len(text) for text in texts]
