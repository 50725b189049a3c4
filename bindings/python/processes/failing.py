"""One rank of test_failures.py: two layers of dynamickv, and rank 1 fails in some way. Each rank writes what became of it.

    failing.py TRANSPORT WAY CALL

WAY     refused   rank 1 hands over a layer with NaN, and calls finish() all the same
        raises    rank 1's collective raises in its CALL-th round, before it sends: the program goes on to its end
        stays     as raises, but the program does not end: nothing tells the others but their time limit
        killed    rank 1 is killed there
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy as np
from joining_engine import KEPT, LAYERS, MODEL, observe
from peers import TIME, Peers, peers, write
from ranks import Part, plan_of, tensor_parallel

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


def nonsense(plan: kvsieve.Plan, heads: int) -> None:
    """A layer that observe refuses."""
    group, tokens, dim = MODEL.query_heads // MODEL.kv_heads, 60, MODEL.head_dim
    queries, keys = (np.full((n, tokens, dim), np.nan, np.float32) for n in (group * heads, heads))
    try:
        plan.observe(0, queries, keys, keys)
    except kvsieve.KVSieveError as error:
        assert error.name == "KVSIEVE_ERR_NONFINITE", error


def main() -> None:
    transport, way, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
    here = peers(transport)
    part = cut(here)
    plan = plan_of(part, MODEL, "dynamickv", **KEPT["dynamickv"])
    fails = here.rank == 1
    if fails and way != "refused":
        spoiled(plan, way, call)
    place = {"first_layer": part.layers.start, "first_head": part.heads.start}
    distributed.join(plan, here.group, layers=LAYERS, heads=MODEL.kv_heads, **place)
    if fails and way == "refused":
        nonsense(plan, len(part.heads))
    else:
        observe(plan, part)
    observed = range(0 if fails and way == "refused" else len(part.layers))
    before = [plan.kept(layer).positions.tolist() for layer in observed]
    try:
        plan.finish()
    except kvsieve.KVSieveError as error:
        same = before == [plan.kept(layer).positions.tolist() for layer in observed]
        cause = type(error.__cause__).__name__ if error.__cause__ else ""
        write(here.rank, {"name": error.name, "message": error.message, "cause": cause, "same": same})
        if fails and way == "raises" and transport == "mpi":
            raise  # mpi4py ends the others, which would wait for ever
        if fails and way == "stays":
            time.sleep(2 * TIME.seconds)
    if transport == "gloo":
        os._exit(0)  # a group that has failed is not put down in order


if __name__ == "__main__":
    main()
