"""kvsieve.distributed.join over gloo and over MPI, in 2 and 4 processes: every method keeps what one process keeps, bit for bit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from joining_rank import WHOLE, Rank, together
from launch import start

import kvsieve
from cases import DIVISIONS, ROUNDS, shares


@cache
def of_one(method: str, share: int) -> list[list[list[list[int]]]]:
    """By round what one plan of the whole model keeps."""
    info = next(info for info in kvsieve.methods() if info.name == method)
    whole = Rank(WHOLE, info, share=share)
    return [whole.go(new) for new in ROUNDS]


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("transport", ["gloo", "mpi"])
def test_every_method(transport: str, ranks: int, tmp_path: Path) -> None:
    ended = start(transport, ranks, "every_method.py", tmp_path)
    assert not any(ended.statuses), ended.said
    compared = 0
    for division, parts in DIVISIONS[ranks].items():
        for method in kvsieve.methods():
            for share in shares(method):
                case = f"{division} / {method.name} / {share}"
                for index, expected in enumerate(of_one(method.name, share)):
                    found = [result[case][index] for result in ended.results]
                    assert together(parts, found) == expected, f"{case}, round {index}"
                    assert any(len(rows) < sum(ROUNDS[: index + 1]) for layer in expected for rows in layer), case
                    compared += 1
    assert compared == len(ROUNDS) * len(DIVISIONS[ranks]) * sum(len(shares(method)) for method in kvsieve.methods())
