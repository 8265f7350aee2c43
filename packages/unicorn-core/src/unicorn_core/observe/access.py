"""The access log: a format is compiled once, each answered request makes one line of it."""

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from unicorn_core.errors import SettingError
from unicorn_core.observe.logs import printable


class Access(Struct):
    """One answered request.

    Attributes:
        client: its address; empty on a unix socket.
        began: when its head had come, wall clock (seconds since the epoch).
        took: seconds from then until its answer was handed over.
        status: of the answer, "200 OK"; empty if there was none.
        sent: bytes of the answer's body.
        request_fields, response_fields: names in lower case.
        environ: variables for %({name}e)s.
    """

    client: str
    user: str
    method: str
    target: str
    path: str
    query: str
    protocol: str
    status: str
    began: float
    took: float
    sent: int
    request_fields: Mapping[str, str]
    response_fields: Iterable[tuple[str, str]]
    environ: Mapping[str, object] = field(default_factory=dict)


_ATOM = re.compile(r"%(?:%|\((?:\{([^}]+)\}([ioe])|(\w+))\)s)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _clock(began: float) -> str:
    t = time.localtime(began)
    zone = time.strftime("%z", t)
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"[{t.tm_mday:02}/{_MONTHS[t.tm_mon - 1]}/{t.tm_year}:{clock} {zone}]"


def _basic_user(authorization: str) -> str:
    """The user of Basic authentication (RFC 7617), whom nobody but the application has checked."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        import base64  # few requests need it, and no start does

        return base64.b64decode(credentials.strip(), validate=True).decode("utf-8", "replace").partition(":")[0]
    except ValueError:
        return ""


_ATOMS: dict[str, Callable[[Access], str]] = {
    "h": lambda a: a.client or "-",
    "l": lambda a: "-",
    "u": lambda a: a.user or _basic_user(a.request_fields.get("authorization", "")) or "-",
    "t": lambda a: _clock(a.began),
    "r": lambda a: f"{a.method} {a.target} {a.protocol}",
    "m": lambda a: a.method,
    "U": lambda a: a.path,
    "q": lambda a: a.query,
    "H": lambda a: a.protocol,
    "s": lambda a: a.status.split(" ", 1)[0] or "-",
    "st": lambda a: a.status or "-",
    "B": lambda a: str(a.sent),
    "b": lambda a: str(a.sent) if a.sent else "-",
    "f": lambda a: a.request_fields.get("referer", "-"),
    "a": lambda a: a.request_fields.get("user-agent", "-"),
    "T": lambda a: str(int(a.took)),
    "M": lambda a: str(int(a.took * 1e3)),
    "D": lambda a: str(int(a.took * 1e6)),
    "L": lambda a: f"{a.took:.6f}",
    "p": lambda a: f"<{os.getpid()}>",
}


def compile_format(text: str) -> Callable[[Access], str]:
    """A function that makes the line.

    Raises:
        SettingError: an unknown atom, or a stray percent sign.
    """
    getters: list[Callable[[Access], str]] = []
    at = 0
    for found in _ATOM.finditer(text):
        if literal := text[at : found.start()]:
            getters.append(_literal(literal))
        getters.append(_getter(found, text))
        at = found.end()
    getters.append(_literal(text[at:]))
    return lambda access: "".join([get(access) for get in getters])


def _literal(text: str) -> Callable[[Access], str]:
    if "%" in text:
        raise SettingError(f"setting access_log_format: cannot read {text[text.index('%') :]!r}")
    return lambda access: text


def _getter(found: re.Match[str], text: str) -> Callable[[Access], str]:
    if found[0] == "%%":
        return lambda access: "%"
    variable, kind, atom = found.groups()
    if variable is not None:
        return _look_up(variable.lower() if kind != "e" else variable, kind)
    if atom not in _ATOMS:
        raise SettingError(f"setting access_log_format: unknown atom {found[0]!r} in {text!r}")
    get = _ATOMS[atom]
    return lambda access: _quotable(get(access))


def _quotable(text: str) -> str:
    """What a client sent must not forge lines, nor end the quotes that a format puts around it."""
    return printable(text.replace("\\", "\\\\")).replace('"', '\\"')


def _look_up(name: str, kind: str) -> Callable[[Access], str]:
    def get(access: Access) -> str:
        if kind == "i":
            value = access.request_fields.get(name, "-")
        elif kind == "o":
            value = next((value for key, value in access.response_fields if key.lower() == name), "-")
        else:
            value = str(access.environ.get(name, "-"))
        return _quotable(value)

    return get
