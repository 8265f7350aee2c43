"""Every form of the setting `bind` that gunicorn's users write is read, and what is wrong is said."""

import pytest

from unicorn_core.errors import SettingError
from unicorn_core.listen.address import Address, InheritedAddress, TcpAddress, UnixAddress, parse
from unicorn_core.listen.listener import parse_all


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", TcpAddress("127.0.0.1", 8000)),
        ("localhost:80", TcpAddress("localhost", 80)),
        (":8000", TcpAddress("", 8000)),
        ("tcp://127.0.0.1:9000", TcpAddress("127.0.0.1", 9000)),
        ("[::1]:80", TcpAddress("::1", 80)),
        ("[::]", TcpAddress("::", 8000)),
        ("tcp://[::1]", TcpAddress("::1", 8000)),
        ("127.0.0.1:0", TcpAddress("127.0.0.1", 0)),
        ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:///run/app.sock", UnixAddress("/run/app.sock")),
        ("unix:app.sock", UnixAddress("app.sock")),
        ("unix:@name", UnixAddress("@name")),
        ("fd://3", InheritedAddress(3)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:",
        "host:x",
        "host:65536",
        "host:-1",
        "::1",
        "::1:80",
        "[::1",
        "[::1]x",
        "unix:",
        "fd://",
        "fd://x",
        "http://x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def test_the_refusal_names_setting_value_and_origin() -> None:
    with pytest.raises(SettingError, match=r"setting bind = 'x:y' \(file conf\): a port is a number"):
        parse_all(["x:y"], "file conf")


def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="at least one"):
        parse_all([], "file conf")


@pytest.mark.parametrize("text", ["127.0.0.1:80", "[::1]:80", "unix:/x", "fd://3"])
def test_an_address_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse(text)) == text
