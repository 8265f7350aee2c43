"""The command without the --bind that ServerProcess puts first: for tests whose configuration file names addresses."""

import sys

from unicorn_cli.main import main

if __name__ == "__main__":
    assert sys.argv[1] == "--bind"
    main(sys.argv[3:])
