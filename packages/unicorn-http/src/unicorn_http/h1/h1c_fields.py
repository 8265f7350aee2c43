"""Header fields split by gunicorn_h1c (picohttpparser): the fastest way, where it is installed."""

from unicorn_core.errors import PluginError
from unicorn_http.semantics.request import Request

try:
    from gunicorn_h1c import IncompleteError, __version__, parse_headers
except ImportError as error:
    raise PluginError(f"HTTP parser 'h1c' is not installed ({error}): pip install 'unicorn-http[h1c]'") from error

_MALFORMED = tuple(
    line.replace(b"~", b"a value longer than a vector register") + b"\r\n\r\n"
    for line in (
        *(b"A: ~\nB: ~", b"A: ~\r\n\nB: ~", b"A: ~\rB: ~", b"A: ~\r\n ~", b"A: ~\r\n\t~", b" A: ~"),
        *(b"A: ~\0~", b"A: ~\x0b~", b"A: ~\x1f~", b"A: ~\x7f~"),
    )
)


def split_fields(block: bytes, request: Request) -> int:
    """See unicorn_http.semantics.head.SplitFields.

    Line ends and values are as strict as the grammar here (see `_check`), and names are checked by the request, once
    each. More than 256 fields are too many for gunicorn_h1c; where they are allowed they are left to the scan.
    """
    try:
        pairs = parse_headers(block)
    except IncompleteError as error:  # no ValueError, unlike the others
        raise ValueError(str(error)) from None
    request.take_pairs(pairs)
    return len(pairs)


def _check() -> None:
    """Releases before 0.6.10 take bare LF and folded values, and what follows an early end of the fields is lost.

    To look for that in each block would cost a good part of what the parser saves, so it has to prove itself once.
    """
    for block in _MALFORMED:
        try:
            parse_headers(block)
        except (ValueError, IncompleteError):
            continue
        text = f"HTTP parser 'h1c': gunicorn_h1c {__version__} takes malformed header fields"
        raise PluginError(f"{text}: pip install 'unicorn-http[h1c]'")


_check()
