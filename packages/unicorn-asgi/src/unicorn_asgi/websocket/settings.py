"""The settings of WebSockets; the package's settings.py joins them to its own."""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Bytes, Integer, Switch

_WEBSOCKET = "WebSocket"

SETTINGS = (
    Setting(
        "websocket_max_message_size",
        Bytes(),
        16777216,
        _WEBSOCKET,
        "Bytes of a message from a client at most, all its fragments together and after decompression, also with K, M "
        "or G behind the number (close code 1009 beyond); 0: no limit.",
        ("--websocket-max-message-size",),
    ),
    Setting(
        "websocket_compression",
        Switch(),
        True,
        _WEBSOCKET,
        "Compress messages for clients that offer it (permessage-deflate, RFC 7692). On by default; the flag switches "
        "it off.",
        ("--no-websocket-compression",),
        flag_sets=False,
    ),
    Setting(
        "websocket_ping_interval",
        Integer(),
        20,
        _WEBSOCKET,
        "Seconds of silence after which a client is sent a ping, so that proxies keep the connection and a client that "
        "vanished is noticed; 0: none is sent.",
        ("--websocket-ping-interval",),
    ),
    Setting(
        "websocket_ping_timeout",
        Integer(),
        20,
        _WEBSOCKET,
        "Seconds that a client has for answering a ping, by whatever it sends, before the connection is closed (close "
        "code 1011); 0: no limit.",
        ("--websocket-ping-timeout",),
    ),
)
