"""A paged engine in small: block tables, a free list, a prefix cache; requests are admitted, grow, are compressed and put back.

A group is the layers that have one block table. Layers whose choices differ (share 1) are groups of one layer each, as vLLM's
cache groups; with share 2 all layers are one group. If `whole`, blocks are kept or dropped whole and nothing moves; else rows
are compacted, and what others share must not be written. Letters: n rows, B tokens of a block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import kvsieve
from engine.blocks import Blocks, NoRoom, Prefix
from engine.rows import Array, Rows
from engine.world import places

BLOCK = 16
LAYOUTS = ("(blocks, B, H, D)", "(blocks, H, B, D)", "(blocks, 2, B, H, D)")


def pools(keys: Array, values: Array, layout: int, count: int) -> tuple[Array, Array]:
    """Empty memory for a layer's keys and values, as views (blocks, H, B, any)."""
    if layout == 1:
        keys, values = (np.full((count, len(a), BLOCK, a.shape[2]), np.nan, a.dtype) for a in (keys, values))
        return keys, values
    if layout == 2 and keys.shape[2] == values.shape[2]:
        both = np.full((count, 2, BLOCK, len(keys), keys.shape[2]), np.nan, keys.dtype)
        return both[:, 0].swapaxes(1, 2), both[:, 1].swapaxes(1, 2)
    keys, values = (np.full((count, BLOCK, len(a), a.shape[2]), np.nan, a.dtype) for a in (keys, values))
    return keys.swapaxes(1, 2), values.swapaxes(1, 2)


class Request:
    """`tables` [group]: its blocks, in order. `rows` [layer]: how many rows it has in them."""

    def __init__(self, number: int, tokens: list[int], wanted: int) -> None:
        self.number, self.tokens, self.wanted = number, tokens, wanted
        self.forget()

    def forget(self) -> None:
        """It has no memory."""
        self.tables: list[list[int]] = []
        self.rows: list[int] = []
        self.plan: kvsieve.Plan | None = None
        self.seen = self.computed = 0
        """Tokens that the plan has seen, and those whose queries were not computed anew."""
        self.losses: list[tuple[int, int]] = []

    def prefix(self, index: int) -> Prefix:
        """What a block is known by."""
        return tuple(self.tokens[: (index + 1) * BLOCK])


class Paged:
    def __init__(
        self, make: Callable[[], kvsieve.Plan], world: list[Rows], layout: int, count: int, whole: bool
    ) -> None:
        """`make()`: a new plan. `count`: blocks of each group."""
        self.make, self.world, self.whole = make, world, whole
        plan = make()
        self.reads_all = "all_queries" in plan.needs(0)
        self.window = int(plan["window"]) if any(p.name == "window" for p in plan.method.parameters) else 1
        layers = list(range(plan.model.layers))
        self.groups = [layers] if plan["share"] == 2 else [[layer] for layer in layers]
        self.blocks = [Blocks(count) for _ in self.groups]
        self.caches = [pools(rows.keys, rows.values, layout, count) for rows in world]
        self.live: list[Request] = []
        self.waiting: list[Request] = []
        self.count: Counter[str] = Counter()

    # -- Blocks

    def take(self, group: int, request: Request) -> int:
        """A block to write to; if there is none, the youngest other request is put back."""
        while not self.blocks[group].free:
            others = [other for other in self.live if other is not request]
            if not others:
                raise NoRoom
            self.release(others[-1])
            self.waiting.insert(0, others[-1])
            others[-1].forget()
            self.count["put back"] += 1
        return self.blocks[group].take()

    def release(self, request: Request) -> None:
        """Its last blocks become free first, so that its first ones can be found the longest."""
        self.live.remove(request)
        for blocks, table in zip(self.blocks, request.tables):
            for block in reversed(table):
                blocks.give_back(block)

    def hits(self, request: Request) -> int:
        """How many of its first blocks are there. The queries that the method reads are computed in any case."""
        if self.reads_all:
            return 0
        limit = (len(request.tokens) - self.window) // BLOCK
        found = 0
        while found < limit and all(request.prefix(found) in blocks.found for blocks in self.blocks):
            found += 1
        return found

    # -- Requests

    def admit(self) -> Request | None:
        """The first that waits, if there is room for it; not yet compressed."""
        request = self.waiting[0]
        shared = self.hits(request)
        tables = [[blocks.found[request.prefix(i)] for i in range(shared)] for blocks in self.blocks]
        for blocks, table in zip(self.blocks, tables):
            for block in table:
                blocks.hold(block)
        new = -(-len(request.tokens) // BLOCK) - shared
        if any(len(blocks.free) < new for blocks in self.blocks):
            for blocks, table in zip(self.blocks, tables):
                for block in reversed(table):
                    blocks.give_back(block)
            return None
        del self.waiting[0]
        self.live.append(request)
        request.plan, request.tables, request.computed = self.make(), tables, shared * BLOCK
        request.rows = [shared * BLOCK for _ in self.world]
        self.count["shared blocks"] += shared * len(tables)
        self.append(request, len(request.tokens) - shared * BLOCK)
        return request

    def append(self, request: Request, m: int) -> None:
        """The rows of its last m tokens. A block that is full is known from then on, if nothing was dropped before it."""
        at = places(request.tokens, request.losses)[-m:]
        for group, (layers, table) in enumerate(zip(self.groups, request.tables)):
            n = request.rows[layers[0]]
            for row, place in enumerate(at, n):
                if row % BLOCK == 0:
                    table.append(self.take(group, request))
                block = table[row // BLOCK]
                if not self.blocks[group].is_private(block):
                    raise RuntimeError(f"request {request.number} writes to block {block}, which others may read")
                for layer in layers:
                    for cache, rows in zip(self.caches[layer], self.world[layer][1:]):
                        cache[block, :, row % BLOCK] = rows[:, place]
                if (row + 1) % BLOCK == 0 and not request.losses:
                    self.blocks[group].name(block, request.prefix(row // BLOCK))
            for layer in layers:
                request.rows[layer] = n + m

    def view(self, layer: int, request: Request) -> tuple[kvsieve.Paged, kvsieve.Paged]:
        """Its keys and values."""
        group = next(group for group, layers in enumerate(self.groups) if layer in layers)
        table, n = np.array(request.tables[group], np.int32), request.rows[layer]
        keys, values = (kvsieve.Paged(cache, table, n) for cache in self.caches[layer])
        return keys, values

    def compress(self, request: Request, chunk: int) -> None:
        """Back to the budget. Queries are handed over `chunk` at a time; at once if it is 0."""
        plan, total = request.plan, len(request.tokens)
        if plan is None:
            raise RuntimeError("a request that waits has no plan")
        if request.seen:
            plan.extend(total - request.seen)
        new = places(request.tokens, request.losses)[request.computed :]
        for layer, rows in enumerate(self.world):
            queries: Any = rows.queries[:, new]
            if chunk and not self.reads_all:
                for begin in range(0, len(new), chunk):
                    plan.queries(layer, queries[:, begin : begin + chunk])
                queries = None
            plan.observe(layer, queries, *self.view(layer, request))
        plan.finish()
        if plan.report().dropped:
            request.losses.append((total, 1000 * request.number + len(request.losses)))
        request.seen = request.computed = total
        self.count["rounds"] += 1
        for group in range(len(self.groups)):
            self.shrink(group, request, plan)

    def shrink(self, group: int, request: Request, plan: kvsieve.Plan) -> None:
        """Of a finished plan: the rows of a group's layers, all with the same choice."""
        layers, table, blocks = self.groups[group], request.tables[group], self.blocks[group]
        rows = plan.kept(layers[0]).rows[: plan.kept(layers[0]).counts[0]]
        needed = -(-len(rows) // BLOCK)
        if self.whole:
            stay = [table[rows[j * BLOCK] // BLOCK] for j in range(needed)]
        else:
            for index in range(self.untouched(plan, layers), needed):
                self.make_private(group, request, index)
            for layer in layers:
                for part in self.view(layer, request):
                    plan.gather(layer, part, out=part)
            stay = table[:needed]
        for block in reversed([block for block in table if block not in stay]):
            blocks.give_back(block)
            self.count["freed blocks"] += 1
        request.tables[group] = stay
        for layer in layers:
            request.rows[layer] = len(rows)

    def untouched(self, plan: kvsieve.Plan, layers: list[int]) -> int:
        """How many of the first blocks may stay shared, and known: compaction does not write to them."""
        return min(plan.report(layer).intact for layer in layers) // BLOCK

    def make_private(self, group: int, request: Request, index: int) -> None:
        """Before it is written, a block that others hold is copied; one that is only known is forgotten."""
        block, blocks = request.tables[group][index], self.blocks[group]
        if blocks.holders[block] == 1:
            blocks.forget(block)
            return
        copy = self.take(group, request)
        for layer in self.groups[group]:
            for cache in self.caches[layer]:
                cache[copy] = cache[block]
        request.tables[group][index] = copy
        blocks.give_back(block)
        self.count["copied blocks"] += 1

    def go_on(self, request: Request, tokens: list[int]) -> None:
        """Generated tokens, or a follow-up question: rows are appended."""
        request.tokens = request.tokens + tokens
        self.append(request, len(tokens))
