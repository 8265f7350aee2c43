"""Whether a request asks for a WebSocket."""

from collections.abc import Iterator

from unicorn_http.semantics.request import ListRequest


def wants_websocket(request: ListRequest) -> bool:
    """Connection and Upgrade say so (RFC 9110 section 7.8; HTTP/1.0 knows no upgrade).

    Whether the rest of the handshake is right is another question: see `handshake.read_upgrade`.
    """
    connection = request.watched.get(b"connection")
    if connection is None or request.protocol == "HTTP/1.0" or b"upgrade" not in _tokens(connection):
        return False
    return any(b"websocket" in _tokens(value) for value in values_of(request, b"upgrade"))


def values_of(request: ListRequest, name: bytes) -> Iterator[bytes]:
    """The values of all fields with this name, in order."""
    return (value for field, value in request.fields if field == name)


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t") for token in value.lower().split(b",")]
