"""64 plans on 8 threads of one process: each gives what it gives alone. What plans on threads cost is measured by bench/threads.py.

Tests/ABI/threads.c is the same from C, with the threads that plans have themselves.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import pytest
from conftest import LAYERS, MODEL, TOKENS, Cache, parameters

import kvsieve

PLANS, CREW = 64, 8
Rows = list[tuple[Any, ...]]


class Sequence:
    """A prompt of its own length, and the method that goes through it."""

    def __init__(self, number: int, method: kvsieve.MethodInfo) -> None:
        self.number, self.method, self.cache = number, method, Cache(TOKENS + number)

    def through(self, plan: kvsieve.Plan) -> Rows:
        """Which positions are kept, and the rows themselves."""
        self.cache.through(plan)
        found: Rows = []
        for layer in range(LAYERS):
            gathered = (plan.gather(layer, rows[layer]) for rows in (self.cache.keys, self.cache.values))
            kept = plan.kept(layer)
            found.append((kept.offsets.tolist(), kept.positions.tolist(), *(rows.tobytes() for rows in gathered)))
        return found


@pytest.fixture(scope="module")
def sequences() -> list[Sequence]:
    return [Sequence(number, method) for number, method in zip(range(PLANS), cycle(kvsieve.methods()))]


@pytest.fixture(scope="module")
def alone(sequences: list[Sequence]) -> list[Rows]:
    return [each.through(kvsieve.Plan(each.method.name, MODEL, **parameters(each.method))) for each in sequences]


def test_prompts_differ(sequences: list[Sequence], alone: list[Rows]) -> None:
    """A plan that took another's rows would be seen."""
    assert len({repr(rows) for rows in alone}) == PLANS
    assert all(sum(len(row[1]) for row in rows) < LAYERS * MODEL.kv_heads * TOKENS for rows in alone)


@pytest.mark.parametrize("threads", [1, 2])
def test_plans_on_threads_are_plans_in_sequence(sequences: list[Sequence], alone: list[Rows], threads: int) -> None:
    """A plan for each; 8 begin at the same time."""
    together = threading.Barrier(CREW)

    def work(each: Sequence) -> Rows:
        with kvsieve.Plan(each.method.name, MODEL, threads=threads, **parameters(each.method)) as plan:
            if each.number < CREW:
                together.wait(60)
            return each.through(plan)

    with ThreadPoolExecutor(CREW) as crew:
        found = list(crew.map(work, sequences))
    assert [number for number in range(PLANS) if found[number] != alone[number]] == []


def test_a_plan_of_each_thread_takes_one_prompt_after_the_other(sequences: list[Sequence], alone: list[Rows]) -> None:
    """As a worker uses plans: one for a method, reset for each prompt."""
    own = threading.local()

    def work(each: Sequence) -> Rows:
        plans: dict[str, kvsieve.Plan] = own.__dict__.setdefault("plans", {})
        name = each.method.name
        if name not in plans:
            plans[name] = kvsieve.Plan(name, MODEL, **parameters(each.method))
        plans[name].reset()
        return each.through(plans[name])

    with ThreadPoolExecutor(CREW) as crew:
        found = list(crew.map(work, [*sequences, *reversed(sequences)]))
    assert [number for number in range(2 * PLANS) if found[number] != [*alone, *reversed(alone)][number]] == []
