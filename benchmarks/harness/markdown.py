"""Markdown tables, and figures as they stand in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first and the last column to the left, the figures between them to the right."""
    rules = ["---", *["---:"] * (len(head) - 2), "---"]
    lines = [head, rules, *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text that cannot break the table."""
    return " ".join(text.split()).replace("|", "\\|")


def number(value: float, digits: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def spread(values: Sequence[float], digits: int = 0) -> str:
    """min..max."""
    return f"{min(values):.{digits}f}..{max(values):.{digits}f}" if values else "-"
