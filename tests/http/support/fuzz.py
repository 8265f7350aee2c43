"""Fuzzing of the codecs: requests of the corpus are changed at random, and every parser must make the same of them.

    ./dev run fuzz [--seconds 60] [--seed N] [--parser NAME ...]

Nothing but a refusal may come out of a codec, no cut of the bytes may change what it sees, and all parsers must agree.
Settings are drawn too. What breaks that is printed with all that is needed to repeat it, and the exit code is 1.
"""

import random
import sys
from collections.abc import Sequence

from codec_driver import CODECS, PROXY, STRANGER, Call, CodecCase, Form, cut, record, requests
from fuzzing import Found, run
from mutation import CHANGES, SETTINGS, TOKENS, mutated
from request_corpus import MALFORMED, VALID

LARGEST_SEED = 4096
FIELDS = (
    *(b"X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\n", b"X-Forwarded-Host: b:81\r\n", b"X-Forwarded-Port: 81\r\n"),
    *(b"X-Forwarded-Prefix: /a\r\n", b'Forwarded: for="[::1]:80";proto=https;host=b, for=_c\r\n', b"B : b\r\n c\r\n"),
)


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
    by_name = {codec.name: codec for codec in CODECS}
    return run(__doc__, list(by_name), lambda seed, names: Fuzzer(seed, [by_name[name] for name in names]))


if __name__ == "__main__":
    sys.exit(main())
