"""What the tests of unicorn-uwsgi share: the modules in support/, and those that drive every codec."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE / "support"))
sys.path.append(str(HERE.parent / "http" / "support"))
