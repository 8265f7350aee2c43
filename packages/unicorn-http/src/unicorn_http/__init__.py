"""unicorn-http: HTTP semantics, HTTP/1.1, the WSGI gateway and the blocking workers of the unicorn server."""
