"""Which hosts are served."""

import pytest

from unicorn_core.errors import SettingError
from unicorn_http.semantics.hosts import AllowedHosts, split_port

SERVED = AllowedHosts.parse(["Example.org", "*.example.net", "[::1]", "192.0.2.1", "under_score"])


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "EXAMPLE.org.", "example.org:8000", "example.org:", "a.example.net", "a.b.Example.net:1"),
        *("[::1]", "[::1]:80", "192.0.2.1", "192.0.2.1:80", "under_score"),
    ],
)
def test_served(host):
    assert SERVED.allows(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "example.net", "a.example.org", "example.orga", "xexample.net", "example.net.a", "[::2]", "192.0.2.2"),
        *("example.org.evil", "evil.example.org", "-example.org", ":80", "example"),
    ],
)
def test_not_served(host):
    assert not SERVED.allows(host)


@pytest.mark.parametrize("texts", [[], ["*"], ["a", "*"]])
def test_all_are_served(texts):
    assert AllowedHosts.parse(texts) is None


@pytest.mark.parametrize("text", ["http://a", "a:80", "a/b", "*a", "*.", "**.a", "a.*.b", "a b", "[::1", "a..b"])
def test_what_is_no_host_is_named(text):
    with pytest.raises(SettingError, match="allowed_hosts"):
        AllowedHosts.parse([text])


@pytest.mark.parametrize(
    ("host", "parts"),
    [("a", ("a", "")), ("a:1", ("a", "1")), ("a:", ("a", "")), ("[::1]", ("[::1]", "")), ("[::1]:2", ("[::1]", "2"))],
)
def test_name_and_port(host, parts):
    assert split_port(host) == parts
