"""What the settings say about WebSockets."""

from typing import Self

from msgspec import Struct

from unicorn_core.settings.registry import Settings


class WebSocketPolicy(Struct, frozen=True):
    """One for all connections of a worker.

    Attributes:
        max_message_size: bytes of a message from a client; None: no limit.
        compression: permessage-deflate is accepted.
        ping_interval: seconds of silence before a ping; 0: none.
        ping_timeout: seconds that an answer to it may take; 0: no limit.
        grace: seconds that an application has to notice that its client is gone.
    """

    max_message_size: int | None = 1 << 24
    compression: bool = True
    ping_interval: float = 20
    ping_timeout: float = 20
    grace: float = 3

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            settings.websocket_max_message_size or None,
            settings.websocket_compression,
            settings.websocket_ping_interval,
            settings.websocket_ping_timeout,
            settings.asgi_disconnect_grace_period,
        )
