"""Rounds: what the library decides at the end of a prompt, and while tokens are generated.

A prompt's layers are observed one by one as the model computes them; after the last one the rows are gathered. A plan that
decodes takes the tokens after its first prompt by step. Each sequence of the batch has a plan of its own.
Letters: B sequences, H key/value heads, n rows, q new tokens, D head size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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
    counts: list[list[int]] = field(default_factory=list)  # by layer and head: rows that the last round kept
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
        sequence.counts = [of_layer[index] for of_layer in counts]
        sequence.rounds += 1 if sequence.new else 0
        sequence.new, sequence.mark = 0, None


def _gather(layer: SieveLayer, sequences: list[Sequence], valid: Any) -> list[list[int]]:
    """Replaces the rows of one layer. Returns, by sequence and head, how many there are now."""
    number = layer.number
    kept = [sequence.plan.kept(number) if sequence.new else None for sequence in sequences]
    counts = [
        sequence.counts[number] if one is None else [int(count) for count in one.counts]
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
    arrivals = []
    for layer in layers:
        arrivals.append((layer.keys[:, :, layer.settled :], layer.values[:, :, layer.settled :]))
        if new > 1:
            layer.keys, layer.values = layer.keys[:, :, : layer.settled], layer.values[:, :, : layer.settled]
    for column in range(new):
        takes = [valid is None or bool(valid[index, column]) for index in range(len(sequences))]
        for layer, (keys, values) in zip(layers, arrivals):
            if new > 1:
                layer.keys = torch.cat([layer.keys, keys[:, :, column : column + 1]], 2)
                layer.values = torch.cat([layer.values, values[:, :, column : column + 1]], 2)
            _step(layer, sequences, takes, lambda index, layer=layer: layer.queries.parts[0][1][index, :, column : column + 1])
    for layer in layers:
        layer.queries.clear()


def _step(layer: SieveLayer, sequences: list[Sequence], takes: list[bool], query: Callable[[int], Any]) -> None:
    """The last row of a layer moves into the slots that its plans name; where they name none, it becomes one."""
    assert layer.how is not None
    number, last = layer.number, layer.settled
    grown = []
    for index, sequence in enumerate(sequences):
        count = sequence.longest(number)
        grows = False
        if takes[index]:
            keys, values = layer.keys[index, :, last - count :], layer.values[index, :, last - count :]
            slots = scores.step(sequence.plan, number, query(index), keys, values, layer.how)[:, 0]
            grows = bool((slots < 0).any())
            if not grows:  # in a plan that decodes, all heads of a layer have as many slots
                heads, to = torch.arange(len(slots)), torch.from_numpy(slots).long()
                for rows in (keys, values):
                    rows[heads, to] = rows[:, -1]
            else:
                sequence.counts[number] = [rows + 1 for rows in sequence.counts[number]]
        grown.append(grows)
    if not any(grown):
        room = layer.keys, layer.values
        layer.settle(layer.keys[:, :, :last], layer.values[:, :, :last], _front(layer, sequences, last))
        layer.room = room
        return
    for index, grows in enumerate(grown):
        if not grows:  # its rows end one further back now
            count = sequences[index].longest(number)
            for tensor in (layer.keys, layer.values):
                tensor[index, :, last - count + 1 :] = tensor[index, :, last - count : last].clone()
    most = max(sequence.longest(number) for sequence in sequences)
    layer.settle(layer.keys[:, :, last + 1 - most :], layer.values[:, :, last + 1 - most :], _front(layer, sequences, most))


def _front(layer: SieveLayer, sequences: list[Sequence], rows: int) -> Any:
    counts = [sequence.counts[layer.number] for sequence in sequences]
    return rows - torch.tensor(counts, device=layer.keys.device)
