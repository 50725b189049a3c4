"""What finish() says if ranks disagree, if one cannot finish, or if the collective fails; and what it sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import noise, refused
from ranks import Part, Threads, heads_of, joined, pipeline_parallel, plan_of, tensor_parallel
from registry import has, settings

import kvsieve

LAYERS, HEADS, DIM, TOKENS = 2, 2, 8, 60
MODEL = kvsieve.Model(LAYERS, 2 * HEADS, HEADS, DIM)
QUERIES, KEYS, VALUES = (noise(51 + i, LAYERS, n, TOKENS, DIM) for i, n in enumerate((2 * HEADS, HEADS, HEADS)))
PARTS = tensor_parallel(LAYERS, HEADS, 2)
WHOLE = Part(range(LAYERS), range(HEADS))
KEPT = {"dynamickv": {"budget": 20, "window": 4}, "adakv": {"budget": 20, "window": 4}, "snapkv": {"budget": 20, "window": 4}}


def observe(plan: kvsieve.Plan, part: Part, tokens: int = TOKENS, layers: int = LAYERS) -> kvsieve.Plan:
    for index, layer in list(enumerate(part.layers))[:layers]:
        own = [heads_of(array[layer][:, :tokens], part, MODEL) for array in (QUERIES, KEYS, VALUES)]
        plan.observe(index, *own)
    return plan


def kept(plan: kvsieve.Plan, part: Part) -> list[list[int]]:
    return [plan.kept(index).positions.tolist() for index in range(len(part.layers))]


def one(method: str = "dynamickv", part: Part = PARTS[1], **parameters: Any) -> kvsieve.Plan:
    return plan_of(part, MODEL, method, **{**KEPT[method], **parameters})


def run(plans: list[kvsieve.Plan], group: Threads) -> list[Any]:
    return group.run(lambda rank: plans[rank].finish())


def pair(
    other: kvsieve.Plan, group: Threads | None = None, **place: Any
) -> tuple[Threads, list[kvsieve.Plan]]:
    """Rank 0 as it should be, and another rank 1; nothing was observed."""
    group = group or Threads(2)
    plans = [one(part=PARTS[0]), other]
    joined(plans[0], PARTS, 0, group.all_gather(0))
    joined(plans[1], PARTS, 1, group.all_gather(1), **place)
    return group, plans


def expect(results: list[Any], name: str, words: str) -> None:
    """Every rank says the same."""
    assert [type(result) for result in results] == [kvsieve.KVSieveError] * len(results), results
    assert {(result.name, result.message) for result in results} == {(results[0].name, results[0].message)}, results
    assert results[0].name == f"KVSIEVE_ERR_{name}" and words in results[0].message, results[0]


def protected(plan: kvsieve.Plan, *ranges: tuple[int, int]) -> kvsieve.Plan:
    for first, count in ranges:
        plan.protect(first, count)
    return plan


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
    """"fails with the same status and sentence on every rank. The sentence names the rank. Every plan is as it was\""""
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
    assert [plans[rank].kept(0).positions.tolist() for rank in (0, 1)] == [whole.kept(0).head(h).tolist() for h in (0, 1)]
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


# -- A collective that fails -----------------------------------------------------------------------------------------------


def spoiled(call: int, change: Callable[[Any], None]) -> Threads:
    def spoil(_: int, current: int, receive: Any) -> None:
        if current == call:
            change(receive)

    return Threads(2, spoil)


def fail(_: Any) -> None:
    raise ConnectionError("a rank has ended")


def zero_the_last(receive: Any) -> None:
    receive[len(receive) // 2 :] = 0


def swap(receive: Any) -> None:
    half = len(receive) // 2
    receive[:] = np.concatenate([receive[half:], receive[:half]])


FAULTS: dict[str, Callable[[Any], None]] = {
    "fails": fail,
    "zeros": lambda receive: receive.fill(0),
    "fewer ranks": zero_the_last,
    "another order": swap,
    "noise": lambda receive: receive.__setitem__(slice(None), np.arange(len(receive)) * 37 % 251),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", KEPT)
def test_a_collective_that_fails_in_any_round(method: str, fault: str) -> None:
    """"all_gather failed, or what it delivered is not what the ranks sent"; "Every plan is as it was\""""
    rounds = 0
    for call in range(60):
        group = spoiled(call, FAULTS[fault])
        plans = [joined(one(method, part), PARTS, rank, group.all_gather(rank)) for rank, part in enumerate(PARTS)]
        before = [kept(observe(plan, part), part) for plan, part in zip(plans, PARTS)]
        results = run(plans, group)
        if call >= len(group.sent[0]):
            assert results == [None, None]
            break
        rounds += 1
        for result in results:
            assert result.name == "KVSIEVE_ERR_GROUP", result
            assert fault != "fails" or isinstance(result.__cause__, ConnectionError)
        assert [kept(plan, part) for plan, part in zip(plans, PARTS)] == before
        group.spoil = None
        assert run(plans, group) == [None, None]
    assert rounds == {"dynamickv": 8, "adakv": 13, "snapkv": 3}[method]


@pytest.mark.parametrize("method", KEPT)
def test_payloads_that_are_no_ones(method: str) -> None:
    """Heads are right, and what is behind them is not: a status or another choice, never more than the budget's rows."""
    generator = np.random.default_rng(9)
    for trial in range(300):
        call = int(generator.integers(13))
        value = generator.integers(0, 256, 64, np.uint8)

        def spoil(_: int, current: int, receive: Any, call: int = call, value: Any = value) -> None:
            half = len(receive) // 2
            if current == call and half > 320:
                receive[half + 256 : half + 256 + 64] = value

        group = Threads(2, spoil)
        plans = [joined(one(method, part), PARTS, rank, group.all_gather(rank)) for rank, part in enumerate(PARTS)]
        for plan, part in zip(plans, PARTS):
            observe(plan, part)
        for result in run(plans, group):
            assert result is None or result.name.startswith("KVSIEVE_ERR_"), trial


def test_what_all_gather_raises_is_the_cause() -> None:
    class Stop(BaseException):
        pass

    def interrupted(_: Any, __: Any) -> None:
        raise Stop

    plan = one(part=WHOLE)
    plan.join(interrupted, 0, 1, layers=LAYERS, heads=HEADS)
    observe(plan, WHOLE)
    with pytest.raises(Stop):
        plan.finish()
    plan.reset()
    plan.join(lambda send, receive: receive.__setitem__(slice(None), send), 0, 1, layers=LAYERS, heads=HEADS)
    observe(plan, WHOLE).finish()


# -- join ------------------------------------------------------------------------------------------------------------------


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
    assert words in refused("KVSIEVE_ERR_SHAPE", plan.join, fail, rank, ranks, **numbers).message
    assert len(kept(observe(plan, PARTS[1]), PARTS[1])) == LAYERS
    plan.finish()


def test_it_is_too_late_to_join() -> None:
    plan = one()
    observe(plan, PARTS[1], layers=1)
    refused("KVSIEVE_ERR_STATE", joined, plan, PARTS, 1, fail)
    plan.reset()
    plan.queries(0, QUERIES[0, :2])
    refused("KVSIEVE_ERR_STATE", joined, plan, PARTS, 1, fail)
    plan.reset()
    joined(plan, PARTS, 1, fail)


def test_what_would_need_an_exchange_at_every_step() -> None:
    """"KVSIEVE_ERR_PARAMETER if KVSIEVE_MASS or KVSIEVE_DECODING is set and heads or layers on several ranks choose together\""""
    arrays = [heads_of(array[0], PARTS[1], MODEL) for array in (QUERIES, KEYS, VALUES)]
    for method, parameters in (("tova", {"decoding": 1}), ("snapkv", {"mass": 0.5, "share": 1}), ("tova", {"mass": 0.5})):
        plan = plan_of(PARTS[1], MODEL, method, budget=40, **parameters)
        joined(plan, PARTS, 1, fail)
        error = refused("KVSIEVE_ERR_PARAMETER", plan.observe, 0, *arrays)
        assert "on several ranks" in error.message


# -- Costs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("divide", [tensor_parallel, pipeline_parallel])
def test_what_is_sent(method: kvsieve.MethodInfo, divide: Any) -> None:
    """"Costs of finish(), of a rank: 256 bytes a message beside what is here\""""
    parts = divide(LAYERS, HEADS, 2)
    group = Threads(2)
    chosen = settings(method, 20, 0.6, window=4, recent=5, sinks=2, every=1, shared=1, size=4, charge=1)
    plans = [joined(plan_of(part, MODEL, method.name, **chosen), parts, r, group.all_gather(r)) for r, part in enumerate(parts)]
    for plan, part in zip(plans, parts):
        observe(plan, part)
    assert run(plans, group) == [None, None]
    heads, layers = len(parts[0].heads), len(parts[0].layers)
    division = [2048, 512, 4096, 4096]
    rows = [16 + 4 * TOKENS * (heads if heads < HEADS else 1)] * layers
    more = {
        "dynamickv": [*division, 16 * layers] * LAYERS,
        "adakv": [*division, 16 * heads] * LAYERS if heads < HEADS else [],
        "taskkv": [4 * heads * layers * (DIM if heads < HEADS else 1)],
        "tova": rows if heads < HEADS else [],
    }.get(method.name, [])
    sent = [size - 256 for size in group.sent[0]]
    assert sent[:2] == [544, 0] and sent[-1] == 4 * heads * layers
    assert group.sent[0] == group.sent[1]
    middle = sent[2:-1]
    if method.name == "windowkv":
        # Each layer chooses; of the windows of 56 tokens there is a row for each query head, or their mean.
        means = [16 + 4 * 14 * (2 * heads if heads < HEADS else 1)] * layers
        assert middle[: len(means)] == means and set(middle[len(means) :]) <= {8}
    else:
        assert middle == more


def test_dynamickv_sends_counters() -> None:
    """"dynamickv with 32 layers, 8 heads and 32,768 tokens sends less than 128 KiB a rank, in 43 rounds\""""
    layers, heads, tokens = 32, 8, 32_768
    model = kvsieve.Model(layers, heads, heads, 128)
    parts = tensor_parallel(layers, heads, 8)
    group = Threads(8)
    plans = [joined(plan_of(part, model, "dynamickv", budget=512), parts, r, group.all_gather(r)) for r, part in enumerate(parts)]
    whole = kvsieve.Plan("dynamickv", model, budget=512)
    generator = np.random.default_rng(4)
    for layer in range(layers):
        sums = generator.standard_gamma(0.2, (heads, 1, tokens)).astype(np.float32)
        whole.observe(layer, attention=sums, kind="sums")
        for plan, part in zip(plans, parts):
            plan.observe(layer, attention=sums[part.heads.start : part.heads.stop], kind="sums")
    whole.finish()
    assert run(plans, group) == [None] * 8
    for layer in range(layers):
        kept = whole.kept(layer)
        assert [plan.kept(layer).head(0).tolist() for plan in plans] == [kept.head(head).tolist() for head in range(heads)]
    assert len(group.sent[0]) == 43
    assert sum(group.sent[0]) < 128 * 1024


def test_shares_send_a_row_a_head(method: kvsieve.MethodInfo) -> None:
    if not has(method, "share"):
        return
    chosen = settings(method, 20, 0.6, window=4, recent=5, sinks=2, shared=1, size=1, pyramid=2, share=2)
    for parts, heads in ((PARTS, 1), (pipeline_parallel(LAYERS, HEADS, 2), HEADS)):
        group = Threads(2)
        plans = [joined(plan_of(part, MODEL, method.name, **chosen), parts, r, group.all_gather(r)) for r, part in enumerate(parts)]
        for plan, part in zip(plans, parts):
            observe(plan, part)
        assert run(plans, group) == [None, None]
        if method.name != "streamingllm":
            rows = 2 if method.name == "windowkv" else 1
            most = 16 + 4 * TOKENS * (rows if heads < HEADS else 1)
            middle = [size - 256 for size in group.sent[0]][2:-1]
            assert len(middle) == len(parts[0].layers) and all(0 < size <= most for size in middle), middle
