"""A plan that has a part of a model, and finishes with the plans of the other parts."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from ._abi import ALL_GATHER, kvsieve_group, sized
from ._library import library
from ._numbers import whole
from ._settings import Settings
from .errors import check

AllGather = Callable[[Any, Any], None]
"""all_gather(send, receive): arrays of uint8, of n and of ranks * n bytes."""


class Joinable(Settings):
    """A plan of the library's that can join others."""

    _gather: Any = None
    """Called by the library: to be kept as long as the plan."""
    _raised: BaseException | None = None
    """What all_gather raised last."""

    def join(
        self,
        all_gather: AllGather,
        rank: int,
        ranks: int,
        *,
        layers: int,
        heads: int,
        first_layer: int = 0,
        first_head: int = 0,
    ) -> None:
        """Joins this plan of a part of a model with the plans of the other parts. Before the first observe.

        all_gather(send, receive)  the engine's collective, which finish() calls: `send` has the bytes of this rank, and
                                   `receive` takes those of all, in the order of ranks; both are arrays of uint8, valid
                                   during the call. What it raises is the cause of finish()'s KVSieveError. It must not
                                   call the plan: KVSIEVE_ERR_STATE
        rank, ranks                0 ... ranks - 1; plans that have a part
        layers, heads              of the whole model, heads of keys and values; plan.model has this plan's
        first_layer, first_head    which of them are layer 0 and head 0 of this plan

        Ranks observe their own layers and heads. What they keep together is what one plan of the whole model would keep.
        Until finish() every layer keeps everything. Ask needs() after join(): the first layer of a part may need another array.
        """
        if not callable(all_gather):
            raise TypeError(f"all_gather is {all_gather!r}: expected a function of (send, receive)")

        def gather(_: Any, send: int, count: int, receive: int) -> int:
            try:
                all_gather(_bytes(send, count), _bytes(receive, ranks * count))
            except BaseException as error:
                self._raised = error
                return 1
            return 0

        group: kvsieve_group = sized(kvsieve_group)
        group.rank, group.ranks = whole("rank", rank), whole("ranks", ranks)
        group.layers, group.heads = whole("layers", layers), whole("heads", heads)
        group.first_layer, group.first_head = whole("first_layer", first_layer), whole("first_head", first_head)
        group.all_gather = ALL_GATHER(gather)
        with self._use() as handle:
            check(library().kvsieve_plan_join(handle, ctypes.byref(group)))
            self._gather = group.all_gather

    def finish(self) -> None:
        """Makes the selection final. KVSieveError unless every layer was observed.

        A plan that has joined others calls all_gather: every rank calls finish(), and all succeed or fail together.
        """
        self._raised = None
        with self._use() as handle:
            status = library().kvsieve_plan_finish(handle)
            raised, self._raised = self._raised, None
            if raised is None:
                check(status)
            elif isinstance(raised, Exception):
                try:
                    check(status)
                except Exception as error:
                    raise error from raised
            else:
                raise raised


def _bytes(address: int, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint8)), (count,))
