"""One rank of test_failures.py: two layers of dynamickv, and rank 1 fails in some way. Each rank writes what became of it.

    failing.py TRANSPORT WAY CALL

WAY     refused   rank 1 hands over a layer with NaN, and calls finish() all the same
        raises    rank 1's collective raises in its CALL-th round, before it sends: the program goes on to its end
        killed    rank 1 is killed there
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import numpy as np
from joining_engine import KEPT, LAYERS, MODEL, WHOLE, observe
from peers import Peers, peers, write
from ranks import Part, heads_of, plan_of, tensor_parallel

import kvsieve
from kvsieve import distributed


class Own(Exception):
    """The engine's."""


def spoiled(plan: kvsieve.Plan, way: str, call: int) -> None:
    """The plan's collective fails in a round."""
    join, count = plan.join, 0

    def joined(all_gather: Any, *arguments: Any, **place: Any) -> None:
        def gather(send: Any, receive: Any) -> None:
            nonlocal count
            if count == call:
                if way == "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise Own(f"round {call}")
            count += 1
            all_gather(send, receive)

        join(gather, *arguments, **place)

    plan.join = joined  # type: ignore[method-assign]


def cut(here: Peers) -> Part:
    """Rank 0 has the first head; of four ranks, 2 and 3 have the second layer."""
    heads = tensor_parallel(1, MODEL.kv_heads, 2)[here.rank % 2].heads
    return Part(range(LAYERS), heads) if here.ranks == 2 else Part(range(here.rank // 2, here.rank // 2 + 1), heads)


def main() -> None:
    transport, way, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
    here = peers(transport)
    part = cut(here)
    plan = plan_of(part, MODEL, "dynamickv", **KEPT["dynamickv"])
    if here.rank == 1 and way != "refused":
        spoiled(plan, way, call)
    place = {"first_layer": part.layers.start, "first_head": part.heads.start}
    distributed.join(plan, here.group, layers=LAYERS, heads=MODEL.kv_heads, **place)
    if here.rank == 1 and way == "refused":
        wrong = [heads_of(np.full((n, 60, MODEL.head_dim), np.nan, np.float32), part, MODEL) for n in (4, 2, 2)]
        try:
            plan.observe(0, *wrong)
        except kvsieve.KVSieveError as error:
            assert error.name == "KVSIEVE_ERR_VALUE", error
    else:
        observe(plan, part)
    before = [plan.kept(layer).positions.tolist() for layer in range(0 if way == "refused" else len(part.layers))]
    try:
        plan.finish()
    except kvsieve.KVSieveError as error:
        after = [plan.kept(layer).positions.tolist() for layer in range(len(before))]
        cause = type(error.__cause__).__name__ if error.__cause__ else ""
        write(here.rank, {"name": error.name, "message": error.message, "cause": cause, "same": before == after})
        if way == "raises" and transport == "mpi":
            raise  # else the others would wait in MPI_Finalize
    else:
        write(here.rank, {"name": "", "kept": WHOLE is not None})


if __name__ == "__main__":
    main()
