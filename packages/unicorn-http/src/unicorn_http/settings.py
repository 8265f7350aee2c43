"""The settings of unicorn-http. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting
from unicorn_core.settings.kinds import Choice, Integer, Switch, Table, Text, Texts

_HTTP = "HTTP"
_LIMITS = "HTTP limits"
_TIMES = "HTTP times"
_PROXIES = "Behind a proxy"

SETTINGS = (
    Setting(
        "protocol",
        Text(optional=False, metavar="NAME"),
        "http",
        _HTTP,
        "The protocol that clients speak: the name of an installed protocol.",
        ("--protocol",),
    ),
    Setting(
        "http_parser",
        Choice(("auto", "builtin", "httptools", "h11"), aliases=(("fast", "auto"), ("python", "h11"))),
        "auto",
        _HTTP,
        "The parser of HTTP/1.1: auto is the fastest that is installed.",
        ("--http-parser",),
    ),
    Setting(
        "sendfile",
        Switch(),
        True,
        _HTTP,
        "Send files that an application returns through wsgi.file_wrapper with sendfile(). The environment variable "
        "SENDFILE changes the default.",
        ("--no-sendfile",),
        flag_sets=False,
        environment=EnvironmentDefault("SENDFILE"),
    ),
    Setting(
        "server_header",
        Text(metavar="TEXT"),
        "unicorn",
        _HTTP,
        "The value of the Server field in answers; empty: none is sent.",
        ("--server-header",),
    ),
    Setting(
        "permit_unconventional_http_method",
        Switch(),
        False,
        _HTTP,
        "Accept methods that are not 3 to 20 upper-case letters, digits or -_$.",
        ("--permit-unconventional-http-method",),
        flag_sets=True,
    ),
    Setting(
        "worker_connections",
        Integer(1),
        1000,
        _LIMITS,
        "How many connections a worker keeps open at the same time; further ones wait in the listener's queue.",
        ("--worker-connections",),
    ),
    Setting(
        "limit_request_line",
        Integer(),
        4094,
        _LIMITS,
        "Bytes of a request line at most (414 beyond); 0: no limit.",
        ("--limit-request-line",),
    ),
    Setting(
        "limit_request_fields",
        Integer(),
        100,
        _LIMITS,
        "Header fields of a request at most (431 beyond); 0: no limit.",
        ("--limit-request-fields",),
    ),
    Setting(
        "limit_request_field_size",
        Integer(),
        8190,
        _LIMITS,
        "Bytes of a header field line at most (431 beyond); 0: no limit.",
        ("--limit-request-field_size", "--limit-request-field-size"),
    ),
    Setting(
        "limit_request_head",
        Integer(),
        131072,
        _LIMITS,
        "Bytes of a request's head at most, request line and all fields together (431 beyond); 0: no limit.",
        ("--limit-request-head",),
    ),
    Setting(
        "keepalive",
        Integer(),
        2,
        _TIMES,
        "Seconds that an idle connection is kept for the next request; 0: no limit.",
        ("--keep-alive",),
    ),
    Setting(
        "request_head_timeout",
        Integer(),
        30,
        _TIMES,
        "Seconds within which the whole head of a request must come (408 beyond); 0: no limit.",
        ("--request-head-timeout",),
    ),
    Setting(
        "request_body_timeout",
        Integer(),
        30,
        _TIMES,
        "Seconds that an application which reads a request's body waits for more of it; 0: no limit.",
        ("--request-body-timeout",),
    ),
    Setting(
        "response_write_timeout",
        Integer(),
        30,
        _TIMES,
        "Seconds that an answer waits for a client which does not read; 0: no limit.",
        ("--response-write-timeout",),
    ),
    Setting(
        "forwarded_allow_ips",
        Texts(metavar="ADDRESSES"),
        ("127.0.0.1", "::1"),
        _PROXIES,
        "Addresses or networks of the proxies whose forwarding fields are believed, with commas between them; "
        "* believes everybody. Peers on unix sockets are believed. The environment variable FORWARDED_ALLOW_IPS "
        "changes the default.",
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
)
