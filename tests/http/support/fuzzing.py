"""What all fuzzers have in common: the command, its loop, and what it tells."""

import argparse
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol


class Found(NamedTuple):
    """Something that must not be: what, on which bytes, with which settings."""

    what: str
    wire: bytes
    settings: Mapping[str, str]


class Fuzzing(Protocol):
    """A fuzzer.

    Attributes:
        executions: how often a codec has read something so far.
        accepted: how many requests were complete.
    """

    executions: int
    accepted: int

    def once(self) -> Found | None:
        """Try something."""


def run(description: str, parsers: Sequence[str], make: Callable[[int, Sequence[str]], Fuzzing]) -> int:
    """Fuzz for a while, with the fuzzer that a seed and some of these parsers make; 1 if something was found."""
    command = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--seconds", type=float, default=60.0)
    command.add_argument("--seed", type=int, default=None, help="to repeat a run; by default another one each time")
    if len(parsers) > 1:
        command.add_argument("--parser", nargs="+", choices=parsers, default=parsers, help="by default all")
    options = command.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    chosen = options.parser if len(parsers) > 1 else parsers
    fuzzer = make(seed, chosen)
    print(f"seed {seed}: {', '.join(chosen)} for {options.seconds:g} s", flush=True)
    began = time.monotonic()
    while (took := time.monotonic() - began) < options.seconds:
        found = fuzzer.once()
        if found is not None:
            print(f"after {fuzzer.executions} executions: {found.what}\n  wire: {found.wire!r}\n  {found.settings}")
            return 1
    rate = fuzzer.executions / took
    print(f"nothing found in {fuzzer.executions} executions ({rate:.0f}/s); {fuzzer.accepted} requests were in order")
    return 0
