"""The settings of unicorn-uwsgi. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Switch, Texts

_UWSGI = "uWSGI protocol"

SETTINGS = (
    Setting(
        "uwsgi_allow_ips",
        Texts(metavar="ADDRESSES"),
        ("127.0.0.1", "::1"),
        _UWSGI,
        "With protocol = uwsgi: addresses or networks of those who may connect, with commas between them; * is "
        "everybody, who can then claim any address, scheme and user. Peers on unix sockets may always.",
        ("--uwsgi-allow-from",),
    ),
    Setting(
        "uwsgi_persistent",
        Switch(),
        False,
        _UWSGI,
        "With protocol = uwsgi: keep a connection for further requests after an answer whose length is known, for "
        "fronts that send several over one. Most fronts, nginx among them, take the end of the connection for the end "
        "of the answer, or close it themselves.",
        ("--uwsgi-persistent",),
        flag_sets=True,
    ),
)
