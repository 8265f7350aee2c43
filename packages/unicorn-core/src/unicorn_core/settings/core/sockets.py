"""Where to listen."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting, TakesEffect
from unicorn_core.settings.kinds import Integer, Switch, Texts

_SECTION = "Server socket"

SETTINGS = (
    Setting(
        "bind",
        Texts(metavar="ADDRESS"),
        ("127.0.0.1:8000",),
        _SECTION,
        "Where to listen: HOST, HOST:PORT, :PORT, [IPv6]:PORT, unix:PATH or fd://N. May be given several times. "
        "The environment variable PORT changes the default to 0.0.0.0:$PORT.",
        ("-b", "--bind"),
        repeatable=True,
        environment=EnvironmentDefault("PORT", lambda port: f"0.0.0.0:{port}"),
    ),
    Setting(
        "backlog",
        Integer(1, 2**31 - 1),
        2048,
        _SECTION,
        "How many connections may wait in a listener's queue to be accepted; the system may cap it.",
        ("--backlog",),
        takes_effect=TakesEffect.RESTART,
    ),
    Setting(
        "reuse_port",
        Switch(),
        False,
        _SECTION,
        "Give every worker a TCP socket of its own (SO_REUSEPORT), among which the system spreads new connections. "
        "The sockets outlive the workers, so that a worker's end loses no connection.",
        ("--reuse-port",),
        flag_sets=True,
        takes_effect=TakesEffect.RESTART,
    ),
)
