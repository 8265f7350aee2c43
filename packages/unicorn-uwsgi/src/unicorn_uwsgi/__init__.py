"""unicorn-uwsgi: the uWSGI binary protocol of the unicorn server."""
