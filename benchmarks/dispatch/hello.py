"""The web application beside the pool: each request waits for a task that does nothing."""

try:
    from unicorn_core.dispatch import get_client
except ImportError:
    get_client = None


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if get_client is not None:
        client = get_client()
    else:
        from gunicorn.dirty import get_dirty_client_async

        client = await get_dirty_client_async()
    result = await client.execute_async("tasks:Tasks", "noop")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": str(result).encode()})
