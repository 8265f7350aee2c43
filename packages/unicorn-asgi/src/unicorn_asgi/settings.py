"""The settings of unicorn-asgi. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_asgi.websocket.settings import SETTINGS as WEBSOCKET
from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Choice, Integer, Text

_ASGI = "ASGI"

SETTINGS = (
    Setting(
        "asgi_loop",
        Choice(("auto", "asyncio", "uvloop")),
        "auto",
        _ASGI,
        "The event loop: auto is uvloop if it is installed, else asyncio.",
        ("--asgi-loop",),
    ),
    Setting(
        "asgi_lifespan",
        Choice(("auto", "on", "off")),
        "auto",
        _ASGI,
        "The lifespan protocol. on: the application must have it. auto: one that raises before it has taken in the "
        "startup event has none. off: it is not used.",
        ("--asgi-lifespan",),
    ),
    Setting(
        "root_path",
        Text(optional=False, metavar="PATH"),
        "",
        _ASGI,
        "The path at which a proxy mounts the application, for root_path in the scope; it is put before paths that do "
        "not begin with it.",
        ("--root-path",),
    ),
    Setting(
        "asgi_disconnect_grace_period",
        Integer(),
        3,
        _ASGI,
        "Seconds that an application has, after its client is gone before the response was complete, until its task is "
        "cancelled; 0: it is cancelled at once.",
        ("--asgi-disconnect-grace-period",),
    ),
    *WEBSOCKET,
)
