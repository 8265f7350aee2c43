"""Compression of messages (permessage-deflate, RFC 7692): what is agreed upon, and when it takes memory."""

import zlib
from typing import Any

from websockets.exceptions import InvalidHeaderFormat, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

_FACTORY = ServerPerMessageDeflateFactory(
    # Windows of 4 KiB and a small state: a connection that compresses takes some 30 KiB rather than 300.
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


def negotiate(offers: bytes) -> tuple[str, list[Extension]]:
    """Accept the first offer that can be kept; those with unknown or wrong parameters are declined, not an error.

    Args:
        offers: the value of Sec-WebSocket-Extensions.

    Returns:
        The value of the answer's Sec-WebSocket-Extensions and the extension; "" and nothing if there is none.

    Raises:
        ValueError: the value is not what RFC 6455 section 9.1 says.
    """
    try:
        parsed = parse_extension(offers.decode("latin-1"))
    except InvalidHeaderFormat:
        raise ValueError("not a list of extensions") from None
    for name, parameters in parsed:
        if name != _FACTORY.name:
            continue
        try:
            accepted, deflate = _FACTORY.process_request_params(parameters, [])
        except (NegotiationError, ValueError):  # ValueError: a window of 8 bits, in earlier versions of the library
            continue
        return build_extension([(name, accepted)]), [_Sleeping(deflate)]
    return "", []


class _Sleeping(PerMessageDeflate):
    """One that takes the memory for a direction once a message needs it: most of many connections are silent."""

    def __init__(self, agreed: PerMessageDeflate) -> None:
        vars(self).update(vars(agreed))
        vars(self).pop("decoder", None)
        vars(self).pop("encoder", None)

    def __getattr__(self, name: str) -> Any:
        made: Any
        if name == "decoder":
            made = self.decoder = zlib.decompressobj(wbits=-self.remote_max_window_bits)
        elif name == "encoder":
            made = self.encoder = zlib.compressobj(wbits=-self.local_max_window_bits, **self.compress_settings)
        else:
            raise AttributeError(name)
        return made
