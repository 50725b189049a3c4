"""What join refuses, and what finish() says if ranks disagree or one of them cannot finish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import refused
from joining_engine import (
    DIM,
    HEADS,
    KEPT,
    KEYS,
    LAYERS,
    MODEL,
    PARTS,
    QUERIES,
    TOKENS,
    VALUES,
    WHOLE,
    expect,
    kept,
    observe,
    one,
    pair,
    protected,
    run,
)
from ranks import Part, Threads, heads_of, joined, plan_of

import kvsieve


def unused(_: Any, __: Any) -> None:
    raise ConnectionError


OTHERS: dict[str, tuple[Callable[[], kvsieve.Plan], str, str]] = {
    "method": (lambda: one("snapkv"), "METHOD", "the method is 6 on rank 1 and 4 on rank 0"),
    "parameter": (lambda: one(budget=21), "PARAMETER", "budget is 21.0 on rank 1 and 20.0 on rank 0"),
    "window": (lambda: one(window=5), "PARAMETER", "window is 5.0 on rank 1"),
    "scale": (
        lambda: kvsieve.Plan("dynamickv", kvsieve.Model(2, 2, 1, DIM, 0.5), **KEPT["dynamickv"]),
        "PARAMETER",
        "model.scale is 0.5 on rank 1",
    ),
    "protected": (lambda: protected(one(), (3, 2)), "STATE", "ranges of protected tokens is 1 on rank 1"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_ranks_that_disagree(what: str) -> None:
    """ "fails with the same status and sentence on every rank. The sentence names the rank. Every plan is as it was\""""
    make, name, words = OTHERS[what]
    group, plans = pair(make())
    for plan, part in zip(plans, PARTS):
        observe(plan, part)
    before = [kept(plan, part) for plan, part in zip(plans, PARTS)]
    for _ in range(2):
        expect(run(plans, group), name, words)
        assert [kept(plan, part) for plan, part in zip(plans, PARTS)] == before
    assert [len(sent) for sent in group.sent] == [2, 2], "a round each"


def test_other_tokens_are_protected() -> None:
    group, plans = pair(protected(one(), (3, 2)))
    protected(plans[0], (4, 2))
    for plan, part in zip(plans, PARTS):
        observe(plan, part)
    expect(run(plans, group), "STATE", "other tokens are protected on rank 1 than on rank 0")


def test_numbers_of_tokens_differ() -> None:
    group, plans = pair(one())
    observe(plans[0], PARTS[0])
    observe(plans[1], PARTS[1], TOKENS - 1)
    expect(run(plans, group), "SHAPE", "the tokens seen is 59 on rank 1 and 60 on rank 0")


@pytest.mark.parametrize("models", [(8, 2, 1, DIM), (2, 1, 1, DIM), (2, 2, 1, 4)], ids=str)
def test_models_differ(models: tuple[int, int, int, int]) -> None:
    layers, query_heads, heads, dim = models
    model = kvsieve.Model(*models)
    group, plans = pair(kvsieve.Plan("dynamickv", model, **KEPT["dynamickv"]), layers=max(layers, LAYERS))
    observe(plans[0], PARTS[0])
    for layer in range(layers):
        arrays = [np.ones((n, TOKENS, dim), np.float32) for n in (query_heads, heads, heads)]
        plans[1].observe(layer, *arrays)
    expect(run(plans, group), "SHAPE", "on rank 1 and")


def test_a_rank_that_did_not_observe_all() -> None:
    """A rank that cannot finish takes part in the first round, and says so: then it can, and all finish."""
    group, plans = pair(one())
    observe(plans[0], PARTS[0])
    observe(plans[1], PARTS[1], layers=1)
    expect(run(plans, group), "STATE", "rank 1: 1 of 2 layers were observed")
    plans[1].observe(1, *[heads_of(array[1], PARTS[1], MODEL) for array in (QUERIES, KEYS, VALUES)])
    assert run(plans, group) == [None, None]
    whole = observe(one(part=WHOLE), WHOLE)
    whole.finish()
    assert [plans[rank].kept(0).positions.tolist() for rank in (0, 1)] == [
        whole.kept(0).head(h).tolist() for h in (0, 1)
    ]
    refused("KVSIEVE_ERR_STATE", plans[0].finish)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([Part(range(2), range(1)), Part(range(2), range(1))], "ranks 0 and 1 both have layer 0, head 0"),
        ([Part(range(1), range(2)), Part(range(2), range(1))], "ranks 0 and 1 both have layer 0, head 0"),
        ([Part(range(1), range(2)), Part(range(1, 2), range(1))], "no rank has layer 1, head 1"),
        ([Part(range(2), range(1)), Part(range(1), range(1, 2)), Part(range(1, 2), range(1, 2))], "share layers"),
    ],
    ids=["same", "overlap", "hole", "stages"],
)
def test_parts_that_do_not_cover_the_model_once(parts: list[Part], words: str) -> None:
    group = Threads(len(parts))
    plans = [one(part=part) for part in parts]
    for rank, plan in enumerate(plans):
        joined(plan, parts, rank, group.all_gather(rank), layers=LAYERS, heads=HEADS)
        observe(plan, parts[rank])
    expect(run(plans, group), "SHAPE", words)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"rank": 2}, "group.rank is 2; expected 0 ... 1"),
        ({"rank": -1}, "group.rank is -1"),
        ({"ranks": 0}, "group.ranks is 0; expected 1 ... 1024"),
        ({"ranks": 2000}, "group.ranks is 2000"),
        ({"layers": 1}, "group.layers is 1; expected 2 ... 1024"),
        ({"heads": 0}, "group.heads is 0; expected 1 ... 512"),
        ({"heads": 513}, "group.heads is 513"),
        ({"first_layer": 1}, "group.first_layer is 1; expected 0 ... 0"),
        ({"first_layer": 2**31 - 1}, "group.first_layer is 2147483647"),
        ({"first_head": 2}, "group.first_head is 2; expected 0 ... 1"),
        ({"first_head": -1}, "group.first_head is -1"),
    ],
    ids=str,
)
def test_places_that_are_none(place: dict[str, int], words: str) -> None:
    plan = one()
    numbers = {"rank": 1, "ranks": 2, "layers": LAYERS, "heads": HEADS, **place}
    rank, ranks = numbers.pop("rank"), numbers.pop("ranks")
    assert words in refused("KVSIEVE_ERR_SHAPE", plan.join, unused, rank, ranks, **numbers).message
    assert len(kept(observe(plan, PARTS[1]), PARTS[1])) == LAYERS
    plan.finish()


def test_what_is_no_collective() -> None:
    plan = one()
    with pytest.raises(TypeError, match="all_gather is None: expected a function of"):
        plan.join(None, 0, 1, layers=LAYERS, heads=HEADS)  # type: ignore[arg-type]


def test_it_is_too_late_to_join() -> None:
    plan = one()
    observe(plan, PARTS[1], layers=1)
    refused("KVSIEVE_ERR_STATE", joined, plan, PARTS, 1, unused)
    plan.reset()
    plan.queries(0, QUERIES[0, :2])
    refused("KVSIEVE_ERR_STATE", joined, plan, PARTS, 1, unused)
    plan.reset()
    joined(plan, PARTS, 1, unused)


def test_what_would_need_an_exchange_at_every_step() -> None:
    """ "KVSIEVE_ERR_PARAMETER if KVSIEVE_MASS or KVSIEVE_DECODING is set and heads or layers on several ranks choose together\""""
    arrays = [heads_of(array[0], PARTS[1], MODEL) for array in (QUERIES, KEYS, VALUES)]
    for method, parameters in (
        ("tova", {"decoding": 1}),
        ("snapkv", {"mass": 0.5, "share": 1}),
        ("tova", {"mass": 0.5}),
    ):
        plan = plan_of(PARTS[1], MODEL, method, budget=40, **parameters)
        joined(plan, PARTS, 1, unused)
        error = refused("KVSIEVE_ERR_PARAMETER", plan.observe, 0, *arrays)
        assert "on several ranks" in error.message
