"""A handshake is accepted as RFC 6455 section 4.2 says, and refused with the right status where it is wrong."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websocket_driver import ACCEPT, KEY, SERVER_LINES, Client, deflate, head, read_request, upgrade_of
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from unicorn_asgi.websocket.handshake import UpgradeRefusal, read_upgrade
from unicorn_asgi.websocket.policy import WebSocketPolicy
from unicorn_asgi.websocket.upgrade import wants_websocket
from unicorn_http.semantics.refusal import Refusal
from unicorn_http.semantics.response import InvalidResponseError


def answer(*fields, subprotocol=None, headers=(), **changes) -> str:
    return upgrade_of(*fields, **changes).response(subprotocol, headers, SERVER_LINES.lines).decode("latin-1")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upgrade": "WebSocket"},
        {"upgrade": "h2c, websocket"},
        {"connection": "keep-alive, Upgrade"},
        {"connection": "keep-alive,\tUPGRADE"},
        {"method": "POST"},
        {"sec_websocket_key": None},
        {"sec_websocket_version": "8"},
    ],
    ids=repr,
)
def test_a_request_wants_a_websocket_if_upgrade_and_connection_say_so(changes):
    assert wants_websocket(read_request(head(**changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"upgrade": None},
        {"upgrade": "h2c"},
        {"upgrade": "websockets"},
        {"connection": None},
        {"connection": "keep-alive"},
        {"connection": "upgraded"},
        {"protocol": "HTTP/1.0"},
    ],
    ids=repr,
)
def test_any_other_is_a_request_as_usual(changes):
    assert not wants_websocket(read_request(head(**changes)))


def test_an_upgrade_named_in_a_second_field_counts():
    assert wants_websocket(read_request(head("Upgrade: websocket", upgrade="h2c")))


def test_the_answer_is_the_one_of_the_rfc():
    assert answer() == (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {ACCEPT}\r\n"
        "Server: unicorn\r\n"
        "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        "\r\n"
    )


@pytest.mark.parametrize(
    ("changes", "fields", "reason"),
    [
        ({"method": "POST"}, [], "websocket-method"),
        ({"method": "HEAD"}, [], "websocket-method"),
        ({"content_length": "8"}, [], "websocket-body"),
        ({"transfer_encoding": "chunked"}, [], "websocket-body"),
        ({"sec_websocket_version": None}, [], "websocket-field"),
        ({}, ["Sec-WebSocket-Version: 13"], "websocket-field"),
        ({"sec_websocket_key": None}, [], "websocket-field"),
        ({}, [f"Sec-WebSocket-Key: {KEY}"], "websocket-field"),
        ({"sec_websocket_key": ""}, [], "websocket-key"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}, [], "websocket-key"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j"}, [], "websocket-key"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==="}, [], "websocket-key"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j Q=="}, [], "websocket-key"),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ==, x"}, [], "websocket-key"),
        ({"sec_websocket_protocol": "chat, su per"}, [], "websocket-subprotocols"),
        ({"sec_websocket_protocol": "chat\xe9"}, [], "websocket-subprotocols"),
        ({"sec_websocket_extensions": "permessage-deflate; ="}, [], "websocket-extensions"),
        ({"sec_websocket_extensions": "permessage-deflate bits"}, [], "websocket-extensions"),
        ({"sec_websocket_extensions": ";"}, [], "websocket-extensions"),
        ({"sec_websocket_extensions": ","}, [], "websocket-extensions"),
        ({"sec_websocket_extensions": "\x9b31m\x85"}, [], "websocket-extensions"),
        ({"sec_websocket_extensions": "a," * 600}, [], "websocket-long"),
        ({}, ["Sec-WebSocket-Extensions: permessage-deflate"] * 60, "websocket-long"),
        ({}, ["Sec-WebSocket-Protocol: " + "a," * 3000] * 2, "websocket-long"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_wrong_with_a_handshake_is_answered_400(changes, fields, reason):
    request = read_request(head(*fields, **changes))
    with pytest.raises(UpgradeRefusal) as caught:
        read_upgrade(request, WebSocketPolicy())
    assert (caught.value.status, caught.value.reason, caught.value.fields) == (400, reason, ())
    assert str(caught.value).isprintable(), "nothing of the client's gets into the log"


@pytest.mark.parametrize("version", ["0", "7", "8", "14", "013", "13, 8", "thirteen", ""])
@pytest.mark.parametrize("key", [KEY, "no key"])
def test_another_version_is_answered_426_with_the_one_that_is_spoken(version, key):
    request = read_request(head(sec_websocket_version=version, sec_websocket_key=key))
    with pytest.raises(UpgradeRefusal) as caught:
        read_upgrade(request, WebSocketPolicy())
    assert caught.value.status == 426
    assert caught.value.fields == (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


def test_subprotocols_are_offered_in_order_from_all_fields():
    upgrade = upgrade_of("Sec-WebSocket-Protocol: graphql-ws", sec_websocket_protocol="chat,  super.chat ,")
    assert upgrade.subprotocols == ("chat", "super.chat", "graphql-ws")


def test_the_subprotocol_that_the_application_chose_is_told():
    client = Client(subprotocols=["chat", "superchat"], subprotocol="superchat")
    assert client.protocol.subprotocol == "superchat"
    assert Client(subprotocols=["chat"]).protocol.subprotocol is None


@pytest.mark.parametrize("offered", [None, "chat"])
def test_a_subprotocol_that_was_not_offered_is_the_applications_error(offered):
    with pytest.raises(ValueError, match=f"'superchat' is not among those.*{offered or 'none'}"):
        answer(subprotocol="superchat", sec_websocket_protocol=offered)


def test_fields_of_the_application_are_sent_but_for_the_servers():
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"date", b"now"), (b"content-length", b"5")]
    text = answer(headers=[*headers, [b"x-list", bytearray(b"too")]])
    assert "set-cookie: a=1\r\nset-cookie: b=2\r\nx-list: too\r\n\r\n" in text
    assert "now" not in text
    assert "content-length" not in text


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x", b"a\r\nSet-Cookie: b=1")],
        [(b"x\r\ny", b"a")],
        [(b"x:", b"a")],
        [("x", "a")],
        [(b"x",)],
        [b"x: a"],
        [None],
        [(b"sec-websocket-accept", b"mine")],
        [(b"Sec-WebSocket-Extensions", b"permessage-deflate")],
        [(b"sec-websocket-protocol", b"chat")],
    ],
    ids=repr,
)
def test_fields_that_must_not_be_sent_are_the_applications_error(headers):
    with pytest.raises(ValueError, match="header"):
        answer(headers=headers, sec_websocket_protocol="chat")


def test_a_field_that_would_split_the_head_is_named():
    with pytest.raises(InvalidResponseError, match="'x'"):
        answer(headers=[(b"x", b"a\nb")])


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            'permessage-deflate; client_max_window_bits="10"; server_max_window_bits=9',
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "x-other; a=1, permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
        ("permessage-deflate, permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
    ],
)
def test_the_first_offer_of_compression_that_can_be_kept_is_accepted(offer, accepted):
    assert upgrade_of(sec_websocket_extensions=offer).extension == accepted
    assert f"Sec-WebSocket-Extensions: {accepted}\r\n" in answer(sec_websocket_extensions=offer)


@pytest.mark.parametrize(
    "offer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=ten",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
        "permessage-deflate; unknown",
        "Permessage-Deflate",
    ],
)
def test_an_offer_that_cannot_be_kept_is_declined_and_the_connection_goes_on_without(offer):
    upgrade = upgrade_of(sec_websocket_extensions=offer)
    assert (upgrade.extension, upgrade.extensions) == ("", [])


def test_offers_stand_in_several_fields():
    upgrade = upgrade_of("Sec-WebSocket-Extensions: permessage-deflate", sec_websocket_extensions="x-other")
    assert upgrade.extension


def test_nothing_is_compressed_if_the_setting_is_off():
    upgrade = upgrade_of(sec_websocket_extensions="permessage-deflate", policy=WebSocketPolicy(compression=False))
    assert (upgrade.extension, upgrade.extensions) == ("", [])


@pytest.mark.parametrize("extensions", [None, deflate(), deflate(server_no_context_takeover=True)])
def test_the_librarys_client_takes_the_answer(extensions):
    assert bool(Client(extensions=extensions).protocol.extensions) is (extensions is not None)


def test_the_librarys_client_sees_a_refused_version():
    client = ClientProtocol(parse_uri("ws://example.org/"))
    request = client.connect()
    del request.headers["Sec-WebSocket-Version"]
    request.headers["Sec-WebSocket-Version"] = "12"
    client.send_request(request)
    with pytest.raises(UpgradeRefusal, match="only 13"):
        read_upgrade(read_request(b"".join(client.data_to_send())), WebSocketPolicy())


visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f\x80"), max_size=60)
grammatical = st.text(st.sampled_from('permessage-deflate;,= "0129\\\t_client'), max_size=60)


@given(st.sampled_from(["extensions", "protocol", "key", "version"]), visible | grammatical)
def test_whatever_a_field_says_it_is_accepted_or_refused(name, value):
    try:
        request = read_request(head(**{f"sec_websocket_{name}": value}))
    except Refusal:
        return  # as HTTP
    with suppress(UpgradeRefusal):
        read_upgrade(request, WebSocketPolicy())
