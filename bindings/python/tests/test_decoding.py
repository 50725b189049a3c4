"""step, trim and slots, compared with an engine that has its own cache and positions.

What is evicted is compared with a float64 replay in Tests/Decoding; here is the surface.
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, Cache, noise, parameters, refused
from decoding_engine import BUDGET, DRAFT, HEADS, KEYS, PROMPT, QUERIES, SETTINGS, Engine, most
from registry import settings

import kvsieve


@pytest.fixture(params=[method.name for method in kvsieve.methods() if method.decodes])
def decoder(request: pytest.FixtureRequest) -> kvsieve.MethodInfo:
    """Every method that decodes."""
    return next(method for method in kvsieve.methods() if method.name == request.param)


@pytest.fixture
def engine(decoder: kvsieve.MethodInfo) -> Engine:
    return Engine(decoder)


def test_result(engine: Engine) -> None:
    for m in {1, engine.few(3), engine.most}:
        result = engine.plan.step(0, **engine.given(0, m))
        assert (result.dtype, result.shape) == (np.int32, (KV_HEADS, m))
        assert result.min() >= 0 and result.max() < BUDGET
        engine.plan.reset()
        engine.observe(PROMPT)
        engine.plan.finish()


@pytest.mark.parametrize("prompt", [1, BUDGET - 4, BUDGET, PROMPT])
def test_nobody_leaves_until_the_budget_is_full(decoder: kvsieve.MethodInfo, prompt: int) -> None:
    engine = Engine(decoder, prompt)
    for m in [3, 1, 2, 5] * 6:
        free = max(0, BUDGET - engine.tokens)
        result = engine.step(engine.few(m))
        assert np.all(result[:, :, :free] == -1) and np.all(result[:, :, free:] >= 0)
        assert engine.agrees()
    for book in (book for layer in engine.books for book in layer):
        assert len(book) == BUDGET == len(set(book))
        assert set(range(engine.tokens - engine.most, engine.tokens)) <= set(book)


def test_values_may_be_none_where_they_are_not_read(engine: Engine) -> None:
    given = engine.given(0)
    expected = None if engine.reads("values") else Engine(engine.plan.method).plan.step(0, **given)
    given["values"] = None  # type: ignore[assignment]
    for call in (given, {**engine.logits(0), "values": None}):
        if expected is None:
            refused("KVSIEVE_ERR_NULL", engine.plan.step, 0, **call)
        else:
            assert np.array_equal(Engine(engine.plan.method).plan.step(0, **call), expected)


@pytest.mark.parametrize("missing", ["queries", "keys", "both"])
def test_none_where_the_library_needs_something(missing: str, engine: Engine) -> None:
    given = {name: None if missing in (name, "both") else array for name, array in engine.given(0).items()}
    if missing == "both" or engine.looks_at(missing):
        refused("KVSIEVE_ERR_NULL", engine.plan.step, 0, **given)
    else:
        assert np.array_equal(engine.plan.step(0, **given), Engine(engine.plan.method).plan.step(0, **engine.given(0)))
        engine = Engine(engine.plan.method)
    engine.step()
    assert engine.agrees()


def test_logits_in_place_of_queries_and_keys(engine: Engine) -> None:
    other = Engine(engine.plan.method)
    for m in map(engine.few, [1, 2, 3] * 8):
        assert np.array_equal(engine.step(m), other.step(m, logits=True))
    assert engine.agrees() and other.agrees()


def test_half_precision_rows_of_a_longer_cache(engine: Engine) -> None:
    """Any dtype, any strides: the rows of a cache that is allocated once, with room after them."""
    other = Engine(engine.plan.method)
    for layer in range(LAYERS):
        half = {name: array.astype(np.float16) for name, array in engine.given(layer, engine.few(2)).items()}
        room = {name: np.zeros((*array.shape[:1], 64, array.shape[2]), np.float16) for name, array in half.items()}
        for name, array in half.items():
            room[name][:, : array.shape[1]] = array
        views = {name: room[name][:, : array.shape[1]] for name, array in half.items()}
        expected = other.plan.step(layer, **{name: array.astype(np.float32) for name, array in half.items()})
        assert np.array_equal(engine.plan.step(layer, **views), expected)


@pytest.mark.parametrize("equal", ["queries", "keys"])
def test_of_equal_scores_the_highest_position_leaves(decoder: kvsieve.MethodInfo, equal: str) -> None:
    """All scores alike (no pooling; queries of 0, or one key for all): the newest that is not recent."""
    alike = settings(decoder, BUDGET, 0.5, **{**SETTINGS, "pool_kernel": 1, "decoding": 1})
    with kvsieve.Plan(decoder.id, MODEL, **alike) as plan:
        ones = np.ones((QUERY_HEADS, PROMPT, DIM), np.float32)
        queries, keys = (0 * ones, KEYS[0]) if equal == "queries" else (QUERIES[0], ones[:KV_HEADS])
        recent = most(decoder.name)
        for layer in range(LAYERS):
            plan.observe(layer, queries[:, :PROMPT], keys[:, :PROMPT], ones[:KV_HEADS])
        plan.finish()
        book = plan.slots(0, 0).positions.tolist()
        assert book == [*range(BUDGET - recent), *range(PROMPT - recent, PROMPT)]
        given = (queries[:, :1], keys[:, : BUDGET + 1], ones[:KV_HEADS, : BUDGET + 1])
        assert plan.step(0, *given).tolist() == [[book.index(PROMPT - recent)]] * KV_HEADS


@pytest.mark.parametrize("prompt", [2, BUDGET - 1, PROMPT])
@pytest.mark.parametrize("m", [2, 3, BUDGET])
def test_several_tokens_are_one_after_another(decoder: kvsieve.MethodInfo, prompt: int, m: int) -> None:
    together, alone = Engine(decoder, prompt), Engine(decoder, prompt)
    m = alone.few(m)
    for _ in range(10):
        singles = [alone.step() for _ in range(m)]
        assert np.array_equal(together.step(m), np.concatenate(singles, axis=2)), f"{alone.tokens} tokens"
        assert together.slots() == alone.slots() and together.agrees()


@pytest.mark.parametrize("prompt", [2, BUDGET - 2, PROMPT])
def test_trim_undoes(decoder: kvsieve.MethodInfo, prompt: int) -> None:
    """Drafts are taken from elsewhere in the stream; afterwards all is as in a plan that never saw them."""
    drafting, plain = Engine(decoder, prompt), Engine(decoder, prompt)
    for m in map(plain.few, [1, 2, BUDGET, 3] * 5):
        before = drafting.slots()
        drafting.step(m, accepted=0, ahead=DRAFT)
        assert drafting.slots() == before and drafting.agrees()
        stay = m // 2
        drafted, alone = drafting.step(m, accepted=stay), [plain.step() for _ in range(stay)]
        if stay:
            assert np.array_equal(drafted[:, :, :stay], np.concatenate(alone, axis=2))
        assert np.array_equal(drafting.step(), plain.step())
        assert drafting.slots() == plain.slots()


def test_trim_piece_by_piece_and_no_further_than_the_last_step(engine: Engine) -> None:
    engine.plan.trim(0)
    refused("KVSIEVE_ERR_SHAPE", engine.plan.trim, 1)
    engine.step()
    before, m = engine.slots(), engine.few(4)
    stay = m - m // 2
    engine.step(m, accepted=stay)
    refused("KVSIEVE_ERR_SHAPE", engine.plan.trim, stay + 1)
    refused("KVSIEVE_ERR_SHAPE", engine.plan.trim, -1)
    for _ in range(stay):
        engine.plan.trim(1)
    assert engine.slots() == before
    refused("KVSIEVE_ERR_SHAPE", engine.plan.trim, 1)


def test_layers_in_order_and_once(engine: Engine) -> None:
    refused("KVSIEVE_ERR_STATE", engine.plan.step, 1, **engine.given(1))
    refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 1 << 20, **engine.given(0))
    before, m = engine.slots(), engine.few(2)
    first = engine.plan.step(0, **engine.given(0, m))
    error = refused("KVSIEVE_ERR_STATE", engine.plan.step, 0, **engine.given(0, m))
    assert "layer 1" in error.message
    refused("KVSIEVE_ERR_STATE", engine.plan.step, 2, **engine.given(2, m))
    refused("KVSIEVE_ERR_STATE", engine.plan.trim, 1)
    for other in {m - 1, m + 1} - {0}:
        refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 1, **engine.given(1, other))
    rest = [engine.plan.step(layer, **engine.given(layer, m)) for layer in range(1, LAYERS)]
    assert np.array_equal(np.stack([first, *rest]), Engine(engine.plan.method).step(m))
    engine.plan.trim(m)
    assert engine.slots() == before


def test_shapes(engine: Engine) -> None:
    good, logits = engine.given(0), engine.logits(0)["logits"]
    for name, array in good.items():
        if engine.looks_at(name):
            refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **{**good, name: array[:1]})
        with pytest.raises(TypeError, match=f"{name} has dtype float64"):
            engine.plan.step(0, **{**good, name: array.astype(np.float64)})
    for less in (good["keys"][:, 1:], np.repeat(good["keys"], 2, axis=1)):
        refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, good["queries"], less, good["values"])
    if engine.reads("keys"):
        narrow = {**good, "keys": good["keys"][:, :, 1:].copy()}
        refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **narrow)
    both = {name: good[name][:, 1:] for name in ("keys", "values")}
    error = refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **{**good, **both})
    assert str(BUDGET) in error.message
    refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, values=good["values"], logits=logits[:, :, 1:].copy())
    refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, values=good["values"], logits=logits[:2])
    error = refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **engine.given(0, engine.most + 1))
    assert str(engine.most) in error.message
    assert np.array_equal(engine.step(engine.most), Engine(engine.plan.method).step(engine.most))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["queries", "keys", "values", "logits"])
def test_not_a_number_changes_nothing(engine: Engine, name: str, bad: float) -> None:
    other, m = Engine(engine.plan.method), engine.few(2)
    for failing in (0, LAYERS - 1):
        for layer in range(LAYERS):
            give = engine.logits if name == "logits" else engine.given
            good = give(layer, m)
            if layer == failing:
                before = engine.slots()
                wrong = {key: array.copy() for key, array in good.items()}
                row = -1 if name == "values" else 0
                wrong[name][-1, row, -1 if name == "queries" else 1] = bad
                if not engine.reads(name):
                    good = wrong  # nobody looks
                else:
                    refused("KVSIEVE_ERR_NONFINITE", engine.plan.step, layer, **wrong)
                assert engine.slots() == before
            other_good = other.logits(layer, m) if name == "logits" else other.given(layer, m)
            assert np.array_equal(engine.plan.step(layer, **good), other.plan.step(layer, **other_good))
        engine.plan.trim(m)
        other.plan.trim(m)
    assert np.array_equal(engine.step(engine.few(3)), other.step(engine.few(3))) and engine.agrees()


def test_a_refused_step_leaves_the_last_one_to_be_trimmed(engine: Engine) -> None:
    before, m = engine.slots(), engine.few(2)
    engine.step(m)
    wrong = engine.given(0, engine.most)
    refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **{**wrong, "keys": wrong["keys"][:1]})
    wrong["keys"][0, 0, 0] = np.nan
    if engine.reads("keys"):
        refused("KVSIEVE_ERR_NONFINITE", engine.plan.step, 0, **wrong)
    engine.plan.trim(m)
    assert engine.slots() == before


def test_before_finish_and_without_decoding(decoder: kvsieve.MethodInfo) -> None:
    engine = Engine(decoder)
    for plan, name in ((engine.plan, "decoding"), (Engine(decoder, decoding=0).plan, "nothing")):
        if name == "nothing":
            assert plan.slots(0, 0).positions.tolist() == plan.kept(0).head(0).tolist()
        else:
            plan.reset()
            engine.observe(PROMPT)
            refused("KVSIEVE_ERR_STATE", plan.slots, 0, 0)
        for call in (engine.given(0), engine.logits(0)):
            refused("KVSIEVE_ERR_STATE", plan.step, 0, **call)
        refused("KVSIEVE_ERR_STATE", plan.trim, 0)


def test_a_method_that_only_appends(method: kvsieve.MethodInfo) -> None:
    """No step and no trim; slots are what gather left, ragged where heads differ."""
    cache = Cache()
    with kvsieve.Plan(method.id, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        for layer, head in HEADS:
            slots, kept = plan.slots(layer, head), plan.kept(layer)
            assert np.array_equal(slots.positions, kept.head(head)) and slots.tokens == kept.tokens == TOKENS
            assert slots.positions.dtype == np.int32 and slots.positions.flags.owndata
        if not method.decodes:
            with pytest.raises(ValueError, match="has no parameter 'decoding'"):
                plan["decoding"] = 1
        given = (noise(1, QUERY_HEADS, 1, DIM), *[noise(2, KV_HEADS, 9, DIM)] * 2)
        refused("KVSIEVE_ERR_STATE", plan.step, 0, *given)
        refused("KVSIEVE_ERR_STATE", plan.trim, 1)


@pytest.mark.parametrize(("layer", "head"), [(-1, 0), (LAYERS, 0), (0, -1), (0, KV_HEADS), (2**31 - 1, 0)])
def test_slots_out_of_range(layer: int, head: int, engine: Engine) -> None:
    refused("KVSIEVE_ERR_SHAPE", engine.plan.slots, layer, head)


def test_reset_is_a_fresh_plan(engine: Engine) -> None:
    """Bit for bit, also in the middle of a round; and more threads change nothing."""
    engine.step(engine.few(3))
    engine.plan.step(0, **engine.given(0, engine.few(2)))
    engine.plan.reset()
    refused("KVSIEVE_ERR_STATE", engine.plan.slots, 0, 0)
    engine.observe(PROMPT)
    engine.plan.finish()
    engine.after_the_prompt()
    others = [Engine(engine.plan.method), Engine(engine.plan.method, threads=3)]
    for m in map(engine.few, [1, 2, 3] * 8):
        result = engine.step(m)
        assert all(np.array_equal(result, other.step(m)) for other in others) and engine.agrees()
    engine.plan.close()
    for call in (lambda: engine.step(), lambda: engine.plan.trim(0), lambda: engine.plan.slots(0, 0)):
        with pytest.raises(ValueError, match="the plan is closed"):
            call()
