"""What the tests of WebSockets share: the modules in support/, which are no package that is installed."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "support"))
