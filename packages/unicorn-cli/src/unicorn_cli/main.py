"""Where the process begins."""

import gc
from typing import NoReturn


def main(args: list[str] | None = None, prog_name: str = "unicorn") -> NoReturn:
    """Entry point of the command `unicorn`; exits with one of unicorn_core.errors.ExitCode."""
    # Most of a start is importing, which makes next to no garbage: looking for it again and again took a tenth of the
    # time. `serve` turns the collector on again.
    gc.disable()
    from unicorn_cli.command import run

    run(args, prog_name)
