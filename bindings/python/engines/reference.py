"""What a model says if the tokens that a compressed cache dropped are masked in a full pass: no cache, one forward.

The attention function registered here calls the model's own over all columns, with a mask that is the model's own less
what was dropped. It knows nothing of rows, slots or padding in front.
Letters: B sequences, H key/value heads, Hq query heads, L columns of the whole text, padding counted.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import kvsieve
from kvsieve.transformers import SieveCache, rounds


@dataclass
class Event:
    """From column `column` on, queries look at these columns before it alone: kept[layer][sequence][head]."""

    column: int
    kept: list[list[list[np.ndarray]]]


@dataclass
class Seen:
    """Queries, keys and values of a compressed layer in the full pass: (B, heads, L, D)."""

    queries: Any
    keys: Any
    values: Any
    scale: float


@dataclass
class Full:
    events: list[Event] = field(default_factory=list)
    layers: dict[int, int] = field(default_factory=dict)  # index of a layer -> its number among the compressed ones
    seen: dict[int, Seen] = field(default_factory=dict)

    def visible(self, number: int, group: int, columns: int) -> Any:
        """(B, Hq, L, L) bool: what the events leave."""
        batch, heads = len(self.events[0].kept[number]), len(self.events[0].kept[number][0])
        mask = torch.ones(batch, heads, columns, columns, dtype=torch.bool)
        ends = [event.column for event in self.events[1:]] + [columns]
        for event, end in zip(self.events, ends):
            for b in range(batch):
                for h in range(heads):
                    row = torch.zeros(event.column, dtype=torch.bool)
                    row[torch.from_numpy(event.kept[number][b][h].astype(np.int64))] = True
                    mask[b, h, event.column : end, : event.column] = row
        return mask.repeat_interleave(group, 1)


current = Full()


def _own(module: Any, inner: str) -> Any:
    if inner == "sdpa":
        return ALL_ATTENTION_FUNCTIONS["sdpa"]
    return sys.modules[type(module).__module__].eager_attention_forward


def _attend(inner: str) -> Any:
    def attend(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **keywords: Any) -> Any:
        number = current.layers.get(module.layer_idx)
        if number is not None:
            current.seen[number] = Seen(query, key, value, keywords.get("scaling") or query.shape[-1] ** -0.5)
            if current.events:
                seen = current.visible(number, query.shape[1] // key.shape[1], key.shape[2])
                if attention_mask is None:
                    attention_mask = torch.ones(seen.shape[-2:], dtype=torch.bool).tril()
                if attention_mask.dtype == torch.bool:
                    attention_mask = attention_mask & seen
                else:
                    attention_mask = attention_mask.masked_fill(~seen, torch.finfo(query.dtype).min)
        return _own(module, inner)(module, query, key, value, attention_mask, **keywords)

    return attend


for _inner in ("sdpa", "eager"):
    AttentionInterface.register(f"reference_{_inner}", _attend(_inner))
    AttentionMaskInterface.register(f"reference_{_inner}", ALL_MASK_ATTENTION_FUNCTIONS[_inner])


def full_pass(model: Any, cache: SieveCache, events: list[Event], ids: Any, mask: Any = None) -> Any:
    """Logits (B, L, words) of the whole text, with what `events` dropped masked."""
    inner = model.config._attn_implementation
    current.events, current.layers, current.seen = events, {layer.index: layer.number for layer in cache.sieved}, {}
    model.set_attn_implementation(f"reference_{inner}")
    try:
        with torch.no_grad():
            positions = None if mask is None else (mask.cumsum(1) - 1).clamp(min=0)
            return model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
    finally:
        model.set_attn_implementation(inner)


class Recorder:
    """Notes what the plans hold after each round and step. `with` it, the functions of rounds.py are watched."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.padding: Any = None

    def __enter__(self) -> Recorder:
        self._finish, self._step = rounds.finish, rounds.step
        rounds.finish = self._watched(self._finish)
        rounds.step = self._watched(self._step)
        return self

    def __exit__(self, *_: object) -> None:
        rounds.finish, rounds.step = self._finish, self._step

    def _watched(self, function: Any) -> Any:
        def call(layers: Any, sequences: Any, *rest: Any) -> None:
            function(layers, sequences, *rest)
            kept = [[self._columns(layer, index, one) for index, one in enumerate(sequences)] for layer in layers]
            self.events.append(Event(layers[0].seen, kept))

        return call

    def _columns(self, layer: Any, index: int, sequence: Any) -> list[np.ndarray]:
        """The columns that each head holds: positions are counted without padding."""
        heads = range(sequence.plan.model.kv_heads)
        if sequence.rounds == 0:  # it has no token yet
            return [np.empty(0, int) for _ in heads]
        positions = [sequence.plan.slots(layer.number, head).positions for head in heads]
        if self.padding is None:
            return [np.sort(found) for found in positions]
        columns = np.flatnonzero(self.padding[index].numpy())
        return [columns[np.sort(found)] for found in positions]


def chosen(method: str, rounds_of: list[tuple[int, int]], columns: Any, sequence: int, **parameters: Any) -> list[Any]:
    """What a plan of its own keeps in each round, from the queries, keys and values of the full pass that was made last.

    rounds_of: (first, end) of each round's new columns. columns: those that are tokens of the sequence. Heads begin together
    here (align=0). A list by round of lists by layer of kvsieve.Kept.
    """
    seen = [current.seen[number] for number in range(len(current.layers))]
    heads, dim = seen[0].keys.shape[1], seen[0].keys.shape[-1]
    model = kvsieve.Model(len(seen), seen[0].queries.shape[1], heads, dim, seen[0].scale)
    found: list[Any] = []
    with kvsieve.Plan(method, model, **parameters) as plan:
        for number, (first, end) in enumerate(rounds_of):
            new = [column for column in columns if first <= column < end]
            before = [
                [np.empty(0, int)] * heads if not found else _heads(found[-1][layer]) for layer in range(len(seen))
            ]
            if number:
                plan.extend(len(new))
            for layer, tensors in enumerate(seen):
                rows = [np.concatenate([columns[kept], new]).astype(int) for kept in before[layer]]
                keys, values = (_ragged(tensor[sequence], rows) for tensor in (tensors.keys, tensors.values))
                plan.observe(layer, tensors.queries[sequence][:, new].contiguous(), keys, values)
            plan.finish()
            found.append([plan.kept(layer) for layer in range(len(seen))])
    return found


def _heads(kept: Any) -> list[np.ndarray]:
    return [kept.head(head) for head in range(len(kept.offsets) - 1)]


def _ragged(tensor: Any, rows: list[np.ndarray]) -> Any:
    """(H, longest, D): the rows of each head from row 0 on."""
    out = tensor.new_zeros(tensor.shape[0], max(map(len, rows)), tensor.shape[-1])
    for head, own in enumerate(rows):
        out[head, : len(own)] = tensor[head, own]
    return out
