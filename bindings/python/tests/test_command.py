"""What the command lines share: methods drawn once, the output's place, and an end without a word if nobody reads on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Cache

import kvsieve
from kvsieve import __main__, _command

PROGRAMS = [
    ["kvsieve"],
    ["kvsieve", "check"],
    ["kvsieve", "--help"],
    ["kvsieve", "compare", "--help"],
    ["kvsieve.plot", "--help"],
]


def test_a_method_is_chosen_once_however_it_is_written() -> None:
    assert _command.chosen(["Task-KV", "snapkv", "taskkv", "SnapKV", "TASKKV"]) == ["taskkv", "snapkv"]
    with pytest.raises(ValueError, match="method is 'Slim-KV': expected one of"):
        _command.chosen(["snapkv", "Slim-KV"])


def test_a_parameter_may_name_its_method_as_the_paper_does() -> None:
    given = _command.parameters(["taskkv", "snapkv"], ["Task-KV.sinks=2", "taskkv.recent=5", "SnapKV.budget=7"])
    assert given == {"taskkv": {"sinks": 2, "recent": 5}, "snapkv": {"budget": 7}}


def test_check_says_that_the_library_computes_what_it_must() -> None:
    done = subprocess.run([sys.executable, "-m", "kvsieve", "check"], capture_output=True, text=True, check=False)
    info, answer = done.stdout.splitlines()
    assert (done.returncode, done.stderr, info) == (0, "", kvsieve.build_info())
    assert answer.startswith(f"kernels and {len(kvsieve.methods())} methods compute what they must (")


def test_check_of_a_broken_library_is_its_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise kvsieve.KVSieveError(
            -12, "KVSIEVE_ERR_BROKEN", "self-check: kernel pool_mean of avx2: number 3 is 1.0; expected 2.0"
        )

    monkeypatch.setattr(__main__, "self_check", broken)
    assert __main__.main(["check"]) == 2
    assert capsys.readouterr().err == (
        "python -m kvsieve: KVSIEVE_ERR_BROKEN: self-check: kernel pool_mean of avx2: number 3 is 1.0; expected 2.0\n"
    )


def ended(program: list[str], output: int) -> tuple[int, str]:
    """Exit status and stderr of a program that writes there. Not -u: what a buffer holds is written at the end."""
    command = [sys.executable, "-m", *program]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


def closed_pipe() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_an_output_that_nobody_reads_ends_it_without_a_word(program: list[str]) -> None:
    writing = closed_pipe()
    assert ended(program, writing) == (141, "")
    os.close(writing)


def test_a_table_that_nobody_reads_on_is_not_an_error_of_the_file(tmp_path: Path, cache: Cache) -> None:
    """A line a method is written at once, so that the second finds the pipe closed."""
    file, writing = tmp_path / "cache.npz", closed_pipe()
    np.savez(file, q=cache.queries, k=cache.keys)
    assert ended(["kvsieve", "compare", str(file), "--keep", "0.5"], writing) == (141, "")
    os.close(writing)


@pytest.mark.parametrize("program", PROGRAMS, ids=" ".join)
def test_an_output_that_cannot_be_written_is_a_sentence(program: list[str]) -> None:
    with open("/dev/full", "w") as full:
        status, said = ended(program, full.fileno())
    assert status == 2 and said.endswith(": [Errno 28] No space left on device\n") and said.count("\n") == 1


def test_a_file_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _command.can_be_written(tmp_path / "new.png")
    (tmp_path / "old.png").touch()
    _command.can_be_written(tmp_path / "old.png")
    asked = []

    def access(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)
    for name, place in (("new.png", tmp_path), ("old.png", tmp_path / "old.png")):
        with pytest.raises(ValueError, match=f"--output is .*{name}: it may not be written"):
            _command.can_be_written(tmp_path / name)
        assert asked.pop() == (place, os.W_OK)
