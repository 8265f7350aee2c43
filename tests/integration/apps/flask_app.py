"""A Flask application of what the framework tests ask for."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, jsonify, request, send_file

app = Flask(__name__)
FILE = Path(os.environ["PHOTO"])


@app.get("/hello/<name>")
def hello(name: str) -> str:
    return f"Hello, {name}!"


@app.get("/query")
def query() -> Response:
    return jsonify({key: request.args.getlist(key) for key in request.args})


@app.post("/json")
def echo_json() -> Response:
    return jsonify({"got": request.get_json()})


@app.post("/form")
def form() -> Response:
    return jsonify(dict(request.form))


@app.post("/upload")
def upload() -> Response:
    digest, size = hashlib.sha256(), 0
    while piece := request.stream.read(65536):
        digest.update(piece)
        size += len(piece)
    return jsonify({"size": size, "sha256": digest.hexdigest()})


@app.post("/multipart")
def multipart() -> Response:
    given = request.files["file"]
    data = given.read()
    return jsonify(
        {"name": given.filename, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **request.form}
    )


@app.get("/stream")
def stream() -> Response:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"line {number}\n"

    return Response(lines(), mimetype="text/plain")


@app.get("/file")
def file() -> Response:
    return send_file(FILE, mimetype="application/octet-stream")


@app.get("/cookie/set")
def set_cookie() -> Response:
    answer = Response("set")
    answer.set_cookie("flavour", "oat")
    answer.set_cookie("shape", "round")
    return answer


@app.get("/cookie/show")
def show_cookie() -> Response:
    return jsonify(dict(request.cookies))


@app.get("/redirect")
def redirect() -> Response:
    return Response(status=302, headers={"Location": "/hello/again"})


@app.get("/empty")
def empty() -> Response:
    return Response(status=204)


@app.get("/boom")
def boom() -> str:
    raise RuntimeError("a fault in the Flask application")
