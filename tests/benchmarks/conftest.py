"""The benchmark is no package that is installed, so its folder is put on the path here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
