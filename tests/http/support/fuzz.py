"""Fuzzing of the codecs: requests of the corpus are changed at random, and every parser must make the same of them.

    ./dev run fuzz [--seconds 60] [--seed N] [--parser NAME ...]

Nothing but a refusal may come out of a codec, no cut of the bytes may change what it sees, and all parsers must agree.
Settings are drawn too. What breaks that is printed with all that is needed to repeat it, and the exit code is 1.
"""

import argparse
import random
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from codec_driver import CODECS, PROXY, STRANGER, Call, CodecCase, Form, cut, record, requests
from mutation import CHANGES, SETTINGS, TOKENS, mutated
from request_corpus import MALFORMED, VALID

LARGEST_SEED = 4096
FIELDS = (
    *(b"X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n", b"X-Forwarded-Host: b:81\r\n", b"X-Forwarded-Port: 81\r\n"),
    *(b"X-Forwarded-Prefix: /a\r\n", b'Forwarded: for="[::1]:80";proto=https;host=b, for=_c\r\n', b"B : b\r\n c\r\n"),
)


class Found(NamedTuple):
    """Something that must not be."""

    what: str
    wire: bytes
    settings: Mapping[str, str]


class Fuzzer:
    """Makes requests from a seed, and compares what the parsers see.

    Attributes:
        executions: how often a codec has read something so far.
        accepted: how many requests were complete.
    """

    def __init__(self, seed: int, codecs: Sequence[CodecCase]) -> None:
        self._random = random.Random(seed)
        self._codecs = codecs
        # Most of them in order, or hardly anything would be after the changes.
        seeds = [[case.data for case in cases if len(case.data) <= LARGEST_SEED] for cases in (VALID, VALID, MALFORMED)]
        self._seeds = seeds
        self.executions = self.accepted = 0

    def once(self) -> Found | None:
        """Try one request."""
        draw = self._random
        wire = self._wire()
        settings = draw.choice(SETTINGS)
        form, peer = draw.choice(tuple(Form)), draw.choice((PROXY, STRANGER))
        ends = [draw.randrange(len(wire) + 1) for _ in range(draw.randrange(6))]
        whole: list[Call] | None = None
        for codec in self._codecs:
            protocol = codec.protocol(**settings)
            for pieces in ([wire], cut(wire, ends)):
                self.executions += 1
                try:
                    seen = record(protocol, pieces, form=form, eof=True, peer=peer)
                    requests(seen)  # checks their order
                except Exception as error:  # whatever it is, it has no business here
                    return Found(f"{codec.name} raises {error!r}, cut at {sorted(ends)}", wire, settings)
                if whole is None:
                    whole = seen
                    self.accepted += sum(call[0] == "end" for call in seen)
                elif seen != whole:
                    return Found(f"{codec.name}, cut at {sorted(ends)}, sees {seen}, not {whole}", wire, settings)
        return None

    def _wire(self) -> bytes:
        draw = self._random
        seeds = [draw.choice(draw.choice(self._seeds)) for _ in range(draw.choice((1, 1, 1, 2)))]
        if draw.random() < 0.3:
            # Fields that repeat on a connection, or nearly so, are not read anew.
            seeds += [self._changed(seeds[0]) for _ in range(draw.choice((1, 2, 3)))]
        wire = b"".join(seeds)
        if draw.random() < 0.2:
            wire = wire.replace(b"\r\n", b"\r\n" + draw.choice(FIELDS), 1)
        wire = self._changed(wire)
        if draw.random() < 0.1:
            at = draw.randrange(len(wire) + 1)
            wire = wire[:at] + draw.choice(TOKENS) * draw.choice((2, 30, 3000)) + wire[at:]
        return wire

    def _changed(self, wire: bytes) -> bytes:
        draw = self._random
        count = draw.choice((0, 1, 1, 2, 2, 3, 5, 8))
        changes = [(draw.choice(CHANGES), draw.getrandbits(20), draw.getrandbits(20)) for _ in range(count)]
        return mutated(wire, changes)


def main() -> int:
    """Fuzz for a while; 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; by default another one each time")
    parser.add_argument("--parser", nargs="+", choices=[codec.name for codec in CODECS], help="by default all")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    codecs = [codec for codec in CODECS if not options.parser or codec.name in options.parser]
    fuzzer = Fuzzer(seed, codecs)
    print(f"seed {seed}: {', '.join(codec.name for codec in codecs)} for {options.seconds:g} s", flush=True)
    began = time.monotonic()
    while (took := time.monotonic() - began) < options.seconds:
        found = fuzzer.once()
        if found is not None:
            print(f"after {fuzzer.executions} executions: {found.what}\n  wire: {found.wire!r}\n  {found.settings}")
            return 1
    rate = fuzzer.executions / took
    print(f"nothing found in {fuzzer.executions} executions ({rate:.0f}/s); {fuzzer.accepted} requests were in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
