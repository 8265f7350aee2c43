"""One server under one workload: the samples of its rounds, and their medians."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

CLIENT_LIMIT = 0.95  # share of a core from which on the load generator, not the server, may be the limit
SERVER_BUSY = 0.90  # cores below which a server was disturbed by other work, or waited for the load


@dataclass(frozen=True)
class Sample:
    """One round."""

    rate: float  # answers a second
    requests: int
    p50: float  # ms
    p99: float  # ms
    client_cpu: float  # share of a core
    errors: str = ""
    server_cpu: float = math.nan  # cores that the whole process tree used
    each_us: float = math.nan  # CPU time of the process tree for a request


@dataclass
class Row:
    """What is known of one server in one workload."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    rss: float = math.nan  # MiB, after the last round
    pss: float = math.nan
    failed: str = ""

    @property
    def measured(self) -> bool:
        """Whether the figures hold: every round was run, and every check passed."""
        return bool(self.samples) and not self.failed

    @property
    def rate(self) -> float:
        return self.median("rate")

    @property
    def client_limited(self) -> bool:
        return bool(self.samples) and self.median("client_cpu") >= CLIENT_LIMIT

    @property
    def disturbed(self) -> bool:
        return bool(self.samples) and self.median("server_cpu") < SERVER_BUSY

    @property
    def errors(self) -> str:
        """The longest of the rounds' complaints, and what made the row fail."""
        said = max((sample.errors for sample in self.samples), key=len, default="")
        return "; ".join(text for text in (said, self.failed) if text)

    def median(self, figure: str) -> float:
        return float(statistics.median(getattr(sample, figure) for sample in self.samples))


def ratio(rows: Mapping[str, Row], name: str, reference: str) -> float:
    """Median rate of a server in terms of another's; NaN where one of them has no figure."""
    return divided(rows, name, reference, "rate")


def cpu_ratio(rows: Mapping[str, Row], name: str, reference: str) -> float:
    """The same by CPU time a request, which other work on the machine disturbs less; above 1 is cheaper."""
    return divided(rows, reference, name, "each_us")


def divided(rows: Mapping[str, Row], upper: str, lower: str, figure: str) -> float:
    left, right = rows.get(upper), rows.get(lower)
    if not (left and right and left.measured and right.measured and right.median(figure)):
        return math.nan
    return left.median(figure) / right.median(figure)
