"""Plan: one sequence under one method. The functions of the header's sections Plan, Result and Decoding."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ._abi import KINDS, NEEDS, kvsieve_kept, kvsieve_ranges, kvsieve_slots, sized
from ._group import Joinable
from ._kept import Kept, Slots, copied, copied_ranges, copied_slots
from ._library import library
from ._model import Model
from ._numbers import whole
from ._report import Report, report_of
from ._rope import Rope
from ._tensor import rows_like, tensor
from .errors import check

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Keywords, Number, Out, Torch


class Plan(Joinable):
    """One sequence through one method: observe every layer, finish, then kept and gather.

        with kvsieve.Plan("dynamickv", model, budget=1024, window=8) as plan:
            for layer in range(model.layers):
                plan.observe(layer, queries[layer], keys[layer], values[layer])
            plan.finish()
            small = plan.gather(0, keys[0])

    `method` is a name or an id, `parameters` are that method's (kvsieve.methods() lists both, with bounds, defaults and
    the paper); those not given have the library's defaults. Letters: Hq query heads, H key/value heads, T tokens, D
    head size, W the method's observation window.

    Arrays have __array_interface__, __dlpack__ or the buffer protocol, hold float32, float16, bfloat16, float8_e4m3fn or
    float8_e5m2, and are in CPU memory. Rows are contiguous; other strides are positive and no rows overlap. A Paged or a
    Quantised may take the place of an array. Arrays are read during the call only, and never copied. An array that cannot
    be read raises TypeError or ValueError with the argument's name. If the library refuses a call, it raises KVSieveError
    and the plan is as before. A closed plan raises ValueError.

    Threads: calls on one plan run one after the other. The interpreter is free while the library works, so different plans
    run at the same time.
    """

    def __init__(self, method: str | int, model: Model, **parameters: Unpack[Keywords]) -> None:
        self.model = model
        self._by_length: bool | None = None
        super().__init__(method, model)
        try:
            for name, value in parameters.items():
                self[name] = value
        except BaseException:
            self.close()
            raise

    def needs(self, layer: int) -> frozenset[str]:
        """Which of "queries", "keys", "values" observe reads in `layer`; empty for a layer that takes over an earlier choice.

        With "all_queries" the queries are those of all T tokens, not of the last W. With "length" and without "keys",
        only the shape of keys is read: any array of shape (H, T, any) will do, for example one of numpy.empty.
        """
        bits = ctypes.c_int32()
        with self._use() as handle:
            check(library().kvsieve_plan_needs(handle, whole("layer", layer), ctypes.byref(bits)))
        return frozenset(name for name, bit in NEEDS.items() if bits.value & bit)

    def bound(self, layer: int, tokens: int) -> int:
        """The most rows that a head of `layer` keeps of a prompt of so many tokens: to allocate by, before any observe.

        If the plan decodes, its slots are counted. KVSieveError if the budget cannot hold what is protected.
        """
        rows = ctypes.c_int64()
        with self._use() as handle:
            arguments = whole("layer", layer), whole("tokens", tokens, 64), ctypes.byref(rows)
            check(library().kvsieve_plan_bound(handle, *arguments))
        return rows.value

    def protect(self, first: int, count: int) -> None:
        """Every head keeps `count` tokens from position `first` on. Before the first observe; after extend, new tokens only."""
        with self._use() as handle:
            check(library().kvsieve_plan_protect(handle, whole("first", first, 64), whole("count", count, 64)))

    def observe(
        self,
        layer: int,
        queries: Any = None,
        keys: Any = None,
        values: Any = None,
        *,
        attention: Any = None,
        kind: str = "logits",
    ) -> None:
        """Scores one layer. Call it once for each layer, in order from 0.

        queries  (Hq, R, D)   the last R queries, rotary embedding applied; R at least min(W, T), T for "all_queries".
                              All T queries fit every method.
        keys     (H, T, D)    all keys, rotary embedding applied; T is the same in every layer
        values   (H, T, any)
        Arrays that needs(layer) does not name may be None. With "length", keys is an array whose shape counts.

        attention  instead of queries and keys, what the engine has computed, of the same last R rows over all n rows of the
                   cache (T of a prompt). By `kind`:
                   "logits" (Hq, R, n)         scale * q . k before the softmax, bias and softcap in it; finite up to a
                                               row's own column, and not read behind it
                   "probabilities" (Hq, R, n)  after the softmax
                   "sums" (Hq or H, 1, n)      probabilities summed over the rows that the method reads; of H heads the
                                               mean over each group
        It is float32, float16 or bfloat16.
        The library refuses what the method cannot use: ahakv takes no sums, windowkv none of H heads, keydiff no attention.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: expected {', '.join(map(repr, KINDS))}")
        if attention is not None and (queries is not None or keys is not None):
            raise ValueError("attention was given beside queries or keys: expected one or the other")
        given = {"queries": queries, "keys": keys} if attention is None else {"attention": attention}
        given["values"] = values
        views = [None if array is None else tensor(name, array) for name, array in given.items()]
        call: Any = library().kvsieve_plan_observe if attention is None else library().kvsieve_plan_observe_attention
        kinds = [] if attention is None else [KINDS[kind]]
        with self._use() as handle:
            pointers = [None if view is None else view.pointer for view in views]
            check(call(handle, whole("layer", layer), *kinds, *pointers))

    def queries(self, layer: int, queries: Any) -> None:
        """Takes queries (Hq, m, D) of a chunk of the prompt, chunks in order, before observe(layer), which then takes none.

        The last W are kept, and none where needs(layer) has no "queries". Refused for methods that need "all_queries".
        """
        view = tensor("queries", queries)
        with self._use() as handle:
            check(library().kvsieve_plan_queries(handle, whole("layer", layer), view.pointer))

    def kept(self, layer: int) -> Kept:
        """What `layer` keeps, as a copy. After observe(layer) it may still shrink. After finish it is final."""
        with self._use() as handle:
            return copied(self._kept(handle, layer))

    def ranges(self, layer: int, head: int, dropped: bool = False) -> np.ndarray[Any, np.dtype[np.int32]]:
        """The positions that `head` of `layer` keeps, or those `dropped`, as ranges: (count, 2) of first and end, ascending, a copy.

        At least one position lies between two ranges. If the plan decodes: the positions in the head's slots now.
        """
        ranges: kvsieve_ranges = sized(kvsieve_ranges)
        numbers = whole("layer", layer), whole("head", head), int(bool(dropped))
        with self._use() as handle:
            check(library().kvsieve_plan_ranges(handle, *numbers, ctypes.byref(ranges)))
            return copied_ranges(ranges)

    def report(self, layer: int | None = None) -> Report:
        """What was lost of `layer`, or of all layers, as kept() or slots() have it: rows, and with report=1 attention."""
        with self._use() as handle:
            return report_of(handle, self.model, layer)

    @overload
    def gather(self, layer: int, source: Any, out: Out, *, rope: Rope | None = ...) -> Out: ...
    @overload
    def gather(
        self, layer: int, source: np.ndarray[Any, np.dtype[Number]], *, rope: Rope | None = ...
    ) -> np.ndarray[tuple[int, int], np.dtype[Number]]: ...
    @overload
    def gather(self, layer: int, source: Torch, *, rope: Rope | None = ...) -> Torch: ...
    @overload
    def gather(self, layer: int, source: Any, *, rope: Rope | None = ...) -> Any: ...
    def gather(self, layer: int, source: Any, out: Any = None, *, rope: Rope | None = None) -> Any:
        """The kept rows of `source` (H, T, any), after finish. Returns `out`, or a new array (total, D) without it, of torch if
        `source` is, else of numpy.

        out (1, total, D)       head after head, no gaps
        out (H, n, D)           n at least kept(layer).longest: a head's rows begin at row 0, with align=1 they end at row
                                kept(layer).longest - 1; other rows of `out` are not written
        out the same as source  in place, by the rule for (H, n, D)
        `out` has the dtype of `source` and can be written. Both may be Paged or Quantised; without `out`, the rows of
        a Quantised source are returned as uint8. Integers, bool and float64 are moved as well.

        With `rope`, which says how keys were rotated, the rows of each head are rotated anew, to positions 0, 1, 2, ... The
        position of a head's next token is then kept(layer).counts[head]. Values have no rotation. Rows are then float32,
        float16 or bfloat16.
        """
        number = whole("layer", layer)
        if rope is not None and not isinstance(rope, Rope):
            raise TypeError(f"rope is a {type(rope).__name__}: expected a kvsieve.Rope")
        view = tensor("source", source, moved=rope is None)
        with self._use() as handle:
            result = out
            if out is None:
                result, out = rows_like(view, self._kept(handle, number).total, source)
            target = tensor("out", out, writable=True, moved=rope is None)
            if target.struct.dtype == view.struct.dtype and target.memory.dtype != view.memory.dtype:
                raise TypeError(f"out has dtype {target.memory.dtype}: expected {view.memory.dtype}, as source has")
            if rope is None:
                check(library().kvsieve_plan_gather(handle, number, view.pointer, target.pointer))
            else:
                struct = ctypes.byref(rope._struct())
                check(library().kvsieve_plan_gather_rotated(handle, number, view.pointer, target.pointer, struct))
        return result

    def extend(self, tokens: int) -> None:
        """The sequence goes on: `tokens` new tokens follow the kept rows of each head. Call it after finish and the gathers.

        Then observe every layer again, and finish: the caches are at the budget again. This can be repeated. With m =
        `tokens` and n = kept(layer).longest + m, kept() called before extend, arrays are
        - queries (Hq, R, D): of the last R new tokens; R at least min(W, m), m for "all_queries";
        - keys (H, n, D): for each head its kept rows, then its m new ones; rows after those are not read. With align=1
          every head's rows end at row n - 1, and rows in front of them are not read;
        - values (H, n, any): likewise, and so are the sources of gather.
        Positions are absolute: the first new one is kept(layer).tokens. Kept.rows has the rows in these arrays.
        A plan with decoding=1 takes new tokens by step instead.
        """
        with self._use() as handle:
            check(library().kvsieve_plan_extend(handle, whole("tokens", tokens, 64)))

    def step(self, layer: int, queries: Any = None, keys: Any = None, values: Any = None, *, logits: Any = None) -> Any:
        """Takes m new tokens in one layer. For each it returns the slot to overwrite, or -1: (H, m) int32.

        Call it after finish, of a plan with decoding=1 whose method.decodes is True. Step each layer once, in order,
        with the same m. m is at most the number of recent tokens that the method never evicts.

        queries  (Hq, m, D)  of the new tokens
        keys     (H, n, D)   the rows of the slots, then the m new ones
        values   (H, n, any) likewise; may be None unless needs() has "values"
        logits   (Hq, m, n)  instead of queries and keys: scale * q . k, which saves their product

        If needs() has "length", only the shape of keys (or logits) is read, m is n less the rows of the slots, and queries
        may be None.

        Row n - m + i of head h moves to slot result[h, i], in the order of i. If the result is -1, the row is not moved.
        The plan assumes that you perform the moves.
        """
        number = whole("layer", layer)
        if logits is not None and (queries is not None or keys is not None):
            raise ValueError("logits were given beside queries or keys: expected one or the other")
        given = {"queries": queries, "keys": keys} if logits is None else {"logits": logits}
        given["values"] = values
        views = {name: None if array is None else tensor(name, array) for name, array in given.items()}
        call = library().kvsieve_plan_step if logits is None else library().kvsieve_plan_step_logits
        with self._use() as handle:
            if logits is None and views["keys"] is not None and self._goes_by_length(handle):
                m = views["keys"].struct.tokens - self._slots(handle, number, 0).length
            else:
                first = views["queries" if logits is None else "logits"]
                m = first.struct.tokens if first else 1
            result = np.empty((self.model.kv_heads, max(m, 1)), np.int32)
            pointers = [None if view is None else view.pointer for view in views.values()]
            check(call(handle, number, *pointers, (ctypes.c_int32 * result.size).from_buffer(result.data)))
        return result

    def trim(self, tokens: int) -> None:
        """Undoes the newest `tokens`, at most those of the last step, in all layers.

        For a rejected draft: step, decide, trim, then move the rows of the accepted tokens.
        """
        with self._use() as handle:
            check(library().kvsieve_plan_trim(handle, whole("tokens", tokens, 64)))

    def slots(self, layer: int, head: int) -> Slots:
        """The absolute position in each slot of `head` of `layer` now, as a copy. After finish."""
        with self._use() as handle:
            return copied_slots(self._slots(handle, whole("layer", layer), whole("head", head)))

    def reset(self) -> None:
        """Forgets the sequence, and is ready for the next one. Parameters and memory are kept."""
        with self._use() as handle:
            check(library().kvsieve_plan_reset(handle))

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<kvsieve.Plan {self.method.name}{', closed' if self.closed else ''}>"

    def _slots(self, handle: Any, layer: int, head: int) -> kvsieve_slots:
        """Borrowed from the plan: to be read before _use() ends."""
        slots: kvsieve_slots = sized(kvsieve_slots)
        check(library().kvsieve_plan_slots(handle, layer, head, ctypes.byref(slots)))
        return slots

    def _goes_by_length(self, handle: Any) -> bool:
        """Whether the shape of keys says a step's m, because queries are not read. Asked once: no parameter changes it."""
        if self._by_length is None:
            bits = ctypes.c_int32()
            check(library().kvsieve_plan_needs(handle, 0, ctypes.byref(bits)))
            self._by_length = bool(bits.value & NEEDS["length"])
        return self._by_length

    def _kept(self, handle: Any, layer: int) -> kvsieve_kept:
        """Borrowed from the plan: to be read before _use() ends."""
        kept: kvsieve_kept = sized(kvsieve_kept)
        check(library().kvsieve_plan_kept(handle, whole("layer", layer), ctypes.byref(kept)))
        return kept
