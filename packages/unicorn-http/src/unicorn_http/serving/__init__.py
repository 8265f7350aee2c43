"""What workers of every class have in common in serving requests, with or without WSGI."""
