"""Blocks of a paged cache: who holds them, which are free, and which are known by the tokens in them (a prefix cache).

As vLLM has them: a block that nobody holds is free, and keeps its name until it is taken for something else.
"""

from __future__ import annotations

from collections import Counter, deque

Prefix = tuple[int, ...]
"""All tokens up to the end of a block: what is in a block depends on all of them."""


class NoRoom(Exception):
    """No free block."""


class Blocks:
    """`holders` [block]: in how many tables it is. `names` [block]: the prefix that it ends, if it is in the prefix cache."""

    def __init__(self, count: int) -> None:
        self.holders = [0] * count
        self.names: list[Prefix | None] = [None] * count
        self.free = deque(range(count))
        self.found: dict[Prefix, int] = {}

    def take(self) -> int:
        """A block to write to."""
        if not self.free:
            raise NoRoom
        block = self.free.popleft()
        self.forget(block)
        self.holders[block] = 1
        return block

    def hold(self, block: int) -> None:
        """One holder more."""
        if self.holders[block] == 0:
            self.free.remove(block)
        self.holders[block] += 1

    def give_back(self, block: int) -> None:
        self.holders[block] -= 1
        if self.holders[block] == 0:
            self.free.append(block)

    def name(self, block: int, prefix: Prefix) -> None:
        """It is full, and may be shared. Of two blocks with the same tokens the first is known."""
        if prefix not in self.found:
            self.found[prefix], self.names[block] = block, prefix

    def forget(self, block: int) -> None:
        """It is about to be written."""
        prefix, self.names[block] = self.names[block], None
        if prefix is not None:
            del self.found[prefix]

    def is_private(self, block: int) -> bool:
        """Whether its holder may write to it."""
        return self.holders[block] == 1 and self.names[block] is None

    def wrong(self, tables: list[list[int]]) -> str | None:
        """What disagrees with the tables of all who hold blocks; None if nothing does."""
        held = Counter(block for table in tables for block in table)
        for table in tables:
            if len(set(table)) < len(table):
                return f"a block is twice in the table {table}"
        for block, holders in enumerate(self.holders):
            if holders != held[block]:
                return f"block {block} is in {held[block]} tables and has {holders} holders"
        if sorted(self.free) != [block for block, holders in enumerate(self.holders) if holders == 0]:
            return f"free are {sorted(self.free)}; holders: {self.holders}"
        if {name: block for block, name in enumerate(self.names) if name is not None} != self.found:
            return "names and blocks of the prefix cache differ"
        return None
