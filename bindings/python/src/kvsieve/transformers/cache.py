"""SieveCache: a cache of transformers whose full-attention layers are compressed when a prompt has been read.

Here: what a user calls, and which forward pass ends a prompt. What a round does is in rounds.py, rows are in layer.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from transformers import DynamicCache

from .._model import Model
from .._numbers import whole
from .._protect import pairs
from ..plan import Plan
from . import padding as padding_of
from . import refusals, rounds, scores, sizes
from .attention import PREFIX, passing
from .layer import SieveLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._kept import Kept
    from .._report import Report
    from .._types import Keywords

NEVER = 2**62
INSIDE = -1  # of _next: between update() of a layer and its attention
UNEQUAL = "a forward pass did not end, so layers differ in their tokens: cache.reset() begins anew"


class SieveCache(DynamicCache):  # type: ignore[misc]
    """A cache for generate(past_key_values=...), or for forward passes of your own, inside `with cache.attached():`.

        cache = kvsieve.transformers.SieveCache(model, "dynamickv", budget=1024)
        with cache.attached():
            model.generate(**inputs, past_key_values=cache)

    `method` and `parameters` are those of kvsieve.Plan. Each sequence of a batch has a plan of its own.

    protect     ranges (first, count) of tokens that every head keeps, counted without padding
    each_chunk  True: every forward pass of more than one token is compressed, so that a prompt that is read in chunks
                (generate's prefill_chunk_size) never needs more rows than budget + chunk. False: once, at the prompt's end;
                the choice does not depend on the chunks. With decoding=1 it begins when each sequence of a padded batch
                has a token
    join        called with each sequence's plan before its first layer: if the model's heads are on several ranks, it calls
                kvsieve.distributed.join(plan, group, ...)

    A prompt is what generate() is given, or what prompt() announces. Else every forward pass of more than one token is one.
    After a prompt all layers are at their budget. Tokens that are generated are appended, until the next prompt; with
    decoding=1 (methods that decode) the budget is held all the time.
    """

    def __init__(
        self,
        model: Any,
        method: str | int,
        *,
        protect: Iterable[tuple[int, int]] = (),
        each_chunk: bool = False,
        join: Callable[[Plan], None] | None = None,
        **parameters: Unpack[Keywords],
    ) -> None:
        if "align" in parameters:
            raise ValueError("align is set by the cache: expected no such parameter")
        self.model, self.decoder = model, refusals.decoder_of(model)
        places = refusals.compressed_layers(self.decoder)
        super().__init__(config=self.decoder.config)
        self.sieved = [SieveLayer(self, number, index) for number, index in enumerate(places)]
        for layer in self.sieved:
            self.layers[layer.index] = layer
        self._of_plan: Any = (method, dict(parameters))
        self._protect = pairs(protect)
        self.each_chunk = each_chunk
        self._join = join
        with self._plan(Model(len(places), 1, 1, 1)) as plan:  # so that what is wrong is said now
            plan.needs(0)
            self.method = plan.method
            self.decodes = bool(dict(parameters).get("decoding"))
        self._start()

    def _start(self) -> None:
        self.sequences: list[rounds.Sequence] = []
        self._next = 0  # the layer whose update() must come
        self._open = False  # whether a pass of the decoder has begun and not ended
        self._until: int | None = None  # the column at which a prompt ends; None: each pass of several tokens is one
        self._then: int | None = None  # what _until is after that
        self.beams = 1  # of the last generate()
        self._settled = 0  # columns when the last round ended
        self._shown: Any = None  # (B, those columns) bool: which of them are no padding; None: all
        self._padding: Any = None  # (B, columns) bool on the CPU, of the pass that is going on; None if there is none
        self._valid: Any = None  # its columns since the last round; None if all are tokens
        self._new = 0  # columns of the pass
        self._closes = False  # whether it ends a prompt
        self._steps = False  # whether its tokens are taken by step

    def _plan(self, model: Model) -> Plan:
        method, parameters = self._of_plan
        plan = Plan(method, model, **{**parameters, "align": 1})
        for first, count in self._protect:
            plan.protect(first, count)
        return plan

    # What a user calls.

    @contextlib.contextmanager
    def attached(self) -> Iterator[SieveCache]:
        """The model uses this cache, and others like it, inside the `with`."""
        from .compress import attached

        with attached(self.model, None):
            yield self

    def prompt(self, tokens: int) -> None:
        """The next `tokens` tokens (padding counted) are one prompt, however many forward passes read them."""
        if (count := whole("tokens", tokens)) < 1:
            raise ValueError(f"tokens is {count}: expected at least 1")
        self._until, self._then = self.get_seq_length() + count, None

    def prompt_ends_at(self, column: int | None) -> None:
        """As prompt(), by the column (padding counted); no pass after it ends a prompt, until None is passed."""
        if column is not None and (end := whole("column", column)) <= (seen := self.get_seq_length()):
            raise ValueError(f"column is {end}, and {seen} were read already: expected a later one, or None")
        self._until, self._then = column, None if column is None else NEVER

    @property
    def rounds(self) -> int:
        """How often it was compressed."""
        return max((sequence.rounds for sequence in self.sequences), default=0)

    @property
    def bytes(self) -> int:
        """What keys and values of all layers take in memory."""
        return sizes.held(self.layers)

    @property
    def full_bytes(self) -> int:
        """What they would take if nothing had been dropped, padding included."""
        return sizes.full(self.layers, self.sieved)

    def kept(self, layer: int, sequence: int = 0) -> Kept:
        """What the last round kept of a sequence, by the number of the compressed layer: positions without padding."""
        return self._compressed(sequence).kept(layer)

    def report(self, sequence: int = 0) -> Report:
        """What a sequence has lost, in all compressed layers."""
        return self._compressed(sequence).report()

    def _compressed(self, sequence: int) -> Plan:
        if not any(one.rounds for one in self.sequences):
            raise ValueError("no prompt was read yet: expected a generate() or a forward pass before")
        if not 0 <= sequence < len(self.sequences):
            raise ValueError(f"sequence is {sequence}: expected 0 ... {len(self.sequences) - 1}")
        return self.sequences[sequence].plan

    # What transformers calls.

    def reset(self) -> None:
        for sequence in self.sequences:
            sequence.plan.close()
        own = {layer.index for layer in self.sieved}
        for layer in self.sieved:
            layer.reset()
        # Those that are left alone are made anew: in transformers 5.2 a reset of theirs keeps the number of rows.
        for index, layer in enumerate(DynamicCache(config=self.decoder.config).layers):
            if index not in own:
                self.layers[index] = layer
        self._start()

    def reorder_cache(self, beam_idx: Any) -> None:
        if self.decodes:
            raise ValueError("beams change places: a plan that decodes follows one sequence; expected decoding=0")
        for index, source in enumerate(beam_idx.tolist()):
            if index != source and self.sequences[index].choice() != self.sequences[source].choice():
                raise ValueError(f"beams {source} and {index} change places, but were compressed apart")
        super().reorder_cache(beam_idx)

    def crop(self, tokens_to_remove: int) -> None:
        """The newest columns leave. A positive number is the length that stays, as in older releases."""
        seen = self.get_seq_length()
        count = -tokens_to_remove if tokens_to_remove <= 0 else max(seen - tokens_to_remove, 0)
        if count > seen - self._settled:
            raise ValueError(
                f"crop by {count} tokens: {seen - self._settled} came after the last round; what was compressed cannot be taken back"
            )
        if count:
            super().crop(-count)

    def __reduce_ex__(self, _: Any) -> Any:
        """What copies and pickles call."""
        raise TypeError("a SieveCache cannot be copied: its plans follow one sequence each")

    # What the decoder's hooks call.

    def pass_begins(self) -> None:
        """Before any layer of a pass, also those that are left alone."""
        if self._open:
            raise ValueError(UNEQUAL)
        self._open = True

    def was_settled_at(self, column: int) -> bool:
        """Whether a round has ended there, or later."""
        return self._settled >= column

    def pass_ends(self) -> None:
        self._open = False

    # What the layers call.

    def enter(self, layer: SieveLayer, keys: Any) -> None:
        """Before update() of a layer."""
        stuck, passing.layer = passing.layer, None
        if stuck is not None and stuck.cache is self and stuck.number + 1 == layer.number:
            raise ValueError(f"layer {stuck.index} calls no attention function of transformers: that is not supported")
        if layer.number != self._next:
            raise ValueError(UNEQUAL)
        if layer.number == 0:
            try:
                self._begin(keys)
            except ValueError:
                self._open = layer.index > 0  # no layer has the pass's tokens if this is the model's first
                raise
        self._next = INSIDE

    def leave(self, layer: SieveLayer, query: Any) -> None:
        """After the attention of a layer."""
        if layer.number == 0:
            self._count(layer, query)
        steps, last = self._steps, layer.number == len(self.sieved) - 1
        # Where padding is among the new columns, the last ones need not be the sequence's last.
        whole = self._closes or steps or self._valid is not None
        most = None if whole else scores.rows_read(self.sequences[0].plan, layer.number)
        layer.queries.add(layer.seen - self._new, query, most)
        if self._closes:
            rounds.observe(layer, self.sequences, self._settled, self._valid)
            layer.queries.clear()
            if last:
                rounds.finish(self.sieved, self.sequences, self._valid)
        elif steps and last:
            rounds.step(self.sieved, self.sequences, self._new, self._valid)
        if last and (self._closes or steps):
            self._settled, self._shown = layer.seen, padding_of.shown(self._padding, layer.seen)
            if self._until is not None and self._settled >= self._until:
                self._until = self._then
        if not self.decodes:  # slots are dense: a step writes to them in place
            layer.pack()
        self._next = 0 if last else layer.number + 1

    def _begin(self, keys: Any) -> None:
        """A forward pass begins: keys are the first layer's new ones."""
        noted, passing.noted = passing.noted, False
        padding, passing.padding = passing.padding, None
        if not str(self.decoder.config._attn_implementation).startswith(PREFIX):
            raise ValueError("the cache is used outside of its `with cache.attached():`")
        refusals.pass_of(keys, noted)
        batch, seen, self._new = int(keys.shape[0]), self.sieved[0].seen, int(keys.shape[2])
        if self.sequences and len(self.sequences) != batch:
            raise ValueError(f"the batch has {batch} sequences: expected {len(self.sequences)}; reset() begins anew")
        self._padding = padding_of.a_pass(padding, seen + self._new)
        self._valid = None if self._padding is None else self._padding[:, self._settled :]
        if self._valid is not None and bool(self._valid.all()):
            self._valid = None
        self._steps = self.decodes and self._settled > 0
        self._closes = not self._steps and self._ends(seen) and self._can_begin(seen)
        if self._settled and (padding is not None or self._new > 1):
            padding_of.check_same(padding_of.shown(self._padding, self._settled), self._shown, self._settled)

    def _ends(self, seen: int) -> bool:
        """Whether the pass ends a prompt."""
        several = self._new > 1 or seen == 0
        if self._until is None:
            return several
        inside = seen + self._new < self._until < NEVER  # a chunk of one token, too
        return seen < self._until <= seen + self._new or (self.each_chunk and (several or inside))

    def _can_begin(self, seen: int) -> bool:
        """Whether each sequence has a token: a plan that decodes takes a prompt first, and all plans step together."""
        if not self.decodes or self._padding is None:
            return True
        none = [index for index, row in enumerate(self._padding) if not bool(row.any())]
        if none and (self._until is None or self._until <= seen + self._new):
            raise ValueError(f"sequence {none[0]} has no token: a plan that decodes begins with one at least")
        return not none

    def _count(self, layer: SieveLayer, query: Any) -> None:
        """The sequences, made when the first layer shows their shape, and how many tokens of each are new."""
        assert layer.how is not None
        if not self.sequences:
            heads, dim = int(layer.keys.shape[1]), int(layer.keys.shape[-1])
            model = Model(len(self.sieved), int(query.shape[1]), heads, dim, layer.how.scale)
            plans = [self._plan(model) for _ in range(len(layer.keys))]
            if self._join is not None:
                for plan in plans:
                    self._join(plan)
            self.sequences = [rounds.Sequence(plan) for plan in plans]
        for index, sequence in enumerate(self.sequences):
            sequence.new = layer.recent if self._valid is None else int(self._valid[index].sum())
