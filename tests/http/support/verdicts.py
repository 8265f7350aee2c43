"""The page docs/verdicts.md: what each parser makes of each request of the corpus.

Run as a script it writes the page; a test compares the page with what it would write.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path

from codec_driver import CODECS, CodecCase, record, requests
from request_corpus import CLOSED, MALFORMED, VALID, Malformed, Valid

PAGE = Path(__file__).parents[3] / "docs" / "verdicts.md"

_TOP = """\
# Verdicts

What each parser of the protocol `http` makes of each request of the tests' corpus
([request_corpus.py](../tests/http/support/request_corpus.py)): the status of the answer and the reason code that the
log gives. Written by `./dev run verdicts`; a test fails when this page is not what the code does. [http.md](http.md)
tells the rules behind it. The peer is a proxy that is believed.
"""
_CLOSED = "closed"


def page() -> str:
    """The page as it should be."""
    parts = [_TOP, "## Refused\n", *_refused(), "## Served\n", *_served()]
    return "\n".join(parts)


def _refused() -> Iterable[str]:
    """A table for each rule, in the corpus's order of rules."""
    order = list(dict.fromkeys(case.rule for case in MALFORMED))
    ordered = sorted(MALFORMED, key=lambda case: order.index(case.rule))
    for rule, cases in groupby(ordered, key=lambda case: case.rule):
        yield f"### {rule}\n"
        yield _table(cases)


def _served() -> Iterable[str]:
    yield _table(VALID)


def _table(cases: Iterable[Malformed | Valid]) -> str:
    """A row a case, a column a parser."""
    names = [codec.name for codec in CODECS]
    rows = [["case", "settings", *names], ["---"] * (2 + len(names))]
    rows += [[case.name, _settings(case.settings), *(_verdict(codec, case) for codec in CODECS)] for case in cases]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def _verdict(codec: CodecCase, case: Malformed | Valid) -> str:
    """What the codec does with a case: "400 bare-lf", "2 requests"."""
    broken_off = isinstance(case, Malformed) and case.status == CLOSED
    calls = record(codec.protocol(**case.settings), [case.data], eof=broken_off)
    last = calls[-1]
    if last[0] == "abort":
        return f"{last[1]} {last[2]}" if last[1] else _CLOSED
    count = sum(request.complete for request in requests(calls))
    return "served" if count == 1 else f"{count} served"


def _settings(settings: Mapping[str, str]) -> str:
    return ", ".join(name if value == "true" else f"{name}={value}" for name, value in settings.items())


def _cell(text: str) -> str:
    for character in "\\|*_<[`":
        text = text.replace(character, "\\" + character)
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
