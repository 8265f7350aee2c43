"""What the tests of unicorn-asgi share: the requests that every worker class must understand alike."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "http" / "support"))
