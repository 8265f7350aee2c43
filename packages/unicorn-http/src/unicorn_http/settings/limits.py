"""How large, how many, and how long."""

from unicorn_core.settings.declaration import Setting
from unicorn_core.settings.kinds import Bytes, Integer

_LIMITS = "HTTP limits"
_TIMES = "HTTP times"

SETTINGS = (
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
)
