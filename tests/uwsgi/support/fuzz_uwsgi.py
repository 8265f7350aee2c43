"""Fuzzing of the uwsgi codec: packets are changed at random.

    ./dev run fuzz-uwsgi [--seconds 60] [--seed N]

Nothing but a refusal may come out of the codec, no cut of the bytes may change what it sees, a connection brings no
second request unless that is allowed, and nothing gets into environ that is not the front's to say. What breaks that is
printed with all that is needed to repeat it, and the exit code is 1.
"""

import random
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[2] / "http" / "support"))

from codec_driver import PROXY, Call, Form, cut, record, requests
from fuzzing import Found, run
from packets import MALFORMED, VALID, Pair, block, packet, pairs_of
from uwsgi_driver import UWSGI

SEEDS = tuple(case.data for case in (*VALID, *VALID, *MALFORMED) if len(case.data) < 4096)
SETTINGS: tuple[dict[str, str], ...] = (
    *({}, {}, {"uwsgi_persistent": "true"}, {"uwsgi_persistent": "true", "buffer_request_body": "0"}),
    {"header_map": "dangerous", "proxy_headers": "x-forwarded", "forwarded_allow_ips": "*"},
    {"header_map": "refuse", "strictness": "report", "proxy_headers": "forwarded", "forwarded_allow_ips": "*"},
    {"limit_request_fields": "4", "limit_request_field_size": "40", "limit_request_line": "60"},
    {"limit_request_body": "4", "allowed_hosts": "example.org"},
)
NAMES = (
    *(b"REQUEST_METHOD", b"REQUEST_URI", b"PATH_INFO", b"QUERY_STRING", b"SERVER_PROTOCOL", b"CONTENT_LENGTH"),
    *(b"CONTENT_TYPE", b"SCRIPT_NAME", b"REMOTE_ADDR", b"REMOTE_PORT", b"SERVER_NAME", b"SERVER_PORT", b"HTTPS"),
    *(b"UWSGI_SCHEME", b"REQUEST_SCHEME", b"HTTP_HOST", b"HTTP_TRANSFER_ENCODING", b"HTTP_CONTENT_LENGTH"),
    *(b"HTTP_EXPECT", b"HTTP_CONNECTION", b"HTTP_X_FORWARDED_FOR", b"HTTP_X_FORWARDED_PREFIX", b"HTTP_FORWARDED"),
    *(b"HTTP_X-A", b"HTTP_X_A", b"HTTP_", b"", b"wsgi.input", b"UWSGI_FILE", b"HTTP_a", b"HTTP_A\r\nB"),
)
VALUES = (
    *(b"", b"0", b"5", b"+5", b"5, 5", b"GET", b"POST", b"HEAD", b"/", b"/a", b"/a?b", b"*", b"http://a/b", b"a=b"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"chunked", b"gzip, chunked", b"100-continue", b"on", b"https", b"ftp"),
    *(
        b"127.0.0.1",
        b"192.0.2.1",
        b"::1",
        b"unix:",
        b"80",
        b"99999",
        b"example.org",
        b"a\r\nB: c",
        b"a\n",
        b"\0",
        b"\xff",
    ),
    *(b'for="[::1]:80"', b"close", b" a ", b"%41", b"%", b"/%2e/../\xe4"),
)


class Fuzzer:
    """Makes packets from a seed, and looks at what the codec sees.

    Attributes:
        executions: how often the codec has read something so far.
        accepted: how many requests were complete.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.executions = self.accepted = 0

    def once(self) -> Found | None:
        """Try one connection."""
        draw = self._random
        wire = self._wire()
        settings = draw.choice(SETTINGS)
        form = draw.choice(tuple(Form))
        ends = [draw.randrange(len(wire) + 1) for _ in range(draw.randrange(6))]
        protocol = UWSGI.protocol(**settings)
        whole: list[Call] | None = None
        for pieces in ([wire], cut(wire, ends), [wire], [wire]):  # a packet that repeats may be remembered
            self.executions += 1
            try:
                calls = record(protocol, pieces, form=form, eof=True, peer=PROXY)
                found = requests(calls)
            except Exception as error:  # whatever it is, it has no business here
                return Found(f"raises {error!r}, cut at {sorted(ends)}", wire, settings)
            if whole is None:
                whole = calls
                self.accepted += sum(request.complete for request in found)
                if len(found) > 1 and "uwsgi_persistent" not in settings:
                    return Found(f"sees a second request: {calls}", wire, settings)
                for request in found:
                    own = ("wsgi.", "gunicorn.", "unicorn.socket")
                    if any(name.startswith(own) for name in request.head["fields"]):
                        return Found(f"lets a variable of the server through: {calls}", wire, settings)
            elif calls != whole:
                return Found(f"cut at {sorted(ends)}, sees {calls}, not {whole}", wire, settings)
        return None

    def _wire(self) -> bytes:
        draw = self._random
        parts = [self._packet() if draw.random() < 0.7 else draw.choice(SEEDS) for _ in range(draw.choice((1, 1, 2)))]
        wire = bytearray(b"".join(parts))
        for _ in range(draw.choice((0, 0, 0, 1, 2, 5))):
            at = draw.randrange(len(wire) + 1)
            match draw.randrange(4):
                case 0:
                    wire[at:at] = draw.randbytes(draw.randrange(1, 4))
                case 1:
                    del wire[at : at + draw.randrange(1, 4)]
                case 2:
                    wire[at : at + 1] = draw.randbytes(1)
                case 3:
                    wire[at:] = draw.choice(SEEDS)
        return bytes(wire)

    def _packet(self) -> bytes:
        draw = self._random
        pairs: list[Pair] = pairs_of({}) if draw.random() < 0.95 else []
        for _ in range(draw.choice((0, 1, 2, 3, 6))):
            pair = (draw.choice(NAMES), draw.choice(VALUES))
            same = [at for at, (name, _) in enumerate(pairs) if name == pair[0]]
            if same and draw.random() < 0.7:
                pairs[same[0]] = pair
            else:
                pairs.insert(draw.randrange(len(pairs) + 1), pair)
        body = draw.choice((b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"))
        return packet(block(pairs), draw.choice((0, 0, 0, 30, 100, draw.randrange(256)))) + body


def main() -> int:
    """Fuzz for a while; 1 if something was found."""
    return run(__doc__, ["uwsgi"], lambda seed, names: Fuzzer(seed))


if __name__ == "__main__":
    sys.exit(main())
