"""No bytes at all make two codecs of one protocol disagree, a cut matter, or anything but a refusal come out of feed.

Requests of the corpus are changed at random and read by each codec, whole and in pieces.
"""

from itertools import pairwise

import pytest
from codec_driver import CODECS, PROXY, STRANGER, Form, byte_by_byte, cut, record, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import CHANGES, SEEDS, mutated

TIGHT = {
    "limit_request_line": 60,
    "limit_request_fields": 4,
    "limit_request_field_size": 40,
    "limit_request_head": 150,
}
"""Limits that the changed requests reach."""

numbers = st.integers(0, (1 << 16) - 1)
wires = st.builds(
    mutated, st.sampled_from(SEEDS), st.lists(st.tuples(st.sampled_from(CHANGES), numbers, numbers), max_size=4)
)
anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


each_limit = pytest.mark.parametrize("limits", [{}, TIGHT], ids=["default limits", "tight limits"])
each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


@each_limit
@pytest.mark.parametrize("form", Form)
@settings(anything, max_examples=700)
@given(wire=wires, peer=st.sampled_from([PROXY, STRANGER]))
def test_all_parsers_see_the_same(limits, form, wire, peer):
    seen = {codec.name: record(codec.protocol(**limits), [wire], form=form, eof=True, peer=peer) for codec in CODECS}
    for (one, calls), (other, others) in pairwise(seen.items()):
        assert calls == others, (one, other)


@each_limit
@each_codec
@settings(anything, max_examples=300)
@given(wire=wires, ends=st.lists(numbers, max_size=6))
def test_no_cut_changes_what_is_seen(codec, limits, wire, ends):
    protocol = codec.protocol(**limits)
    whole = record(protocol, [wire], eof=True)
    requests(whole)  # checks their order
    assert record(protocol, byte_by_byte(wire), eof=True) == whole
    assert record(protocol, cut(wire, [end % (len(wire) + 1) for end in ends]), eof=True) == whole


@each_codec
@settings(anything, max_examples=300)
@given(wire=st.binary(max_size=200), pieces=st.lists(st.binary(max_size=30), max_size=6))
def test_noise_is_read_without_an_exception(codec, wire, pieces):
    calls = record(codec.protocol(), [wire, *pieces], eof=True)
    # Noise can be a request by chance, but not without a version.
    assert not any(request.complete for request in requests(calls)) or b" HTTP/1." in b"".join([wire, *pieces])
