"""The settings of unicorn-http. Names, flags and defaults are those of gunicorn where it has them."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting
from unicorn_core.settings.kinds import Bytes, Choice, File, Ignored, Integer, Switch, Table, Text, Texts

_HTTP = "HTTP"
_LIMITS = "HTTP limits"
_TIMES = "HTTP times"
_PROXIES = "Behind a proxy"
_TLS = "TLS"

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
        "casefold_http_method",
        Switch(),
        False,
        _HTTP,
        "Make methods upper-case, so that get is served as GET; by the standard the two are different methods.",
        ("--casefold-http-method",),
        flag_sets=True,
    ),
    Setting(
        "permit_unconventional_http_version",
        Switch(),
        False,
        _HTTP,
        "Serve HTTP/1.2 to HTTP/1.9 as HTTP/1.1 (505 otherwise). Other major versions, which may be framed in another "
        "way, are never served.",
        ("--permit-unconventional-http-version",),
        flag_sets=True,
    ),
    Setting(
        "permit_obsolete_folding",
        Switch(),
        False,
        _HTTP,
        "Accept field values that are folded over several lines, and join these by spaces. Not for the fields that "
        "frame or route a request, such as Content-Length, Transfer-Encoding, Host and those of proxies.",
        ("--permit-obsolete-folding",),
        flag_sets=True,
    ),
    Setting(
        "strip_header_spaces",
        Switch(),
        False,
        _HTTP,
        "Accept blanks between a field's name and its colon, and take them away. A proxy that reads such names "
        "differently may be deceived about any field that it is to set or to remove; the fields that frame or route a "
        "request are refused all the same.",
        ("--strip-header-spaces",),
        flag_sets=True,
    ),
    Setting(
        "strictness",
        Choice(("strict", "report")),
        "strict",
        _HTTP,
        "strict refuses every request that breaks a rule. report logs those that break a rule that has nothing to do "
        "with framing or routing, and serves them: to find out which clients would be refused. docs/http.md lists the "
        "rules.",
        ("--strictness",),
    ),
    Setting(
        "allowed_hosts",
        Texts(metavar="HOSTS"),
        (),
        _HTTP,
        "Hosts that are served, without ports and with commas between them; *.example.org stands for every name that "
        "ends so. A request for another host is answered 421. Empty, or *: all.",
        ("--allowed-hosts",),
    ),
    Setting(
        "threads",
        Integer(1, 1024),
        1,
        _HTTP,
        "Requests that a worker of the class gthread runs at the same time. More than 1 turns sync into gthread.",
        ("--threads",),
    ),
    Setting(
        "stuck_threads",
        Integer(0, 100),
        50,
        _HTTP,
        "Percent of the threads that may be busy with one request for longer than timeout; with more of them the "
        "worker is replaced, gracefully. 0: it never is.",
        ("--stuck-threads",),
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
        "limit_request_body",
        Bytes(),
        0,
        _LIMITS,
        "Bytes of a request's body at most, also with K, M or G behind the number (413 beyond: before the application "
        "is called if Content-Length says so, else as soon as more has been announced); 0: no limit.",
        ("--limit-request-body",),
    ),
    Setting(
        "buffer_request_body",
        Bytes(),
        16384,
        _LIMITS,
        "Bytes of a body, as Content-Length says, that comes completely before the application is called, so that a "
        "slow client occupies nobody. Larger bodies, and chunked ones, are read while the application asks for them. "
        "0: all are.",
        ("--buffer-request-body",),
    ),
    Setting(
        "limit_requests_per_connection",
        Integer(),
        0,
        _LIMITS,
        "Requests that one connection may bring; the last answer closes it. 0: no limit.",
        ("--limit-requests-per-connection",),
    ),
    Setting(
        "limit_concurrency",
        Integer(),
        0,
        _LIMITS,
        "Requests that a worker has taken in and not yet answered; further ones are answered 503 with Retry-After, "
        "without reaching the application. A sync worker takes in all that has come before it runs the first. "
        "0: no limit.",
        ("--limit-concurrency",),
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
        "Seconds that an application which reads a request's body waits for more of it; and within which a request "
        "must come whose body is to be complete before that (setting buffer_request_body; 408 beyond). 0: no limit.",
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
    Setting(
        "certfile",
        File(),
        None,
        _TLS,
        "The server's certificate (PEM), behind it those between it and its authority; with it the listeners speak "
        "TLS. Read at start and at each reload, so that the workers' user need not be able to.",
        ("--certfile",),
    ),
    Setting(
        "keyfile",
        File(),
        None,
        _TLS,
        "The certificate's private key (PEM, not encrypted), if it is not in certfile.",
        ("--keyfile",),
    ),
    Setting(
        "ca_certs",
        File(),
        None,
        _TLS,
        "The authorities (PEM) by which the certificates of clients are checked; see cert_reqs.",
        ("--ca-certs",),
    ),
    Setting(
        "cert_reqs",
        Choice(
            ("none", "optional", "required"),
            aliases=(
                ("0", "none"),
                ("1", "optional"),
                ("2", "required"),
                ("cert_none", "none"),
                ("cert_optional", "optional"),
                ("cert_required", "required"),
            ),
        ),
        "none",
        _TLS,
        "Whether clients are asked for a certificate (also as a number from 0 to 2): none; optional, where a wrong one "
        "is refused; or required.",
        ("--cert-reqs",),
    ),
    Setting(
        "ciphers",
        Text(metavar="LIST"),
        None,
        _TLS,
        "Cipher suites of TLS 1.2 as an OpenSSL list; by default those of Python. Those of TLS 1.3 are all strong.",
        ("--ciphers",),
    ),
    Setting(
        "suppress_ragged_eofs",
        Switch(),
        True,
        _TLS,
        "Take the end of a connection for its proper end although the client did not announce it.",
        ("--suppress-ragged-eofs",),
        flag_sets=True,
    ),
    Setting(
        "ssl_version",
        Ignored(metavar="VERSION"),
        None,
        _TLS,
        "Accepted and without effect, as in gunicorn: TLS 1.2 and newer are spoken. The hook ssl_context changes that.",
        ("--ssl-version",),
    ),
    Setting(
        "do_handshake_on_connect",
        Switch(),
        False,
        _TLS,
        "Accepted and without effect: a handshake begins at once and never makes another connection wait.",
        ("--do-handshake-on-connect",),
        flag_sets=True,
    ),
)
