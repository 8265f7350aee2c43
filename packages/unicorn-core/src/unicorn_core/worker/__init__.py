"""Inside a worker process: the base class, the set-up after fork, and what connects it with the arbiter."""
