"""Bars: what a run must reach, as `[workload,...:]server>=factor*server`, or `<=` where less is better."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from .samples import Row, cpu_ratio, ratio

NAME = r"[\w.@-]+"
BAR = re.compile(
    rf"(?:(?P<works>[\w,]+):)?(?P<left>{NAME})(?P<sign>[<>]=?)(?:(?P<factor>\d+(?:\.\d+)?)\*)?(?P<right>{NAME})"
)


class BarError(Exception):
    """A bar that cannot be read, or that does not fit the run."""


@dataclass(frozen=True)
class Bar:
    left: str
    right: str
    factor: float = 1.0
    strict: bool = False  # > instead of >=, < instead of <=
    least: bool = True  # False: what is measured must not be more
    works: tuple[str, ...] = ()  # the workloads that it holds for; none: each of the run

    def __str__(self) -> str:
        sign = (">" if self.least else "<") + ("" if self.strict else "=")
        return f"{self.left} {sign} {self.factor:g} x {self.right}"

    def met(self, ratio: float) -> bool:
        """Whether what was measured of the left one, in terms of the right one's, is enough; NaN never is."""
        if ratio == self.factor:
            return not self.strict
        return ratio > self.factor if self.least else ratio < self.factor

    def shown(self, ratio: float) -> str:
        """Three digits, not rounded to the good side, so that a bar just missed does not look met."""
        return f"{(math.floor if self.least else math.ceil)(ratio * 1000) / 1000:.3f}"

    def holds_for(self, work: str) -> bool:
        return not self.works or work in self.works

    def check(self, servers: Collection[str], works: Collection[str]) -> None:
        """BarError where the bar names a server or a workload that the run does not have."""
        for name in (self.left, self.right):
            if name not in servers:
                raise BarError(f"the bar {str(self)!r} names {name!r}, which is not in this run")
        for work in self.works:
            if work not in works:
                raise BarError(f"the bar {str(self)!r} names the workload {work!r}, which is not in this run")


@dataclass(frozen=True)
class Verdict:
    work: str
    bar: Bar
    ratio: float  # of the medians; NaN: one of the two has no figure
    cpu_ratio: float = math.nan  # of CPU time a request, told beside it
    doubts: tuple[str, ...] = ()

    @property
    def met(self) -> bool:
        return self.bar.met(self.ratio)

    def __str__(self) -> str:
        text = f"{self.work}: {self.bar}: {'met' if self.met else '**not met**'}, "
        if math.isnan(self.ratio):
            return text + "no figure"
        text += f"measured {self.bar.shown(self.ratio)}"
        if not math.isnan(self.cpu_ratio):
            text += f", {self.bar.shown(self.cpu_ratio)} by CPU time a request"
        return text + "".join(f"; {doubt}" for doubt in self.doubts)


def parse(text: str) -> Bar:
    found = BAR.fullmatch("".join(text.split()))
    if not found:
        raise BarError(f"--bar {text!r}: expected [WORKLOAD,...:]SERVER>=FACTOR*SERVER (or <=)")
    return Bar(
        left=found["left"],
        right=found["right"],
        factor=float(found["factor"] or 1),
        strict="=" not in found["sign"],
        least=">" in found["sign"],
        works=tuple(filter(None, (found["works"] or "").split(","))),
    )


def judge(bar: Bar, work: str, rows: Mapping[str, Row]) -> Verdict | None:
    """The verdict on one workload; None where the bar does not hold for it.

    A bar for every workload holds only for those in which both servers take part. It is not met where a
    server took part and failed, nor where it names a workload in which a server cannot take part.
    """
    if not bar.holds_for(work) or (not bar.works and not {bar.left, bar.right} <= rows.keys()):
        return None
    return Verdict(
        work,
        bar,
        ratio(rows, bar.left, bar.right),
        cpu_ratio(rows, bar.left, bar.right),
        doubts(rows[name] for name in (bar.left, bar.right) if name in rows),
    )


def doubts(rows: Iterable[Row]) -> tuple[str, ...]:
    """What speaks against taking the rates at their word."""
    found = []
    for row in rows:
        if row.client_limited:
            found.append(f"the load generator was at its limit with {row.name}")
        elif row.disturbed:
            found.append(f"{row.name} had only {row.median('server_cpu'):.0%} of a core")
    return tuple(found)
