"""What is installed of the Python package: the wheel, the source distribution, and the wheel beside BLAS libraries.

A test is a function `tests_...` of one of the modules below; it asserts.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import check_beside
import check_sdist
import check_wheel
from Tools import named

if __name__ == "__main__":
    sys.exit(named.run(*map(vars, (check_wheel, check_sdist, check_beside))))
