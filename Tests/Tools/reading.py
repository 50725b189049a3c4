"""What a part's output says: how many tests passed and failed, which failed, and the lines that say why.

Four kinds of output are known: Swift Testing's, pytest's, that of our own programs (`FAILED name` and, last,
`N passed, N failed`), and a compiler's. A program that counts nothing is one test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SWIFT_RUN = re.compile(r"^[✔✘] Test run with (\d+) tests?\b")
SWIFT_FAILED = re.compile(r"^✘ Test (.+?)(?: with \d+ test cases?)? failed after [\d.]+ seconds")
SWIFT_SKIPPED = re.compile(r"^➜ Test (.+?) skipped")
SWIFT_STARTED = re.compile(r"^◇ Test (?!run started|case )(.+) started\.$")
SWIFT_ENDED = re.compile(r"^[✔✘] Test (.+?)(?: with \d+ test cases?)? (?:passed|failed) after ")
PYTEST_RUN = re.compile(r"^=*\s*((?:\d+ \w+(?:, )?)+) in [\d.]+s")
PYTEST_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?|\S+\.py)(?: - .*)?$")
PYTEST_WHY = re.compile(r"^(E  |FAILED |ERROR |\S+\.py:\d+: )")
OURS_RUN = re.compile(r"^(\d+) passed, (\d+) failed$")
OURS_FAILED = re.compile(r"^(?:FAILED|FATAL) (.+)$")
COMPILER = re.compile(r"(^|: )(fatal error|error): |undefined reference|^ld[.\w]*: ")

MOST_LINES, WIDEST = 40, 200


@dataclass
class Reading:
    passed: int
    failed: int
    names: list[str] = field(default_factory=list)  # of failed tests, as far as the output names them
    lines: list[str] = field(default_factory=list)  # to show on the terminal if something failed


def read(output: str, status: int) -> Reading:
    """`status` is the exit status: a part that fails without naming a failed test is one failure."""
    lines = re.sub(r"\x1b\[[\d;]*m", "", output).splitlines()
    found = swift(lines) or pytest(lines) or ours(lines) or Reading(int(status == 0), 0)
    if status != 0 and found.failed == 0:
        found.failed = 1
    if found.failed and not found.names:
        found.names = [f"exit status {status}"] if status != 1 else ["(the output names no test)"]
    if found.failed and not found.lines:
        found.lines = errors(lines) or lines[-MOST_LINES:]
    more = len(found.lines) - MOST_LINES
    found.lines = [cut(line) for line in found.lines[:MOST_LINES]] + ([f"... {more} lines more"] if more > 0 else [])
    return found


def cut(line: str, widest: int = WIDEST) -> str:
    return line if len(line) <= widest else line[: widest - 4] + " ..."


def swift(lines: list[str]) -> Reading | None:
    """Swift Testing. A skipped test is a failed one, so is a run that began and did not end, and one without a test."""
    if not any(line.startswith("◇ Test run started") for line in lines):
        return None
    total: int | None = None
    running: dict[str, None] = {}  # in order
    names: list[str] = []
    skipped: list[str] = []
    why: list[str] = []
    within = False
    for line in lines:
        if match := SWIFT_RUN.match(line):
            total = int(match[1])
        elif match := SWIFT_STARTED.match(line):
            running[match[1]] = None
        elif match := SWIFT_SKIPPED.match(line):
            skipped.append(f"{match[1]}: skipped")
        elif match := SWIFT_ENDED.match(line):
            running.pop(match[1], None)
            if SWIFT_FAILED.match(line):
                names.append(match[1])
        # An issue, and what belongs to it: comments and differences, which may go on for lines.
        if line.startswith("✘") and " recorded an issue " in line:
            within = True
        elif line[:1] in ("◇", "✔", "✘", "➜"):
            within = False
        if within:
            why.append(line)
    if total is None:
        last = [line for line in lines if line[:1] not in ("◇", "✔", "✘", "➜", "↳")][-10:]
        some = ", ".join(list(running)[-3:])
        return Reading(0, 1, [*names, f"the run ended early; among those that ran: {some}"], [*why, *last])
    if total == 0:
        return Reading(0, 1, ["no test ran"], lines[-5:])
    failed = [*names, *skipped]
    return Reading(max(total - len(failed), 0), len(failed), failed, [*why, *skipped])


def pytest(lines: list[str]) -> Reading | None:
    """pytest. Skipped tests and errors count as failed."""
    runs = [match[1] for line in lines if (match := PYTEST_RUN.match(line))]
    if not runs:
        return None
    counts = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", runs[-1])}
    passed = counts.pop("passed", 0)
    failed = sum(counts.get(word, 0) for word in ("failed", "error", "skipped", "xfailed", "xpassed"))
    names = [match[1] for line in lines if (match := PYTEST_FAILED.match(line))]
    why = [line for line in lines if PYTEST_WHY.match(line)] if failed else []
    return Reading(passed, failed, names, why)


def ours(lines: list[str]) -> Reading | None:
    """Our own programs: the last `N passed, N failed` counts. The lines above a `FAILED name` say why."""
    runs = [match for line in lines if (match := OURS_RUN.match(line))]
    if not runs:
        return None
    names = [match[1] for line in lines if (match := OURS_FAILED.match(line))]
    passed, failed = int(runs[-1][1]), int(runs[-1][2])
    return Reading(passed, failed, [cut(name, 120) for name in names] if failed else [])


def errors(lines: list[str]) -> list[str]:
    """A compiler's or linker's errors, each with the two lines after it."""
    shown: dict[int, str] = {}
    for number, line in enumerate(lines):
        if COMPILER.search(line):
            shown.update(dict(list(enumerate(lines))[number : number + 3]))
    return list(shown.values())
