"""What is believed of whoever stands before the server."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting
from unicorn_core.settings.kinds import Choice, Table, Texts

_PROXIES = "Behind a proxy"

SETTINGS = (
    Setting(
        "forwarded_allow_ips",
        Texts(metavar="ADDRESSES"),
        ("127.0.0.1", "::1"),
        _PROXIES,
        "Addresses or networks of the proxies whose forwarding fields are believed, with commas between them; "
        "* believes everybody. Peers on unix sockets are always believed: unix alone means that no others are. The "
        "environment variable FORWARDED_ALLOW_IPS changes the default.",
        ("--forwarded-allow-ips",),
        environment=EnvironmentDefault("FORWARDED_ALLOW_IPS"),
    ),
    Setting(
        "secure_scheme_headers",
        Table(),
        {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"},
        _PROXIES,
        "Fields, and their values, by which a believed proxy says that its client came over TLS.",
    ),
    Setting(
        "proxy_headers",
        Choice(("none", "x-forwarded", "forwarded")),
        "none",
        _PROXIES,
        "By which fields a believed proxy tells about its client, beside the scheme: x-forwarded are X-Forwarded-For, "
        "-Host, -Port and -Prefix; forwarded is Forwarded (RFC 7239), in place of secure_scheme_headers too. The "
        "proxy must set all of them, or remove what clients send. The client's address is that of the rightmost hop "
        "that is no believed proxy.",
        ("--proxy-headers",),
    ),
    Setting(
        "forwarder_headers",
        Texts(metavar="NAMES", upper=True),
        ("SCRIPT_NAME", "PATH_INFO"),
        _PROXIES,
        "Names with underscores that a believed proxy may use, whatever header_map says.",
        ("--forwarder-headers",),
    ),
    Setting(
        "header_map",
        Choice(("drop", "refuse", "dangerous")),
        "drop",
        _PROXIES,
        "What happens to header fields with an underscore in their name, which an application cannot tell from those "
        "with a hyphen: drop them, refuse the request, or (dangerous) pass them on.",
        ("--header-map",),
    ),
    Setting(
        "proxy_protocol",
        Choice(
            ("off", "v1", "v2", "auto"),
            aliases=(("true", "auto"), ("1", "auto"), ("false", "off"), ("0", "off"), ("none", "off")),
        ),
        "off",
        _PROXIES,
        "Every connection begins with a header of the PROXY protocol, version 1 or 2 (auto: either), which tells the "
        "client's address; one without it is closed. The flag alone means auto.",
        ("--proxy-protocol",),
        flag_alone="auto",
    ),
    Setting(
        "proxy_allow_ips",
        Texts(metavar="ADDRESSES"),
        ("127.0.0.1", "::1"),
        _PROXIES,
        "With proxy_protocol: addresses or networks of those who may connect, with commas between them; * is "
        "everybody, who can then claim any address. Peers on unix sockets may always.",
        ("--proxy-allow-from",),
    ),
)
