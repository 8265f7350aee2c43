"""ASGI for unicorn: HTTP, lifespan and WebSocket on asyncio or uvloop."""
