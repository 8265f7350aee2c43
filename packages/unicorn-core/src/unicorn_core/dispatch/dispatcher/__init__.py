"""The dispatcher: one process, one loop, a queue for each task worker."""
