"""Rounds: what the library decides at the end of a prompt, and while tokens are generated.

A prompt's layers are observed one by one as the model computes them; after the last one the rows are gathered. A plan that
decodes takes the tokens after its first prompt by step. Each sequence of the batch has a plan of its own.
Letters: B sequences, H key/value heads, n rows, q new tokens, D head size.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from . import scores

if TYPE_CHECKING:
    from ..plan import Plan
    from .layer import SieveLayer


@dataclass
class Sequence:
    """One sequence of the batch."""

    plan: Plan
    rounds: int = 0
    new: int = 0  # tokens since the last round, padding not counted
    counts: list[list[int]] = field(default_factory=list)  # by layer and head: rows that the last round kept; [] before
    mark: bytes | None = None

    def longest(self, layer: int) -> int:
        return max(self.counts[layer]) if self.counts else 0

    def choice(self) -> bytes:
        """The same for two sequences whose plans hold the same positions."""
        if self.mark is None:
            digest = hashlib.sha256()
            for layer in range(self.plan.model.layers if self.counts else 0):
                kept = self.plan.kept(layer)
                digest.update(kept.offsets.tobytes() + kept.positions.tobytes() + kept.tokens.to_bytes(8, "little"))
            self.mark = digest.digest()
        return self.mark


def observe(layer: SieveLayer, sequences: list[Sequence], begin: int, valid: Any) -> None:
    """One layer of all sequences. begin: the first column since the last round; valid: (B, columns since) or None."""
    assert layer.how is not None
    for index, sequence in enumerate(sequences):
        if sequence.new == 0:
            continue
        plan, own = sequence.plan, None if valid is None else valid[index]
        if layer.number == 0 and sequence.rounds:
            plan.extend(sequence.new)
        keys, values = layer.rows(index, sequence.longest(layer.number), own)
        most = scores.rows_read(plan, layer.number)
        wanted = sequence.new if most is None else min(most, sequence.new)
        queries = layer.queries.last(index, begin, own, wanted) if wanted else None
        before = sequence.counts[layer.number] if sequence.counts else [0] * keys.shape[0]
        counts = [rows + sequence.new for rows in before]
        scores.observe(plan, layer.number, queries, keys, values, counts, layer.how)


def finish(layers: list[SieveLayer], sequences: list[Sequence], valid: Any) -> None:
    """Ends the round: the layers hold what their plans keep."""
    active = [sequence for sequence in sequences if sequence.new]
    for sequence in active:
        sequence.plan.finish()
    counts = []
    for layer in layers:
        counts.append(_gather(layer, sequences, valid))
    for index, sequence in enumerate(sequences):
        if sequence.new:
            sequence.counts = [of_layer[index] for of_layer in counts]
            sequence.rounds += 1
        sequence.new, sequence.mark = 0, None


def _gather(layer: SieveLayer, sequences: list[Sequence], valid: Any) -> list[list[int]]:
    """Replaces the rows of one layer. Returns, by sequence and head, how many there are now."""
    number, heads = layer.number, layer.keys.shape[1]
    kept = [sequence.plan.kept(number) if sequence.new else None for sequence in sequences]
    counts = [
        [int(count) for count in one.counts] if one else sequence.counts[number] if sequence.counts else [0] * heads
        for sequence, one in zip(sequences, kept)
    ]
    most = max(max(of_sequence) for of_sequence in counts)
    layer.unpack()
    shape = layer.keys.shape[:2]
    keys = layer.keys.new_zeros(*shape, most, layer.keys.shape[-1])
    values = layer.values.new_zeros(*shape, most, layer.values.shape[-1])
    for index, (sequence, one) in enumerate(zip(sequences, kept)):
        sources = layer.rows(index, sequence.longest(number), None if valid is None else valid[index])
        for source, target in zip(sources, (keys[index], values[index])):
            if one is None:
                rows = sequence.longest(number)
                target[:, most - rows :] = source[:, :rows]
            elif scores.in_memory(source):
                sequence.plan.gather(number, source, out=target[:, most - one.longest :])
            else:
                _on_device(one, source, target)
    layer.settle(keys, values, most - torch.tensor(counts, device=keys.device))
    if not layer.cache.decodes:
        layer.pack()
    layer.queries.clear()
    return counts


def _on_device(kept: Any, source: Any, target: Any) -> None:
    """plan.gather by torch: the rows of each head end where `target` (H, most, D) ends."""
    for head, count in enumerate(kept.counts):
        rows = torch.from_numpy(kept.rows[kept.offsets[head] : kept.offsets[head + 1]]).to(source.device, torch.long)
        target[head, target.shape[1] - int(count) :] = source[head].index_select(0, rows)


def step(layers: list[SieveLayer], sequences: list[Sequence], new: int, valid: Any) -> None:
    """Takes the newest `new` columns into the slots, one after the other: layers step in order in each.

    valid: (B, new) bool, whether a column is one of the sequence's tokens; None if all are.
    """
    arrivals = [(layer.keys[:, :, layer.settled :], layer.values[:, :, layer.settled :]) for layer in layers]
    asking = [layer.queries.parts[0][1] for layer in layers]
    for column in range(new):
        takes = [valid is None or bool(valid[index, column]) for index in range(len(sequences))]
        one = slice(column, column + 1)
        for layer, (keys, values), queries in zip(layers, arrivals, asking):
            if new > 1:
                begin = layer.settled
                layer.keys = torch.cat([layer.keys[:, :, :begin], keys[:, :, one]], 2)
                layer.values = torch.cat([layer.values[:, :, :begin], values[:, :, one]], 2)
            _step(layer, sequences, takes, queries[:, :, one])
    for layer in layers:
        layer.queries.clear()


def _step(layer: SieveLayer, sequences: list[Sequence], takes: list[bool], queries: Any) -> None:
    """The last row of a layer moves into the slots that its plans name; where they name none, it becomes one.

    queries: (B, Hq, 1, D). takes: by sequence, whether the row is one of its tokens; if not, the row is dropped.
    """
    assert layer.how is not None
    number, last, grown = layer.number, layer.settled, []
    for index, sequence in enumerate(sequences):
        count, grows = sequence.longest(number), False
        if takes[index]:
            rows = layer.keys[index, :, last - count :], layer.values[index, :, last - count :]
            slots = scores.step(sequence.plan, number, queries[index], *rows, layer.how)[:, 0]
            grows = bool((slots < 0).any())  # in a plan that decodes, all heads of a layer have as many slots
            if grows:
                sequence.counts[number] = [rows + 1 for rows in sequence.counts[number]]
            else:
                heads, to = torch.arange(len(slots)), torch.from_numpy(slots).long()
                for tensor in rows:
                    tensor[heads, to] = tensor[:, -1].clone()  # with one head torch would see one memory twice
        grown.append(grows)
    room = layer.keys, layer.values
    if any(grown):
        for index in [index for index, grows in enumerate(grown) if not grows]:
            count = sequences[index].longest(number)
            for tensor in room:  # its rows end one further back, where those of the others do
                tensor[index, :, last - count + 1 :] = tensor[index, :, last - count : last].clone()
        most = max(sequence.longest(number) for sequence in sequences)
        begin = last + 1 - most
        layer.settle(room[0][:, :, begin:], room[1][:, :, begin:], _front(layer, sequences, most))
    else:
        layer.settle(room[0][:, :, :last], room[1][:, :, :last], _front(layer, sequences, last))
        layer.room = room


def _front(layer: SieveLayer, sequences: list[Sequence], rows: int) -> Any:
    counts = [sequence.counts[layer.number] for sequence in sequences]
    return rows - torch.tensor(counts, device=layer.keys.device)
