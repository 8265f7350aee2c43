"""unicorn-cli: the command `unicorn`."""
