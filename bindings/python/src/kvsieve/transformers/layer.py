"""One full-attention layer of a SieveCache: the rows that are left, and what a forward pass tells of them.

Letters: B sequences, H key/value heads, Hq query heads, n rows, q new tokens, D head size.
A column is a place in what the model was given, padding included: get_seq_length() counts columns, as if nothing had been
dropped, and so do the model's positions and masks. A row is a place in keys and values. The first `settled` rows were kept
by the last round; all heads end at row settled - 1, and a head with fewer has padding in front. Then there is a row for
each column since. If heads differ, the settled rows are packed, head after head, except while the layer is computed: then
`keys` and `values` have the recent rows alone.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from transformers.cache_utils import DynamicLayer

from .attention import passing
from .queries import Queries

if TYPE_CHECKING:
    from .cache import SieveCache
    from .scores import Attention


class SieveLayer(DynamicLayer):  # type: ignore[misc]
    """`number` is its place among the compressed layers of the cache, `index` among all layers of the model."""

    keys: Any
    values: Any
    how: Attention | None = None

    def __init__(self, cache: SieveCache, number: int, index: int) -> None:
        super().__init__()
        # Weak: a cache that nobody has any more frees its tensors at once, without the garbage collector.
        self._cache = weakref.ref(cache)
        self.number, self.index = number, index
        self._empty()

    def _empty(self) -> None:
        self.keys = self.values = None
        self.is_initialized = False
        self.seen = 0
        self.recent = 0  # columns since the last round
        self.settled = 0
        self.front: Any = None  # (B, H): rows of padding in front of the settled ones; None if there are none
        self.packed: Any = None  # keys and values (total, D) of the settled rows; None if `keys` and `values` have them
        self.room: Any = None  # keys and values with a free row behind their last, which the next token takes
        self.queries = Queries()

    @property
    def cache(self) -> SieveCache:
        cache = self._cache()
        if cache is None:
            raise ValueError("the layer's cache is gone: expected the SieveCache itself")
        return cache

    # What transformers asks of a layer.

    def get_seq_length(self) -> int:
        return self.seen

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        new = query_length if isinstance(query_length, int) else query_length.shape[0]  # 5.2 passes positions
        return self.seen + int(new), 0

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def update(  # pyright: ignore[reportIncompatibleMethodOverride] # torch's decorator hides its signature
        self, key_states: Any, value_states: Any, *_: Any, **__: Any
    ) -> tuple[Any, Any]:
        self.cache.enter(self, key_states)
        new = int(key_states.shape[-2])
        if self.keys is None:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
        elif self.room is not None and new == 1 and not _is_frozen(self.room[0]):
            self.keys, self.values = self.room
            self.keys[:, :, -1:], self.values[:, :, -1:] = key_states, value_states
        else:
            self.unpack()
            self.keys = torch.cat([self.keys, key_states], dim=-2)
            self.values = torch.cat([self.values, value_states], dim=-2)
        self.room = None
        self.seen, self.recent = self.seen + new, self.recent + new
        passing.layer = self
        return self.keys, self.values

    def reset(self) -> None:
        self._empty()

    def reorder_cache(self, beam_idx: Any) -> None:
        """The cache has checked that sequences which change places are alike."""
        if self.keys is None:
            return
        index = beam_idx.to(self.keys.device)
        was_packed = self.packed is not None
        self.unpack()
        self.keys, self.values = self.keys.index_select(0, index), self.values.index_select(0, index)
        self.front = None if self.front is None else self.front.index_select(0, index)
        self.queries.reorder(index)
        if was_packed:
            self.pack()

    def crop(self, tokens_to_remove: int) -> None:
        """The newest columns leave; the cache has checked that they are recent."""
        count = abs(tokens_to_remove)
        if count == 0 or self.keys is None:
            return
        self.keys, self.values = self.keys[..., :-count, :], self.values[..., :-count, :]
        self.seen, self.recent = self.seen - count, self.recent - count
        self.queries.crop(self.seen)

    def batch_repeat_interleave(self, repeats: int) -> None:
        raise ValueError(
            f"batch_repeat_interleave({repeats}): a plan cannot be doubled; give generate the larger batch"
        )

    def batch_select_indices(self, indices: Any) -> None:
        raise ValueError("batch_select_indices: a compressed cache keeps the batch that it was made for")

    # What the attention function asks.

    def mask(self, given: Any, query: Any, *, additive: bool) -> Any:
        """The mask over this layer's rows, of the model's own, `given`, over its columns.

        A row that was kept is one that every later query may look at. Newer rows are the last columns of `given`. The
        result has a head for each query head, or 1; it is None if every query may look at every row.
        """
        if self.seen == self.recent:  # no round was
            return given
        new, recent = query.shape[2], self.recent
        if given is None and self.front is None and new == 1:
            return None
        if given is None:
            given = torch.ones(new, recent, dtype=torch.bool, device=query.device).tril(recent - new)[None, None]
            given = given if not additive else _additive(given, query)
        kept = torch.ones(given.shape[0], 1, 1, self.settled, dtype=torch.bool, device=query.device)
        if self.front is not None:
            kept = self._there().repeat_interleave(query.shape[1] // self.front.shape[1], 1)[:, :, None]
        kept = kept if given.dtype == torch.bool else _additive(kept, query)
        shape = max(kept.shape[0], given.shape[0]), max(kept.shape[1], given.shape[1]), new
        parts = kept.expand(*shape, self.settled), given[..., -recent:].expand(*shape, recent)
        return torch.cat(parts, dim=-1)

    def attended(self, query: Any, how: Attention) -> None:
        self.how = how
        self.cache.leave(self, query)

    # What a round asks.

    def unpack(self) -> None:
        """`keys` and `values` have all rows."""
        if self.packed is None:
            return
        there, dense = self._there(), []
        for rows, recent in zip(self.packed, (self.keys, self.values)):
            settled = rows.new_zeros(*there.shape, rows.shape[-1])
            settled[there] = rows
            dense.append(torch.cat([settled, recent], dim=-2))
        (self.keys, self.values), self.packed = dense, None

    def pack(self) -> None:
        """If heads differ: the settled rows alone, and `keys` and `values` have the recent ones."""
        if self.front is None or self.packed is not None:
            return
        there, begin = self._there(), self.settled
        self.packed = self.keys[:, :, :begin][there], self.values[:, :, :begin][there]
        self.keys, self.values = self.keys[:, :, begin:].clone(), self.values[:, :, begin:].clone()

    def _there(self) -> Any:
        """(B, H, settled): False for padding."""
        return torch.arange(self.settled, device=self.front.device) >= self.front[..., None]

    def rows(self, sequence: int, longest: int, valid: Any) -> tuple[Any, Any]:
        """Keys and values (H, n, D) of a sequence: the `longest` rows of its longest head, then those of its new tokens.

        valid: (recent,) bool on the CPU, whether a column is one of its tokens; None if all are.
        """
        first = self.settled - longest
        keys, values = self.keys[sequence], self.values[sequence]
        if valid is None:
            return keys[:, first:], values[:, first:]
        columns = torch.nonzero(valid)[:, 0]
        count = len(columns)
        if longest == 0 and count and int(columns[-1]) - int(columns[0]) + 1 == count:  # padding on one side only
            begin = self.settled + int(columns[0])
            return keys[:, begin : begin + count], values[:, begin : begin + count]
        index = torch.cat([torch.arange(first, self.settled), self.settled + columns]).to(keys.device)
        return keys.index_select(1, index), values.index_select(1, index)

    def settle(self, keys: Any, values: Any, front: Any) -> None:
        """Takes the rows that a round has kept in the place of all others."""
        self.keys, self.values, self.settled, self.recent = keys, values, int(keys.shape[2]), 0
        self.front = front if bool((front > 0).any()) else None
        self.packed = self.room = None


def _is_frozen(rows: Any) -> bool:
    """Made in inference mode, which has ended: torch allows no writing in place."""
    return rows.is_inference() and not torch.is_inference_mode_enabled()


def _additive(mask: Any, query: Any) -> Any:
    """0 where `mask` is True, the dtype's least number elsewhere: transformers' eager mask."""
    zero = torch.zeros((), dtype=query.dtype, device=query.device)
    return torch.where(mask, zero, torch.finfo(query.dtype).min)
