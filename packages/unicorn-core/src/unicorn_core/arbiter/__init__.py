"""The arbiter: the driver around the supervision. It makes the system calls; unicorn_core.supervise decides."""
