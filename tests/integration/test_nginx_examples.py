"""The configurations in examples/nginx work as they are: with the server that each names, and no change but to its
port, its socket's path and the group."""

import grp
import os
import re
import shlex
from pathlib import Path

import httpx
import pytest

from .support.nginx import Nginx, free_ports, needs_nginx

pytestmark = needs_nginx

EXAMPLES = Path(__file__).parents[2] / "examples" / "nginx"


@pytest.fixture(params=sorted(EXAMPLES.glob("*.conf")), ids=lambda path: path.stem)
def client(request, tmp_path, serve, apps):
    text = request.param.read_text()
    found = re.search(r"#     unicorn (.*) myapp:app\n", text)
    assert found, "the file tells how the server is started"
    words = shlex.split(found[1])
    assert words[words.index("--bind") + 1] == "unix:/run/myapp/web.sock"
    assert words[words.index("--group") + 1] == "www-data"
    words[words.index("--bind") + 1] = f"unix:{tmp_path}/web.sock"
    words[words.index("--group") + 1] = grp.getgrgid(os.getegid()).gr_name
    serve("", *words, application="wire_app:app", cwd=apps, bind=False, unix=tmp_path / "web.sock")
    (port,) = free_ports(1)
    assert "listen 80;" in text
    text = text.replace("/run/myapp", str(tmp_path)).replace("listen 80;", f"listen 127.0.0.1:{port};")
    nginx = Nginx(tmp_path / "nginx", text, [port])
    # As by the name in the file, and by its usual port.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": "example.org"}, trust_env=False) as client:
        yield client
    nginx.stop()
    print(nginx.log)
    assert not re.search(r"\[(error|crit|alert|emerg)\]", nginx.log), nginx.log


def test_the_application_sees_its_clients(client):
    seen = eval(client.get("/environ?a=%20b").text)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert (seen["HTTP_HOST"], seen["SERVER_NAME"]) == ("example.org", "example.org")
    assert (seen["PATH_INFO"], seen["QUERY_STRING"], seen["SCRIPT_NAME"]) == ("/environ", "a=%20b", "")
    assert seen["wsgi.url_scheme"] == "http"


def test_uploads_and_answers_pass(client):
    body = bytes(range(256)) * 4096
    assert client.post("/echo", content=body).content == body
    assert client.post("/size", content=iter([body, body])).text == str(2 * len(body))
    assert client.get("/blocks").text == "one,two,three"
    assert client.get("/raises?x").status_code == 500


def test_an_application_lives_under_a_prefix(client):
    seen = eval(client.get("/blog/environ?q").text)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/blog", "/environ", "q")
