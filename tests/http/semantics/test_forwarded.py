"""Only a believed peer is believed, and only one that does not contradict itself."""

import pytest

from unicorn_core.errors import SettingError
from unicorn_http.semantics.forwarded import SchemeFields, TrustedPeers
from unicorn_http.semantics.refusal import Refusal

FIELDS = SchemeFields({"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"})


def trusts(setting, address):
    return TrustedPeers.parse(setting.split(","), "forwarded_allow_ips").trusts(address)


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1,::1", "::1"),
        ("10.0.0.0/8", "10.255.0.1"),
        ("10.0.0.0/255.0.0.0", "10.1.2.3"),
        ("2001:db8::/32", "2001:db8::7"),
        ("2001:0DB8:0:0::7", "2001:db8::7"),
        ("fe80::/10", "fe80::1%eth0"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("*", "192.0.2.1"),
        ("*", "2001:db8::7"),
        ("10.0.0.1,*", "192.0.2.1"),
        ("127.0.0.1", ""),
    ],
)
def test_who_is_believed(setting, address):
    assert trusts(setting, address)


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::1"),
        ("::1", "127.0.0.1"),
        ("10.0.0.0/8", "11.0.0.1"),
        ("10.0.0.0/8", "::ffff:11.0.0.1"),
        ("10.0.0.0/8", "::10.0.0.1"),
        ("10.0.0.0/8", "64:ff9b::10.0.0.1"),
        ("2001:db8::/32", "2001:db9::7"),
        ("0.0.0.0/0", "2001:db8::7"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "127.0.0.1, 10.0.0.1"),
        ("127.0.0.1", " 127.0.0.1"),
        ("127.0.0.1", "unix:"),
    ],
)
def test_who_is_not_believed(setting, address):
    assert not trusts(setting, address)


def test_nobody_is_believed_but_unix_sockets_if_nobody_is_named():
    peers = TrustedPeers.parse([], "forwarded_allow_ips")
    assert not peers.trusts("127.0.0.1")
    assert peers.trusts("")


@pytest.mark.parametrize(
    "entry", ["localhost", "10.0.0.1/8", "10.0.0", "10.0.0.0/33", "", " ", "**", "proxy.example", "[::1]"]
)
def test_an_entry_that_is_no_address_is_named_in_the_error(entry):
    with pytest.raises(SettingError) as caught:
        TrustedPeers.parse(["127.0.0.1", entry], "forwarded_allow_ips")
    assert "forwarded_allow_ips" in str(caught.value)
    assert repr(entry) in str(caught.value)


@pytest.mark.parametrize(
    ("table", "scheme"),
    [
        ({}, "http"),
        ({b"x-forwarded-proto": b"https"}, "https"),
        ({b"x-forwarded-proto": b"http"}, "http"),
        ({b"x-forwarded-proto": b""}, "http"),
        ({b"x-forwarded-proto": b"https,http"}, "http"),
        ({b"x-forwarded-ssl": b"on"}, "https"),
        ({b"x-forwarded-ssl": b"off"}, "http"),
        ({b"x-forwarded-protocol": b"ssl"}, "https"),
        ({b"x-forwarded-protocol": b"ssl", b"x-forwarded-proto": b"https", b"x-forwarded-ssl": b"on"}, "https"),
        ({b"x-forwarded-proto": b"http", b"x-forwarded-ssl": b"off"}, "http"),
        ({b"x-url-scheme": b"https"}, "http"),
    ],
)
def test_the_scheme_is_what_the_fields_say(table, scheme):
    assert FIELDS.scheme(table, "http") == scheme


def test_without_a_field_the_connection_decides():
    assert FIELDS.scheme({}, "https") == "https"


def test_several_proxies_may_each_have_added_the_same_line():
    assert FIELDS.scheme({b"x-forwarded-proto": b"https,https"}, "http") == "https"
    assert FIELDS.scheme({b"x-forwarded-proto": b"https,http"}, "http") == "http"


@pytest.mark.parametrize(
    "table",
    [
        {b"x-forwarded-proto": b"https", b"x-forwarded-ssl": b"off"},
        {b"x-forwarded-proto": b"http", b"x-forwarded-ssl": b"on"},
        {b"x-forwarded-protocol": b"ssl", b"x-forwarded-proto": b"http"},
        {b"x-forwarded-protocol": b"", b"x-forwarded-proto": b"https", b"x-forwarded-ssl": b"on"},
    ],
)
def test_a_contradiction_is_refused(table):
    with pytest.raises(Refusal) as caught:
        FIELDS.scheme(table, "http")
    assert (caught.value.status, caught.value.reason) == (400, "scheme")
