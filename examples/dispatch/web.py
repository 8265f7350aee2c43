"""A WSGI application that leaves its slow work to the dispatcher; a full queue becomes 503 with Retry-After.

unicorn --dispatch-app tasks:Reports --dispatch-app tasks:Scores --dispatch-workers 3 --threads 8 web:app
"""

import json
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from unicorn_core.dispatch import QueueFull, TaskTimeout, get_client


def app(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """/report?name=x, /score?text=x, /lines"""
    query = {name: values[0] for name, values in parse_qs(str(environ["QUERY_STRING"])).items()}
    client = get_client().with_options(timeout=10)
    try:
        match environ["PATH_INFO"]:
            case "/report":
                result: object = client.execute("tasks:Reports", "make", query.get("name", "unnamed"))
            case "/score":
                result = client.execute("tasks:Scores", "score", query.get("text", ""))
            case "/lines":
                start_response("200 OK", [("Content-Type", "text/plain")])
                return (line.encode() + b"\n" for line in client.stream("tasks:Reports", "lines", 20))
            case _:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"there are /report, /score and /lines\n"]
    except QueueFull as error:
        start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "1")])
        return [f"{error}\n".encode()]
    except TaskTimeout as error:
        start_response("504 Gateway Timeout", [("Content-Type", "text/plain")])
        return [f"{error}\n".encode()]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode() + b"\n"]
