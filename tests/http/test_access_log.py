"""A line of the access log says what its format asks for, and nothing that a client sends can forge one."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unicorn_core.errors import SettingError
from unicorn_core.observe.access import Access, compile_format

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


def access(**changes):
    values = {
        "client": "192.0.2.1",
        "user": "",
        "method": "GET",
        "target": "/a?b=c",
        "path": "/a",
        "query": "b=c",
        "protocol": "HTTP/1.1",
        "status": "404 Not Found",
        "began": 1_000_000_000.0,
        "took": 1.234567,
        "sent": 42,
        "request_fields": {"referer": "http://r/", "user-agent": "agent", "x-one": "1"},
        "response_fields": [("Content-Type", "text/plain"), ("X-Two", "2"), ("X-Two", "3")],
        "environ": {"wsgi.url_scheme": "http", "number": 5},
    }
    return Access(**(values | changes))


@pytest.mark.parametrize(
    ("atom", "text"),
    [
        ("%(h)s", "192.0.2.1"),
        ("%(l)s", "-"),
        ("%(u)s", "-"),
        ("%(r)s", "GET /a?b=c HTTP/1.1"),
        ("%(m)s", "GET"),
        ("%(U)s", "/a"),
        ("%(q)s", "b=c"),
        ("%(H)s", "HTTP/1.1"),
        ("%(s)s", "404"),
        ("%(st)s", "404 Not Found"),
        ("%(B)s", "42"),
        ("%(b)s", "42"),
        ("%(f)s", "http://r/"),
        ("%(a)s", "agent"),
        ("%(T)s", "1"),
        ("%(M)s", "1234"),
        ("%(D)s", "1234567"),
        ("%(L)s", "1.234567"),
        ("%({x-one}i)s", "1"),
        ("%({X-One}i)s", "1"),
        ("%({missing}i)s", "-"),
        ("%({content-type}o)s", "text/plain"),
        ("%({X-TWO}o)s", "2"),
        ("%({missing}o)s", "-"),
        ("%({wsgi.url_scheme}e)s", "http"),
        ("%({number}e)s", "5"),
        ("%({missing}e)s", "-"),
        ("%%", "%"),
        ("", ""),
        ("no atom", "no atom"),
        ("[%(m)s|%(s)s]", "[GET|404]"),
    ],
)
def test_each_atom(atom, text):
    assert compile_format(atom)(access()) == text


def test_the_process_is_that_which_served():
    assert compile_format("%(p)s")(access()) == f"<{os.getpid()}>"


def test_what_is_missing_is_a_dash():
    line = compile_format("%(h)s %(u)s %(b)s %(B)s %(f)s %(a)s")(access(client="", sent=0, request_fields={}))
    assert line == "- - - 0 - -"
    assert compile_format("%(u)s")(access(user="me")) == "me"


def test_the_time_is_that_of_the_common_log_format_in_any_locale():
    assert re.fullmatch(r"\[0[89]/Sep/2001:\d\d:\d\d:\d\d [+-]\d{4}\]", compile_format("%(t)s")(access()))


def test_the_default_format_is_the_combined_log_format():
    line = compile_format(DEFAULT)(access())
    assert re.fullmatch(r'192\.0\.2\.1 - - \[[^]]+\] "GET /a\?b=c HTTP/1\.1" 404 42 "http://r/" "agent"', line)


@pytest.mark.parametrize(
    "text", ["%(x)s", "%(hh)s", "%", "a % b", "%(h)", "%(h)d", "%s", "%({a}x)s", "%({}i)s", "100%"]
)
def test_an_unknown_atom_is_named(text):
    with pytest.raises(SettingError, match="access_log_format"):
        compile_format(text)


FORMAT = '%(h)s "%(r)s" "%(U)s" "%(q)s" "%(f)s" "%(a)s" "%(u)s" "%({x}i)s" "%({x}o)s" "%({x}e)s" "%(st)s"'


def with_text(text):
    return access(
        target=text,
        path=text,
        query=text,
        method=text,
        user=text,
        status=f"200 {text}",
        request_fields={"referer": text, "user-agent": text, "x": text},
        response_fields=[("x", text)],
        environ={"x": text},
    )


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029])
def test_control_characters_are_escaped(code):
    line = compile_format(FORMAT)(with_text(f"a{chr(code)}b"))
    assert chr(code) not in line
    assert line.isprintable()
    assert line.count("a\\") >= 10


QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


@given(text=st.text(st.characters(max_codepoint=0xFF), max_size=10) | st.text('a"\\ ', max_size=6))
def test_no_text_ends_the_quotes_that_a_format_puts_around_it(text):
    """Whoever reads the line, taking a backslash for an escape, must find as many quoted parts as the format has."""
    line = compile_format(FORMAT)(with_text(text))
    assert len(line.splitlines()) == 1
    assert re.fullmatch(r"192\.0\.2\.1( " + QUOTED.pattern + r"){10}", line), line


def test_the_escape_of_a_control_character_differs_from_the_same_text():
    form = compile_format("%(a)s")
    lines = {form(access(request_fields={"user-agent": text})) for text in ("a\nb", "a\\nb")}
    assert len(lines) == 2
