"""A rank that cannot finish, raises or dies, over gloo and MPI: the others are told by a status, by the engine's error or by its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from launch import start

LIMIT = 60
"""Seconds: over gloo a rank waits 4 for the others."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVSIEVE_RANKS_SECONDS", "4")


def is_group(result: Any) -> bool:
    """ "all_gather failed": and "Every plan is as it was\""""
    return bool(result["name"] == "KVSIEVE_ERR_GROUP" and result["same"])


@pytest.mark.parametrize("ranks", [2, 4])
@pytest.mark.parametrize("transport", ["gloo", "mpi"])
def test_a_rank_whose_observe_failed(transport: str, ranks: int, tmp_path: Path) -> None:
    """ "A rank whose observe() failed calls finish(), too: then all ranks are told"."""
    ended = start(transport, ranks, "failing.py", tmp_path, "refused", "0", limit=LIMIT)
    assert not any(ended.statuses), ended.said
    assert {(result["name"], result["cause"], result["same"]) for result in ended.results} == {
        ("KVSIEVE_ERR_STATE", "", True)
    }
    (message,) = {result["message"] for result in ended.results}
    assert message.startswith("rank 1: 0 of "), message


@pytest.mark.parametrize(("way", "call"), [("raises", 0), ("raises", 5), ("killed", 0), ("killed", 5), ("stays", 3)])
@pytest.mark.parametrize("ranks", [2, 4])
def test_gloo(ranks: int, way: str, call: int, tmp_path: Path) -> None:
    """The others get gloo's own error: at once if the rank has ended, else after gloo's time limit."""
    ended = start("gloo", ranks, "failing.py", tmp_path, way, str(call), limit=LIMIT)
    assert ended.statuses == [-9 if way == "killed" and rank == 1 else 0 for rank in range(ranks)], ended.said
    for rank, result in enumerate(ended.results):
        if rank == 1 and way == "killed":
            assert result is None
        else:
            assert is_group(result), (rank, result)
            assert result["cause"] == ("Own" if rank == 1 else "RuntimeError"), (rank, result)


@pytest.mark.parametrize("call", [0, 3])
@pytest.mark.parametrize("way", ["raises", "killed"])
@pytest.mark.parametrize("ranks", [2, 4])
def test_mpi(ranks: int, way: str, call: int, tmp_path: Path) -> None:
    """MPI ends all ranks."""
    ended = start("mpi", ranks, "failing.py", tmp_path, way, str(call), limit=LIMIT)
    assert ended.statuses != [0], ended.said
    assert [result is None for result in ended.results] == [way == "killed" or rank != 1 for rank in range(ranks)]
    assert way == "killed" or (is_group(ended.results[1]) and ended.results[1]["cause"] == "Own")
