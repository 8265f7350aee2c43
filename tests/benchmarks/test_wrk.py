"""The load generator's command and output."""

import math

import pytest
from harness import wrk
from harness.workloads import WORKLOADS

OUTPUT = """Running 2s test @ http://127.0.0.1:11000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   640.12us  250.00us   7.19ms   95.31%
    Req/Sec   100.21k     4.03k  106.11k    80.00%
  Latency Distribution
     50%  580.00us
     75%  650.00us
     90%    1.02ms
     99%    1.20s
  200012 requests in 2.00s, 25.75MB read
Requests/sec: 100003.50
Transfer/sec:     12.87MB
"""


def parse(output, work="hello"):
    return wrk.parse(output, "", WORKLOADS[work], client_cpu=0.5)


def test_figures_are_read_in_milliseconds():
    sample = parse(OUTPUT)
    assert sample.rate == 100003.5
    assert sample.requests == 200012
    assert sample.p50 == pytest.approx(0.58)
    assert sample.p99 == pytest.approx(1200.0)
    assert sample.client_cpu == 0.5
    assert sample.errors == ""


def test_errors_are_told():
    output = OUTPUT.replace(
        "Requests/sec",
        "  Socket errors: connect 0, read 7, write 0, timeout 1\n  Non-2xx or 3xx responses: 9\nRequests/sec",
    )
    assert parse(output).errors == ("Socket errors: connect 0, read 7, write 0, timeout 1; Non-2xx or 3xx responses: 9")


def test_a_server_that_starves_connections_is_told():
    assert parse(OUTPUT.replace("640.12us", "40.00us")).errors == ("only about 4 of 64 connections were served")
    assert parse(OUTPUT.replace("640.12us", "40.00us"), "close").errors == ""


def test_latencies_of_pipelined_answers_are_left_out():
    sample = parse(OUTPUT, "pipeline")
    assert math.isnan(sample.p50)
    assert math.isnan(sample.p99)
    assert sample.errors == ""


def test_no_answers_at_all():
    with pytest.raises(wrk.LoadFailed, match="connection refused"):
        wrk.parse("", "unable to connect: connection refused", WORKLOADS["hello"], 0.1)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\nUsage:", "wrk debian/4.1.0-3+b2"),
        ("wrk 4.2.0 Copyright (C) 2012 Will Glozer", "wrk 4.2.0"),
        ("", "wrk of an unknown version"),
    ],
)
def test_version(output, version):
    assert wrk.parse_version(output) == version


def test_command_carries_the_headers():
    words = wrk.command(WORKLOADS["close"], 8000, 2, "1")
    assert words[words.index("-H") + 1] == "Connection: close"
    assert words[-1] == "http://127.0.0.1:8000/"
