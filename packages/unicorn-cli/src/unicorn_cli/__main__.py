"""`python -m unicorn_cli` is the command `unicorn`."""

from unicorn_cli.main import main

if __name__ == "__main__":
    main(prog_name="unicorn")
