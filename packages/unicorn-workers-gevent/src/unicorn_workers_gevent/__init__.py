"""unicorn-workers-gevent: the gevent and eventlet workers of the unicorn server."""
