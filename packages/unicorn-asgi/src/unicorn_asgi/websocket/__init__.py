"""WebSocket (RFC 6455): what turns a request into a connection of messages, and what an application does with it."""
