"""Helps tests of unicorn and of plug-ins: a fake clock, and the real server as a process."""
