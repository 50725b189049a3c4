"""Runs the parts of parts.py and adds up what passed. The last line is `N passed, N failed`.

    run.py              those of `make test`
    run.py --check      those of `make check`
    run.py --long       all of them: `make test-long`
    run.py PART ...     these
    run.py --list       what there is: name; "check" if it is in make check, "long" if in make test-long alone; what is
                        compared; what it needs

As many parts run at once as there are cores. A part's whole output is in .build/test-logs/PART.log; the terminal shows a
line when it starts, a line when it ended and, if it failed, why. A part that cannot run here says why and is not counted.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from instruction_sets import INSTRUCTION_SETS
from part import Part, words
from parts import PARTS
from steps import STEPS
from Tools.reading import Reading, read
from Tools.schedule import Job, Outcome, Schedule

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / ".build/release/libkvsieve.so"
LOGS = ROOT / ".build/test-logs"
MOST_NAMES = 20  # of a part, at the end
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ASK = "import ctypes, sys; f = ctypes.CDLL(sys.argv[1]).kvsieve_build_info; f.restype = ctypes.c_char_p; print(f().decode())"


def environment(instructions: str = "") -> dict[str, str]:
    fixed = {
        "KVSIEVE_LIBRARY": str(LIBRARY),
        "PYTHONPATH": str(ROOT / "bindings/python/src"),
        "VENV_PYTHON": sys.executable,
        "NO_COLOR": "1",
        "SWIFT_BACKTRACE": "enable=no",
        # A request beyond all bounds is refused as malloc refuses it.
        "ASAN_OPTIONS": "allocator_may_return_null=1",
        # The test runner's own leaks are not ours.
        "LSAN_OPTIONS": f"suppressions={ROOT / 'Tests/lsan.supp'}:print_suppressions=0",
    }
    return {**os.environ, **fixed, **({"KVSIEVE_ISA": instructions} if instructions else {})}


def instruction_set(instructions: str) -> str:
    """What the built library really uses if KVSIEVE_ISA is this: its own answer, kvsieve_build_info's second field."""
    command = [sys.executable, "-c", ASK, str(LIBRARY)]
    answer = subprocess.run(command, env=environment(instructions), capture_output=True, text=True, check=True).stdout
    return answer.split(", ")[1]


def why_not(part: Part, chosen: list[str]) -> str:
    """Why a part is not run here; "" if it is."""
    if part.unless and (ROOT / part.unless).exists():
        return (ROOT / part.unless).read_text().strip()
    if not part.instructions:
        return ""
    found = instruction_set(part.instructions)
    if found not in INSTRUCTION_SETS[part.instructions]:
        return "not on this processor"
    if part.repeats in chosen and found == instruction_set(""):
        return f"{found} is what {part.repeats} runs on this processor"
    return ""


def unknown(names: list[str]) -> str:
    """A sentence about names that are no part; "" if all are."""
    wrong = [name for name in names if name not in PARTS]
    return f"no such part: {', '.join(wrong)}; there are {', '.join(PARTS)}" if wrong else ""


def listing() -> str:
    lines = []
    for name, part in PARTS.items():
        needs = [*part.needs, *([INSTRUCTION_SETS[part.instructions][0]] if part.instructions else [])]
        lines.append(
            f"{name:14} {'check' if part.check else 'long' if part.long else '':5} {part.what}"
            + (f" [needs {', '.join(needs)}]" if needs else "")
        )
    return "\n".join([f"{'part':14} {'in':5} compares", *lines])


def chosen(arguments: list[str]) -> list[str]:
    """The parts that the command line asks for."""
    if arguments == ["--check"]:
        return [name for name in PARTS if PARTS[name].check]
    if arguments == ["--long"]:
        return list(PARTS)
    return arguments or [name for name in PARTS if not PARTS[name].long]


@dataclass
class Totals:
    """Takes in what each job's output says, prints a line about it, and the sums in the end."""

    readings: dict[str, Reading] = field(default_factory=dict)
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)

    def started(self, job: Job) -> None:
        print(f"== {job.name}", flush=True)

    def ended(self, name: str, outcome: Outcome) -> None:
        log = LOGS / f"{name}.log"
        if outcome.left_out:
            self.not_run[name] = outcome.left_out
            print(f"-- {name}: {outcome.left_out}", flush=True)
            return
        if outcome.without:
            reading = Reading(0, 1, [f"did not run: {outcome.without} failed"])
        else:
            reading = read(log.read_text(errors="replace"), outcome.status)
        if outcome.late:
            reading.names.append("ran longer than its limit and was ended")
        if name in STEPS and not reading.failed:
            print(f"-- {name}: built, {outcome.seconds:.0f} s", flush=True)
            return
        self.readings[name] = reading
        self.seconds[name] = (outcome.seconds, outcome.cpu)
        print(f"-- {name}: {reading.passed} passed, {reading.failed} failed, {outcome.seconds:.0f} s", flush=True)
        if reading.failed and not outcome.without:
            print(
                "".join(f"   {line}\n" for line in reading.lines) + f"   all of it: {log.relative_to(ROOT)}", flush=True
            )

    def last_lines(self, seconds: float) -> int:
        print(f"\n== all, {seconds:.0f} s")
        for name, reading in self.readings.items():
            wall, cpu = self.seconds[name]
            print(
                f"{name:14} {reading.passed:5} passed {reading.failed:5} failed {wall:5.0f} s {cpu:5.0f} s of processor"
            )
        for name, why in self.not_run.items():
            print(f"{name:14} {why}")
        failures = {name: reading.names for name, reading in self.readings.items() if reading.failed}
        if failures:
            print("\n== failed")
        for name, tests in failures.items():
            print("".join(f"{name}: {test}\n" for test in tests[:MOST_NAMES]), end="")
            if len(tests) > MOST_NAMES:
                print(f"{name}: {len(tests) - MOST_NAMES} more, in {(LOGS / name).relative_to(ROOT)}.log")
        passed = sum(reading.passed for reading in self.readings.values())
        failed = sum(reading.failed for reading in self.readings.values())
        print(f"{passed} passed, {failed} failed")
        return 1 if failed or not passed else 0


def jobs(names: list[str]) -> list[Job]:
    """These parts, each after the steps that it is the first to need."""
    found: dict[str, Job] = {}
    for name in names:
        for needed in PARTS[name].needs:
            step = STEPS[needed]
            found.setdefault(
                needed,
                Job(needed, words(step.command), LOGS / f"{needed}.log", (), 1, step.shares, 3600, environment()),
            )
        part = PARTS[name]
        found[name] = Job(
            name,
            words(part.command),
            LOGS / f"{name}.log",
            part.needs,
            part.cores,
            part.shares,
            part.limit,
            environment(part.instructions),
            functools.partial(why_not, part, names),
        )
    return list(found.values())


def main(arguments: list[str]) -> int:
    begin = time.monotonic()
    if arguments in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    if arguments == ["--list"]:
        print(listing())
        return 0
    names = chosen(arguments)
    if sentence := unknown(names):
        print(sentence, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    totals = Totals()
    Schedule(jobs(names), CORES, ROOT).run(totals.started, totals.ended)
    return totals.last_lines(time.monotonic() - begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
