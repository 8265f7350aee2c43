"""The length of a request's body is what RFC 9112 section 6.3 says, and what is ambiguous there is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unicorn_http.semantics.framing import body_length
from unicorn_http.semantics.refusal import Refusal


@pytest.mark.parametrize(
    ("coding", "length", "expected"),
    [
        (None, None, (False, 0)),
        (None, b"0", (False, 0)),
        (None, b"42", (False, 42)),
        (None, b"000042", (False, 42)),
        (None, b"9" * 18, (False, 10**18 - 1)),
        (b"chunked", None, (True, 0)),
        (b"Chunked", None, (True, 0)),
        (b" \tCHUNKED\t ", None, (True, 0)),
    ],
)
def test_what_is_clear_is_read(coding, length, expected):
    assert body_length("HTTP/1.1", coding, length) == expected


def test_only_http_1_1_has_chunks():
    assert body_length("HTTP/1.0", None, b"5") == (False, 5)
    with pytest.raises(Refusal) as caught:
        body_length("HTTP/1.0", b"chunked", None)
    assert caught.value.reason == "te-in-1.0"


@given(coding=st.binary(), length=st.binary())
def test_both_fields_are_refused_whatever_they_say(coding, length):
    with pytest.raises(Refusal) as caught:
        body_length("HTTP/1.1", coding, length)
    assert (caught.value.status, caught.value.reason) == (400, "te-and-cl")


@given(length=st.one_of(st.binary(), st.integers().map(lambda number: b"%d" % number)))
def test_a_length_is_digits_or_refused(length):
    if length.isdigit() and len(length) <= 18:
        assert body_length("HTTP/1.1", None, length) == (False, int(length))
    else:
        with pytest.raises(Refusal) as caught:
            body_length("HTTP/1.1", None, length)
        assert caught.value.reason == "content-length"


@given(
    coding=st.one_of(st.binary(), st.text("chunked,; \t\x0b\xa0gzip", max_size=20).map(lambda t: t.encode("latin-1")))
)
def test_any_coding_but_chunked_is_refused(coding):
    if coding.strip(b" \t").lower() == b"chunked":
        assert body_length("HTTP/1.1", coding, None) == (True, 0)
    else:
        with pytest.raises(Refusal) as caught:
            body_length("HTTP/1.1", coding, None)
        assert caught.value.status in (400, 501)


def test_a_known_but_unserved_coding_is_501_only_if_chunked_ends_it():
    for coding, status in [(b"gzip, chunked", 501), (b"a, b,chunked", 501), (b"gzip", 400), (b"chunked, gzip", 400)]:
        with pytest.raises(Refusal) as caught:
            body_length("HTTP/1.1", coding, None)
        assert caught.value.status == status
