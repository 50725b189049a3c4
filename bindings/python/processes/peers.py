"""What a rank that launch.py has started knows of the others: its group, and where its result goes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["KVSIEVE_RANKS_FOLDER"])
TIME = timedelta(seconds=int(os.environ.get("KVSIEVE_RANKS_SECONDS", "60")))
"""The longest that a collective of gloo waits."""


@dataclass
class Peers:
    group: Any
    """What kvsieve.distributed.join is given."""
    rank: int
    ranks: int


def peers(transport: str) -> Peers:
    if transport == "mpi":
        from mpi4py import MPI

        world = MPI.COMM_WORLD
        return Peers(world, world.Get_rank(), world.Get_size())
    import torch.distributed as dist

    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    meeting = f"file://{FOLDER / 'meeting'}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks, timeout=TIME)
    dist.barrier()  # nobody ends before all are connected
    return Peers(dist.group.WORLD, rank, ranks)


def write(rank: int, result: Any) -> None:
    """Whole or not at all."""
    file = FOLDER / f"rank-{rank}.json"
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.rename(file)
