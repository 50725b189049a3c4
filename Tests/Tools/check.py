"""Checks of the tools: what outputs say, in which order jobs run, how Swift is read, which arrows a small tree has.

A test is a function `tests_...` of one of the modules below; it asserts.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from Tools import check_reading, check_rooms, check_run, check_schedule


def main() -> int:
    passed = failed = 0
    for module in (check_reading, check_schedule, check_run, check_rooms):
        for name, test in sorted(vars(module).items()):
            if not name.startswith("tests_"):
                continue
            try:
                test()
                passed += 1
            except Exception:
                failed += 1
                print(f"{traceback.format_exc()}FAILED {name.removeprefix('tests_').replace('_', ' ')}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
