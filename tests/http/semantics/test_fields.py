"""Field names are checked once and remembered within bounds; those with underscores are subject to the setting."""

import pytest

from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.head import UnderscorePolicy
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.request import ListRequest


def names(*also_watched):
    return FieldNames(lambda name: name, also_watched)


def request_of(known, *pairs):
    request = ListRequest(known)
    for name, value in pairs:
        request.on_header(name, value)
    return request


def test_a_stranger_cannot_make_the_caches_grow_without_bound():
    known = names()
    for number in range(3 * FieldNames.LARGEST):
        request_of(known, (b"X-%d" % number, b""), (b"x_%d" % number, b""))
        known.check_host(b"%d.example" % number)
    for number in range(1 << 8):
        # So many ways to write one watched name.
        spelling = bytes(c ^ 0x20 if number >> place & 1 else c for place, c in enumerate(b"connecti")) + b"on"
        request_of(known, (spelling, b"close"))
    assert len(known.ordinary) <= FieldNames.LARGEST
    assert len(known.ordinary_text) <= FieldNames.LARGEST
    assert len(known.watched) <= FieldNames.LARGEST
    assert len(known.hosts) <= FieldNames.LARGEST


def test_a_full_cache_changes_nothing_but_the_speed():
    known = names()
    for number in range(FieldNames.LARGEST):
        request_of(known, (b"X-%d" % number, b""))
        known.check_host(b"%d.example" % number)
    request = request_of(known, (b"New", b"1"), (b"HOST", b"a"), (b"new", b"2"), (b"Connection", b"close"))
    assert request.fields == [(b"new", b"1"), (b"host", b"a"), (b"new", b"2"), (b"connection", b"close")]
    assert request.watched == {b"connection": b"close"}
    assert request.host() == b"a"
    for bad in (b"a b", b"a/b"):
        with pytest.raises(Refusal):
            known.check_host(bad)
    with pytest.raises(Refusal):
        request_of(known, (b"a(", b""))


def test_names_are_compared_without_their_case_and_values_lose_trailing_blanks():
    request = request_of(names(b"x-watched"), (b"X-Watched", b"a \t"), (b"CONNECTION", b"b "), (b"Other", b"c\t "))
    assert request.watched == {b"x-watched": b"a", b"connection": b"b"}
    assert request.fields == [(b"x-watched", b"a"), (b"connection", b"b"), (b"other", b"c")]


@pytest.mark.parametrize("bad", [b"", b" ", b"a b", b"a:", b"\xe4", b"a\0", b"a\r\n", b"a\n", b"(", b'"a"'])
def test_a_malformed_name_is_refused_every_time(bad):
    known = names()
    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            request_of(known, (bad, b""))
        assert caught.value.reason == "field-name"


@pytest.mark.parametrize("name", [b"content-length", b"content-type", b"transfer-encoding", b"expect"])
def test_what_must_stand_alone_is_refused_twice(name):
    with pytest.raises(Refusal) as caught:
        request_of(names(), (name, b"a"), (name.title(), b"a"))
    assert caught.value.reason == "repeated-field"


def test_a_second_host_makes_the_value_one_that_no_host_has():
    known = names()
    for values in [(b"a", b"b"), (b"a", b"a"), (b"", b"a"), (b"a", b""), (b"", b"")]:
        request = request_of(known, *[(b"Host", value) for value in values])
        with pytest.raises(Refusal) as caught:
            known.check_host(request.host())
        assert caught.value.reason == "host"
    for value in (b"a", b""):
        known.check_host(request_of(known, (b"Host", value)).host())


def test_other_watched_fields_are_joined():
    assert request_of(names(), (b"Connection", b"a"), (b"connection", b"b")).watched == {b"connection": b"a,b"}


@pytest.mark.parametrize(
    ("header_map", "forwarder", "left"),
    [
        ("drop", [], [b"a-b"]),
        ("drop", [b"script_name"], [b"a-b", b"script_name"]),
        ("dangerous", [], [b"a_b", b"a-b", b"script_name", b"a_b"]),
        ("dangerous", [b"script_name"], [b"a_b", b"a-b", b"script_name", b"a_b"]),
    ],
)
def test_what_becomes_of_underscores(header_map, forwarder, left):
    request = request_of(names(), (b"A_b", b"1"), (b"A-B", b"2"), (b"SCRIPT_NAME", b"3"), (b"a_B", b"4"))
    UnderscorePolicy(header_map, frozenset(forwarder)).apply(request)
    assert sorted(name for name, _ in request.fields) == sorted(left)


def test_underscores_are_refused_where_the_setting_says_so():
    policy = UnderscorePolicy("refuse", frozenset({b"script_name"}))
    policy.apply(request_of(names(), (b"A-B", b""), (b"Script_Name", b"")))
    for name in (b"a_b", b"_", b"Content_Length", b"script__name", b"SCRIPT_NAME_"):
        with pytest.raises(Refusal) as caught:
            policy.apply(request_of(names(), (name, b"")))
        assert (caught.value.status, caught.value.reason) == (400, "underscore")


def test_every_underscore_is_noticed_also_the_second_time():
    known = names()
    for _ in range(2):
        with pytest.raises(Refusal, match="underscore"):
            UnderscorePolicy("refuse").apply(request_of(known, (b"A_b", b"")))
