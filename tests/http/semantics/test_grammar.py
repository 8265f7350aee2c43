"""The patterns match what the RFCs' rules match, and take linear time on whatever comes."""

import re

import pytest
from timing import grows_linearly

from unicorn_http.semantics import grammar

PATTERNS = {name: value for name, value in vars(grammar).items() if isinstance(value, re.Pattern)}

HARD = {
    "letters": (b"", b"a", b"\0"),
    "blanks": (b"a:", b" ", b"\0"),
    "blanks and letters": (b"a:", b" a", b"\0"),
    "tabs after a name": (b"a", b"\t", b":"),
    "extensions": (b"1", b";a", b"\0"),
    "extensions with values": (b"1", b";a=b", b"\0"),
    "quotes": (b'1;a="', b"a", b"\0"),
    "escaped quotes": (b'1;a="', b'\\"', b"\0"),
    "backslashes": (b'1;a="', b"\\\\", b"\0"),
    "colons": (b"", b":", b"\0"),
    "digits": (b"", b"0", b"x"),
    "an authority": (b"http://", b"a.", b" "),
    "slashes": (b"http:/", b"/", b" "),
    "brackets": (b"[", b":", b"a"),
    "a path": (b"/", b"/a", b"#"),
}


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("hard", HARD)
def test_no_pattern_takes_more_than_linear_time(name, hard):
    pattern = PATTERNS[name]
    before, repeated, after = HARD[hard]
    if isinstance(pattern.pattern, str):
        before, repeated, after = (part.decode("latin-1") for part in HARD[hard])
    assert grows_linearly(lambda count: pattern.fullmatch(before + repeated * count + after), 8000)


def test_a_token_is_made_of_the_characters_of_rfc_9110():
    allowed = set(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
    for byte in range(256):
        matches = grammar.TOKEN.fullmatch(bytes((byte,))) is not None
        assert matches == (byte in allowed), byte
        assert (grammar.FIELD_LINE.fullmatch(b"a%c: b" % byte) is not None) == (byte in allowed or byte == 0x3A), byte
    assert not grammar.TOKEN.fullmatch(b"")


def test_a_value_is_made_of_visible_characters_blanks_and_obs_text():
    for byte in range(256):
        matches = grammar.FIELD_LINE.fullmatch(b"a: b%cb" % byte) is not None
        assert matches == (byte == 9 or (byte >= 0x20 and byte != 0x7F)), byte


def test_no_pattern_takes_a_line_end_at_its_end():
    """Python's `$` would; fullmatch does not."""
    for good, name in [
        (b"a", "TOKEN"),
        (b"a: b", "FIELD_LINE"),
        (b"a", "HOST"),
        (b"5", "DIGITS"),
        (b"5", "CHUNK_LINE"),
    ]:
        assert PATTERNS[name].fullmatch(good)
        for end in (b"\n", b"\r", b"\r\n", b"\0"):
            assert not PATTERNS[name].fullmatch(good + end), (name, end)


def test_digits_are_those_of_ascii():
    for byte in range(256):
        assert (grammar.DIGITS.fullmatch(bytes((byte,))) is not None) == (0x30 <= byte <= 0x39)
