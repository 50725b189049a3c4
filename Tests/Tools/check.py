"""Checks of the tools: what outputs say, in which order jobs run, how Swift is read, how the manual is made, which arrows a small tree has.

A test is a function `tests_...` of one of the modules below; it asserts.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Tools import check_manual, check_reading, check_rooms, check_run, check_schedule, named

if __name__ == "__main__":
    sys.exit(named.run(*map(vars, (check_manual, check_reading, check_schedule, check_run, check_rooms))))
