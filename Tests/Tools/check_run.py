"""The table of parts and what the runner says of it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import run
from instruction_sets import INSTRUCTION_SETS
from part import Part, words
from parts import PARTS
from steps import STEPS

ROOT = Path(__file__).resolve().parent.parent.parent


def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "Tests/run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def tests_the_table_names_what_exists() -> None:
    for name, part in PARTS.items():
        assert set(part.needs) <= set(STEPS), name
        assert part.instructions in ("", *INSTRUCTION_SETS), name
        assert part.repeats in ("", *PARTS), name
        assert " " not in name, name
        assert part.instructions == "" or "library" in part.needs, f"{name}: the library is asked for its instructions"
        for folder, step in ((".build/", "library"), (".build-asan/", "address-library")):
            assert f"{folder}release/libkvsieve.so" not in part.command or step in part.needs, name
    assert not set(PARTS) & set(STEPS)


def tests_what_is_asked_for_is_chosen() -> None:
    assert run.chosen(["--long"]) == list(PARTS)
    assert set(run.chosen(["--check"])) < set(run.chosen([])) < set(PARTS)
    assert {"swift", "abi", "abi-address", "abi-valgrind", "decoding"} <= set(run.chosen([]))
    assert {"sanitizer", "long-run"} == {"sanitizer", "long-run"} - set(run.chosen([]))
    assert run.chosen(["python", "long-run"]) == ["python", "long-run"]


def tests_a_command_is_words() -> None:
    assert words("python a.py 'b c'") == [sys.executable, "a.py", "b c"]
    assert words("sh -c 'python d'") == ["sh", "-c", "python d"]


def tests_an_unknown_part_is_a_sentence() -> None:
    done = runner("sources", "swfit")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("no such part: swfit; there are sources, ") and "c-gcc" in done.stderr


def tests_the_list_has_a_line_a_part() -> None:
    heading, *lines = runner("--list").stdout.splitlines()
    assert heading.split() == ["part", "in", "compares"]
    assert [line.split()[0] for line in lines] == list(PARTS)
    assert all(part.what in line for part, line in zip(PARTS.values(), lines, strict=True))


def tests_a_step_stands_once_before_the_first_part_that_needs_it() -> None:
    names = [job.name for job in run.jobs(["sources", "python", "quickstart", "swift"])]
    assert names == ["sources", "library", "python", "quickstart", "tests", "swift"]


def tests_a_part_whose_needs_cannot_be_had_says_why() -> None:
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(run, "ROOT", Path(folder)):
        part = Part("", "true", unless="why")
        assert run.why_not(part, []) == ""
        Path(folder, "why").write_text("not installable here (no network)\n")
        assert run.why_not(part, []) == "not installable here (no network)"


def tests_instructions_that_are_not_there_are_not_counted() -> None:
    part = Part("", "true", instructions="v4", repeats="swift")
    for default, found, expected in (
        ("avx512bf16", "avx512", ""),
        ("avx512", "avx512", "avx512 is what swift runs on this processor"),
        ("avx2", "avx2", "not on this processor"),
        ("neon", "neon", "not on this processor"),
    ):
        with mock.patch.object(run, "instruction_set", {"": default, "v4": found}.__getitem__):
            assert run.why_not(part, ["swift"]) == expected
            assert run.why_not(part, []) == ("" if found == "avx512" else expected)
