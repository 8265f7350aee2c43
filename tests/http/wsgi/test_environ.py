"""The environ is what PEP 3333 and CGI say, from the bytes of the request alone."""

import pytest
from codec_driver import STRANGER
from hypothesis import given
from hypothesis import strategies as st
from wsgi_driver import ERRORS, Script, environs

from unicorn_http.codec import Peer
from unicorn_http.wsgi.environ import ScriptNameError

UNIX = Peer("", 0, "", 0)


def environ_of(*lines, target=b"/", method=b"GET", version=b"HTTP/1.1", peer=STRANGER, host=b"a", **settings):
    factory = environs(**settings)
    lines = (b"%b %b %b" % (method, target, version), *([b"Host: " + host] if host is not None else []), *lines)
    wire = b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return factory.complete(Script(wire, factory=factory, peer=peer, **settings).request)


def fields(environ):
    return {key: value for key, value in environ.items() if key.startswith(("HTTP_", "CONTENT_"))}


@pytest.fixture(autouse=True)
def no_script_name(monkeypatch):
    monkeypatch.delenv("SCRIPT_NAME", raising=False)


def test_everything_that_pep_3333_asks_for_is_there():
    environ = environ_of(target=b"/a?b=c", method=b"POST")
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/a"
    assert environ["QUERY_STRING"] == "b=c"
    assert environ["SERVER_NAME"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == "8000"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert environ["REMOTE_PORT"] == "50000"
    assert environ["RAW_URI"] == "/a?b=c"
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.errors"] is ERRORS
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is True
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input_terminated"] is True
    assert callable(environ["wsgi.file_wrapper"])
    assert "CONTENT_LENGTH" not in environ
    assert "CONTENT_TYPE" not in environ


def test_it_is_a_plain_dictionary_of_its_own():
    factory = environs()
    first = factory.complete(Script(factory=factory).request)
    first["wsgi.version"] = first["SERVER_NAME"] = "changed"
    second = factory.complete(Script(factory=factory).request)
    assert type(second) is dict
    assert second["wsgi.version"] == (1, 0)
    assert second["SERVER_NAME"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"/?", "/", ""),
        (b"/a/b.c", "/a/b.c", ""),
        (b"/a%20b", "/a b", ""),
        (b"/a+b", "/a+b", ""),
        (b"/%41%2f%2F%00", "/A//\0", ""),
        (b"/%C3%A4", "\xc3\xa4", ""),
        (b"/%e4", "\xe4", ""),
        (b"/%", "/%", ""),
        (b"/%4", "/%4", ""),
        (b"/%zz%41", "/%zzA", ""),
        (b"/%2541", "/%41", ""),
        (b"/a?b=%20c&d=?e", "/a", "b=%20c&d=?e"),
        (b"/a%3Fb", "/a?b", ""),
        (b"//a/../b/./c", "//a/../b/./c", ""),
        (b"/a;b=c", "/a;b=c", ""),
    ],
)
def test_the_path_is_unquoted_once_and_the_query_is_not(target, path, query):
    environ = environ_of(target=target)
    expected = path if path.startswith("/") else "/" + path
    assert environ["PATH_INFO"] == expected
    assert environ["QUERY_STRING"] == query
    assert environ["RAW_URI"] == target.decode()


@given(raw=st.binary(max_size=20))
def test_a_path_of_any_bytes_comes_through_as_latin_1(raw):
    environ = environ_of(target=b"/" + b"".join(b"%%%02X" % byte for byte in raw))
    assert environ["PATH_INFO"].encode("latin-1") == b"/" + raw


@given(value=st.lists(st.sampled_from([*range(0x21, 0x7F), *range(0x80, 0x100)]), max_size=20).map(bytes))
def test_a_value_of_any_bytes_comes_through_as_latin_1(value):
    assert environ_of(b"B: " + value)["HTTP_B"].encode("latin-1") == value


def test_names_become_keys():
    environ = environ_of(b"X-Real-Ip: 1", b"accept: 2", b"Content-Type: a/b", b"Content-Length: 0", b"Content-Md5: 3")
    assert fields(environ) == {
        "HTTP_HOST": "a",
        "HTTP_X_REAL_IP": "1",
        "HTTP_ACCEPT": "2",
        "CONTENT_TYPE": "a/b",
        "CONTENT_LENGTH": "0",
        "HTTP_CONTENT_MD5": "3",
    }


def test_an_empty_content_type_is_kept():
    assert environ_of(b"Content-Type:")["CONTENT_TYPE"] == ""


def test_no_field_looks_like_another_variable():
    """Proxy would become HTTP_PROXY, as CGI has it; but nothing may become a variable of the server's own."""
    before = environ_of()
    lines = [b"Remote-Addr: x", b"Server-Name: x", b"Path-Info: x", b"Wsgi.Input: x", b"Request-Method: x"]
    after = environ_of(*lines, b"Script-Name: x", b"Http-Host: x", b"Wsgi.url_scheme: https")
    for key, value in before.items():
        assert after[key] == value, key
    assert set(after) - set(before) == {
        "HTTP_REMOTE_ADDR",
        "HTTP_SERVER_NAME",
        "HTTP_PATH_INFO",
        "HTTP_WSGI.INPUT",
        "HTTP_REQUEST_METHOD",
        "HTTP_SCRIPT_NAME",
        "HTTP_HTTP_HOST",
    }


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ([b"B: 1", b"b: 2", b"B:", b"B: 3 \t"], "HTTP_B", "1,2,,3"),
        ([b"Cookie: a=1", b"Cookie: b=2"], "HTTP_COOKIE", "a=1; b=2"),
        ([b"Accept: a", b"Accept: b, c"], "HTTP_ACCEPT", "a,b, c"),
        ([b"Connection: a", b"Connection: b"], "HTTP_CONNECTION", "a,b"),
    ],
)
def test_repeated_fields_are_joined(lines, key, value):
    assert environ_of(*lines)[key] == value


# Underscores


@pytest.mark.parametrize("lines", [(b"X-User: me", b"X_User: you"), (b"X_User: you", b"X-User: me", b"x_USER: you")])
def test_a_dropped_name_with_an_underscore_takes_nothing_else_along(lines):
    """Else a client could blot out what a proxy says, with a name that the proxy takes for another one."""
    assert fields(environ_of(*lines)) == {"HTTP_HOST": "a", "HTTP_X_USER": "me"}


def test_dropped_names_with_underscores_leave_content_type_and_length_alone():
    environ = environ_of(
        *(b"Content-Length: 0", b"Content_Length: 7", b"Content-Type: a/b", b"Content_Type: c/d"), method=b"POST"
    )
    assert fields(environ) == {"HTTP_HOST": "a", "CONTENT_LENGTH": "0", "CONTENT_TYPE": "a/b"}


def test_a_name_with_an_underscore_that_is_let_through_does_not_change_the_length():
    """header_map=dangerous lets Content_Length through; what frames the body must not be what it says."""
    environ = environ_of(b"Content-Length: 0", b"Content_Length: 7", method=b"POST", header_map="dangerous")
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ_of(b"Content_Length: 7", header_map="dangerous").get("CONTENT_LENGTH") is None


# SCRIPT_NAME


def test_the_process_names_the_prefix(monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/pre")
    environ = environ_of(target=b"/pre/a?b")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == ("/pre", "/a", "/pre/a?b")
    assert environ_of(target=b"/pre")["PATH_INFO"] == ""


def test_a_path_outside_of_the_prefix_is_an_error(monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/pre")
    with pytest.raises(ScriptNameError, match="/other"):
        environ_of(target=b"/other")


@pytest.mark.parametrize("peer", [UNIX, Peer("127.0.0.1", 1, "127.0.0.1", 80)])
def test_a_believed_proxy_names_the_prefix(peer, monkeypatch):
    monkeypatch.setenv("SCRIPT_NAME", "/pre")
    environ = environ_of(b"SCRIPT_NAME: /proxy", target=b"/proxy/a", peer=peer)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/proxy", "/a")


@pytest.mark.parametrize("header_map", ["drop", "dangerous"])
@pytest.mark.parametrize(
    "lines",
    [
        [b"SCRIPT_NAME: /evil"],
        [b"Script-Name: /evil"],
        [b"SCRIPT_NAME: /evil", b"Script-Name: /evil"],
        [b"Script-Name: /evil", b"script_name: /other"],
    ],
)
def test_a_stranger_does_not_name_the_prefix(lines, header_map):
    environ = environ_of(*lines, target=b"/evil/a", header_map=header_map)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/evil/a")


def test_what_a_client_says_beside_a_believed_proxy_does_not_change_the_prefix():
    """A proxy sets SCRIPT_NAME but passes Script-Name on, which is another field to it."""
    for lines in ([b"SCRIPT_NAME: /proxy", b"Script-Name: /x"], [b"Script-Name: /x", b"SCRIPT_NAME: /proxy"]):
        environ = environ_of(*lines, target=b"/proxy/a", peer=UNIX)
        assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/proxy", "/a")
    environ = environ_of(b"Script-Name: /x", target=b"/x/a", peer=UNIX)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/x/a")


# The peer


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [
        (b"a.example", "a.example", "80"),
        (b"a.example:8080", "a.example", "8080"),
        (b"[::1]", "[::1]", "80"),
        (b"[::1]:8080", "[::1]", "8080"),
        (b"", "localhost", "80"),
        (None, "localhost", "80"),
    ],
)
def test_on_a_unix_socket_host_names_the_server(host, name, port):
    environ = environ_of(peer=UNIX, host=host, version=b"HTTP/1.1" if host is not None else b"HTTP/1.0")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ


def test_on_a_unix_socket_the_port_follows_the_scheme():
    environ = environ_of(b"X-Forwarded-Proto: https", peer=UNIX)
    assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "443")


def test_on_tcp_host_names_nothing_but_itself():
    environ = environ_of(host=b"evil.example:99")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8000")
    assert environ["HTTP_HOST"] == "evil.example:99"


@pytest.mark.parametrize("peer", [UNIX, Peer("127.0.0.1", 1, "127.0.0.1", 80), Peer("::ffff:127.0.0.1", 1, "::1", 80)])
def test_a_believed_proxy_names_the_scheme(peer):
    assert environ_of(b"X-Forwarded-Proto: https", peer=peer)["wsgi.url_scheme"] == "https"


def test_a_stranger_does_not_name_the_scheme():
    environ = environ_of(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off")
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_X_FORWARDED_PROTO"] == "https"


# The other forms of a target


@pytest.mark.parametrize(
    ("target", "host", "path", "query"),
    [
        (b"http://b/c?d", "b", "/c", "d"),
        (b"http://b:8080/%20", "b:8080", "/ ", ""),
        (b"HTTPS://[::1]:443", "[::1]:443", "/", ""),
        (b"http://b?c", "b", "/", "c"),
        (b"http://b//c", "b", "//c", ""),
    ],
)
def test_the_authority_of_an_absolute_form_replaces_host(target, host, path, query):
    environ = environ_of(target=target)
    assert environ["HTTP_HOST"] == host
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["RAW_URI"] == target.decode()
    assert environ["wsgi.url_scheme"] == "http"


def test_options_of_the_whole_server():
    environ = environ_of(target=b"*", method=b"OPTIONS")
    assert (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("OPTIONS", "*")


def test_a_new_worker_s_cache_of_keys_is_bounded():
    factory = environs()
    script = Script(factory=factory)
    for number in range(10000):
        request = script.new_request()
        request.on_header(b"X-%d" % number, b"")
        request.take_lines([f"Y-{number}: "])
        assert request.environ[f"HTTP_X_{number}"] == request.environ[f"HTTP_Y_{number}"] == ""
    assert len(factory.names.ordinary) <= 4096
    assert len(factory.names.ordinary_text) <= 4096
