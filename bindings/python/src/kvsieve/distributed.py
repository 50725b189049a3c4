"""Plans of several ranks, over torch.distributed or mpi4py. Neither is imported unless its group is given.

import torch.distributed as dist
import kvsieve.distributed

with kvsieve.Plan("dynamickv", part_of_the_model, budget=1024) as plan:
    kvsieve.distributed.join(plan, dist.group.WORLD, layers=32, heads=8, first_head=2 * dist.get_rank())
    ...                # observe this rank's layers and heads
    plan.finish()      # on every rank
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ._group import AllGather
    from .plan import Plan


def join(
    plan: Plan,
    group: Any,
    *,
    layers: int,
    heads: int,
    first_layer: int = 0,
    first_head: int = 0,
    device: Any = None,
) -> None:
    """Plan.join by the collective of `group`: an mpi4py communicator, or a torch.distributed group.

    device  where torch's collective wants its tensors: "cuda" for NCCL; None is CPU memory (gloo)
    The others are those of Plan.join. The ranks are those of the group, and all of them join.
    """
    if hasattr(group, "Allgather"):
        all_gather, rank, ranks = _of_mpi(group), group.Get_rank(), group.Get_size()
    else:
        all_gather, rank, ranks = _of_torch(group, device)
    plan.join(all_gather, rank, ranks, layers=layers, heads=heads, first_layer=first_layer, first_head=first_head)


def _of_mpi(communicator: Any) -> AllGather:
    def all_gather(send: Any, receive: Any) -> None:
        communicator.Allgather(send, receive)

    return all_gather


def _of_torch(group: Any, device: Any) -> tuple[AllGather, int, int]:
    import torch
    import torch.distributed as dist

    def all_gather(send: Any, receive: Any) -> None:
        own = torch.from_numpy(send).to(device or "cpu")
        pieces = [torch.empty_like(own) for _ in range(ranks)]
        dist.all_gather(pieces, own, group=group)
        receive[:] = np.concatenate([piece.cpu().numpy() for piece in pieces])

    rank, ranks = dist.get_rank(group), dist.get_world_size(group)
    return all_gather, rank, ranks
