"""Driving the codec of the uwsgi protocol."""

from collections.abc import Iterable

from codec_driver import PROXY, CodecCase, Form, Recorder, cut, record
from packets import MALFORMED

from unicorn_http.codec import Codec, Peer
from unicorn_http.semantics.fields import FieldNames
from unicorn_http.semantics.request import Request
from unicorn_http.semantics.response import TEXT_LINES, TEXT_STATUSES, ResponseHead, read_head

UWSGI = CodecCase("uwsgi", {"protocol": "uwsgi"}, MALFORMED, ())
PERSISTENT = {"uwsgi_persistent": "true"}


class Keeper(Recorder):
    """A sink that keeps the requests themselves."""

    def __init__(self, names: FieldNames[object], form: Form) -> None:
        super().__init__(names, form)
        self.kept: list[Request] = []

    def on_request(self, request: Request) -> None:
        super().on_request(request)
        self.kept.append(request)


def connect(form: Form = Form.ENVIRON, *, peer: Peer = PROXY, **settings: object) -> tuple[Keeper, Codec]:
    """A new connection."""
    protocol = UWSGI.protocol(**settings)
    sink = Keeper(protocol.names[form], form)
    return sink, protocol.connect(sink, peer)


def seen(data: bytes, form: Form = Form.ENVIRON, ends: Iterable[int] = (), **settings: object) -> Keeper:
    """What a new connection makes of these bytes, cut there."""
    sink, codec = connect(form, **settings)
    for piece in cut(data, ends):
        codec.feed(piece)
    return sink


def answer(codec: Codec, request: Request, status: str = "200 OK", **options: object) -> tuple[bytes, ResponseHead]:
    """The head of an answer, and how it is framed."""
    fields = options.pop("fields", [])
    length, persist = options.pop("length", None), options.pop("persist", True)
    assert not options
    response = read_head(TEXT_STATUSES[status], fields, TEXT_LINES)  # type: ignore[arg-type]
    return codec.head(request, response, length, persist), response  # type: ignore[arg-type]


__all__ = ["PERSISTENT", "UWSGI", "Keeper", "answer", "connect", "record", "seen"]
