"""Supervision without I/O: what to spawn, drain, kill or roll back, decided from events and the time.

Nothing here makes a system call or reads a clock. A driver (unicorn_core.arbiter) reports what happened, carries
out the returned actions, and asks again when the next deadline has come.
"""
