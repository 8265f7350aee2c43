"""No bytes at all make two codecs of one protocol disagree, a cut matter, or anything but a refusal come out of feed.

Requests of the corpus, and connections of several that are nearly the same, are changed at random and read by each
codec, whole and in pieces, under settings of all kinds. What finds a fault here must find it: a codec with a fault of
its own stands beside the others in the last tests.
"""

from collections.abc import Callable
from copy import copy
from itertools import pairwise
from types import SimpleNamespace

import pytest
from codec_driver import CODECS, PROXY, STRANGER, Form, Protocol, byte_by_byte, cut, record, requests
from fuzz import Fuzzer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutation import CHANGES, SEEDS, SETTINGS, VALID_SEEDS, mutated

numbers = st.integers(0, (1 << 16) - 1)
changes = st.lists(st.tuples(st.sampled_from(CHANGES), numbers, numbers), max_size=4)
seeds = st.one_of(st.sampled_from(VALID_SEEDS), st.sampled_from(VALID_SEEDS), st.sampled_from(SEEDS))
alike = st.builds(
    lambda seed, many: b"".join(mutated(seed, each) for each in many),
    st.sampled_from(VALID_SEEDS),
    st.lists(changes, min_size=2, max_size=4),
)
wires = st.one_of(st.builds(mutated, seeds, changes), alike)
wanted = st.sampled_from(SETTINGS)
anything = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


@pytest.mark.parametrize("form", Form)
@settings(anything, max_examples=1400)
@given(wire=wires, wanted=wanted, peer=st.sampled_from([PROXY, STRANGER]))
def test_all_parsers_see_the_same(form, wire, wanted, peer):
    seen = {codec.name: record(codec.protocol(**wanted), [wire], form=form, eof=True, peer=peer) for codec in CODECS}
    for (one, calls), (other, others) in pairwise(seen.items()):
        assert calls == others, (one, other)


@each_codec
@settings(anything, max_examples=600)
@given(wire=wires, wanted=wanted, ends=st.lists(numbers, max_size=6))
def test_no_cut_changes_what_is_seen(codec, wire, wanted, ends):
    protocol = codec.protocol(**wanted)
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


# The search itself


class Lax:
    """A codec that sees some bytes otherwise than it should: a fault to be found."""

    name = "lax"

    def __init__(self, fault: Callable[[bytes], bytes]) -> None:
        self._fault = fault

    def protocol(self, **wanted: object) -> Protocol:
        protocol = CODECS[0].protocol(**wanted)
        connect = protocol.connect

        def lax(sink, peer):
            codec = connect(sink, peer)
            feed = codec.feed
            return SimpleNamespace(feed=lambda data: feed(self._fault(data)), feed_eof=codec.feed_eof)

        faulty = copy(protocol)
        faulty.connect = lax
        return faulty


FAULTS = {
    "bare LF": lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "vertical tab is blank": lambda data: data.replace(b"\x0b", b" "),
    "repeated length": lambda data: data.replace(b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5"),
    "plus sign": lambda data: data.replace(b"+5", b"5"),
    "blank before the colon": lambda data: data.replace(b" :", b":"),
    "HTTP/2.0": lambda data: data.replace(b"HTTP/2.0", b"HTTP/1.1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fuzzer_finds_a_fault(fault):
    fuzzer = Fuzzer(1, [CODECS[0], Lax(FAULTS[fault])])
    assert any(fuzzer.once() for _ in range(3000)), f"not found in {fuzzer.executions} executions"


def test_the_fuzzer_finds_no_fault_and_reads_many_requests_in_order():
    fuzzer = Fuzzer(2, CODECS)
    for _ in range(500):
        assert fuzzer.once() is None
    assert fuzzer.accepted > 100
    assert fuzzer.executions == 500 * 2 * len(CODECS)
