"""What is spoken, how strictly, and by how many threads."""

from unicorn_core.settings.declaration import EnvironmentDefault, Setting
from unicorn_core.settings.kinds import Choice, Integer, Switch, Text, Texts

_HTTP = "HTTP"

SETTINGS = (
    Setting(
        "protocol",
        Text(optional=False, metavar="NAME"),
        "http",
        _HTTP,
        "The protocol that clients speak: http, uwsgi (with the package unicorn-uwsgi), or the name of another "
        "installed protocol.",
        ("--protocol",),
    ),
    Setting(
        "http_parser",
        Choice(("auto", "builtin", "httptools", "h11", "h1c"), aliases=(("fast", "auto"), ("python", "h11"))),
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
        "Send files that an application returns with sendfile(). On by default; the flag switches it off. The "
        "environment variable SENDFILE changes the default.",
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
        "If so many percent of the threads are busy with one request for longer than timeout, the worker is replaced, "
        "gracefully. 0: it never is.",
        ("--stuck-threads",),
    ),
)
