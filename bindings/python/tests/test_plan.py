"""Plan, Kept, Model, methods and compress: each sentence of their docstrings."""

from __future__ import annotations

import copy
import ctypes
import gc
import pickle
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, WINDOW, Cache, fresh, noise, parameters
from dlpack_producer import Legacy

import kvsieve
from kvsieve import _library, methods


def refused(name: str, call: Any, *arguments: Any, **keywords: Any) -> kvsieve.KVSieveError:
    with pytest.raises(kvsieve.KVSieveError) as caught:
        call(*arguments, **keywords)
    error = caught.value
    assert (error.name, error.status < 0) == (name, True)
    assert error.message and str(error) == f"{name}: {error.message}"
    return error


# -- Methods and parameters ------------------------------------------------------------------------------------------


def test_methods_are_the_library_s() -> None:
    known = kvsieve.methods()
    assert len(known) == _library.library().kvsieve_method_count() > 0
    assert {method.name for method in known} >= {"dynamickv", "windowkv", "taskkv", "ahakv"}
    for method in known:
        assert method.summary and "arXiv" in method.paper and isinstance(method.decodes, bool)
        assert len({info.id for info in method.parameters}) == len(method.parameters) > 0
        for info in method.parameters:
            assert info.summary and info.lowest <= info.initial <= info.highest
            assert isinstance(info.initial, int) == (info.integral > 0)


def test_defaults_are_the_library_s(method: kvsieve.MethodInfo) -> None:
    with kvsieve.Plan(method.name, MODEL) as plan:
        assert {info.name: plan[info.name] for info in method.parameters} == {
            info.name: info.initial for info in method.parameters
        }


def test_words_are_in_bounds() -> None:
    """The one mapping that Python has: every word is a value that the library knows."""
    bounds = {info.name: (info.lowest, info.highest) for method in kvsieve.methods() for info in method.parameters}
    for name, words in methods.CHOICES.items():
        assert sorted(words.values()) == list(range(int(bounds[name][0]), int(bounds[name][1]) + 1))


def test_method_by_name_or_id(method: kvsieve.MethodInfo) -> None:
    for key in (method.name, method.id):
        with kvsieve.Plan(key, MODEL) as plan:
            assert plan.method == method
            assert plan.model == MODEL


@pytest.mark.parametrize("method", ["nonesuch", 0, 999, ""])
def test_unknown_method_names_those_there_are(method: Any) -> None:
    with pytest.raises(ValueError, match=f"method is {method!r}: expected one of .*dynamickv"):
        kvsieve.Plan(method, MODEL)


@pytest.mark.parametrize("method", [None, 1.0, True, b"dynamickv"])
def test_method_of_another_type(method: Any) -> None:
    with pytest.raises(TypeError, match="expected a name or an id"):
        kvsieve.Plan(method, MODEL)


def test_parameters_are_set_and_read() -> None:
    with kvsieve.Plan("dynamickv", MODEL, budget=96) as plan:
        assert plan["budget"] == 96 and isinstance(plan["budget"], int)
        plan["budget"] = np.int64(80)
        assert plan["budget"] == 80
        number = plan.method.parameter("budget").id
        plan[number] = 72.0
        assert plan[number] == plan["budget"] == 72


def test_words_stand_for_numbers() -> None:
    with kvsieve.Plan("windowkv", MODEL, task="aggregation") as plan:
        assert plan["task"] == 1
        plan["task"] = "localization"
        assert plan["task"] == 0
    with kvsieve.Plan("dynamickv", MODEL, pool="max") as plan:
        assert plan["pool"] == 1


def test_unknown_parameter_names_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"dynamickv has no parameter 'colour': it has .*budget"):
        fresh(colour=1)
    with pytest.raises(ValueError, match="has no parameter 'colour'"), fresh() as plan:
        _ = plan["colour"]
    with pytest.raises(ValueError, match="has no parameter 9999"), fresh() as plan:
        plan[9999] = 1


@pytest.mark.parametrize("value", [None, [1], 1j, b"1", object()])
def test_parameter_of_another_type(value: Any) -> None:
    with pytest.raises(TypeError, match="budget is .*: expected a number"):
        fresh()["budget"] = value


def test_words_that_mean_nothing() -> None:
    with pytest.raises(TypeError, match="budget is 'many': expected a number"):
        fresh()["budget"] = "many"
    with pytest.raises(ValueError, match="pool is 'median': expected 'mean' or 'max', or a number"):
        fresh(pool="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="budget is 1000.*: expected a number that a double can hold"):
        fresh()["budget"] = 10**400


@pytest.mark.parametrize("value", [0, -1, 1e30, float("nan"), float("inf")])
def test_bounds_are_the_library_s(value: float) -> None:
    with fresh() as plan:
        error = refused("KVSIEVE_ERR_PARAMETER", plan.__setitem__, "budget", value)
        assert "budget" in error.message
        assert plan["budget"] == 64


def test_set_after_the_first_observe_is_too_late(cache: Cache) -> None:
    with fresh() as plan:
        plan.observe(0, *cache.layer(0))
        refused("KVSIEVE_ERR_STATE", plan.__setitem__, "budget", 32)


# -- Model -----------------------------------------------------------------------------------------------------------


def test_model_is_checked_when_a_plan_is_made_of_it() -> None:
    refused("KVSIEVE_ERR_SHAPE", kvsieve.Plan, "dynamickv", kvsieve.Model(4, 5, 2, 16))
    with pytest.raises(ValueError, match="layers is 4294967297: expected an integer of 32 bits"):
        kvsieve.Plan("dynamickv", kvsieve.Model(2**32 + 1, 4, 2, 16))
    with pytest.raises(TypeError, match=r"head_dim is 16.0: expected a whole number"):
        kvsieve.Plan("dynamickv", kvsieve.Model(4, 4, 2, 16.0))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="scale is '1': expected a number"):
        kvsieve.Plan("dynamickv", kvsieve.Model(4, 4, 2, 16, "1"))  # type: ignore[arg-type]


def test_scale_reaches_the_library(cache: Cache) -> None:
    """0 is 1/sqrt(D): the same choice as with that number, another one than with a much flatter softmax."""
    chosen = []
    for scale in (0.0, DIM**-0.5, 1e-3):
        with kvsieve.Plan("dynamickv", kvsieve.Model(LAYERS, QUERY_HEADS, KV_HEADS, DIM, scale), budget=64, window=8) as p:
            chosen.append(cache.through(p).kept(0).positions.tolist())
    assert chosen[0] == chosen[1] != chosen[2]


# -- Observe, needs, finish ------------------------------------------------------------------------------------------


def test_needs_says_what_may_be_none(method: kvsieve.MethodInfo, cache: Cache) -> None:
    """Only what needs() names is given, and the choice is that of a plan that was given everything."""
    chosen = []
    for sparing in (True, False):
        with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
            for layer in range(LAYERS):
                given = dict(zip(("queries", "keys", "values"), cache.layer(layer)))
                needs = plan.needs(layer)
                assert isinstance(needs, frozenset) and needs <= set(given)
                plan.observe(layer, **{name: given[name] for name in (needs if sparing else given)})
            plan.finish()
            chosen.append([plan.kept(layer).positions.tolist() for layer in range(LAYERS)])
    assert chosen[0] == chosen[1]


def test_a_layer_that_borrows_needs_nothing() -> None:
    with kvsieve.Plan("windowkv", MODEL, **parameters(kvsieve.Plan("windowkv", MODEL).method)) as plan:
        assert plan.needs(1) == frozenset()
        assert plan.needs(0) == {"queries", "keys"}


def test_none_where_the_library_needs_something(cache: Cache) -> None:
    with fresh() as plan:
        refused("KVSIEVE_ERR_NULL", plan.observe, 0, None, cache.keys[0], cache.values[0])
        refused("KVSIEVE_ERR_NULL", plan.observe, 0)


def test_order_of_life(cache: Cache) -> None:
    with fresh() as plan:
        refused("KVSIEVE_ERR_STATE", plan.finish)
        refused("KVSIEVE_ERR_STATE", plan.kept, 0)
        refused("KVSIEVE_ERR_STATE", plan.observe, 1, *cache.layer(1))
        for layer in range(LAYERS):
            plan.observe(layer, *cache.layer(layer))
            assert plan.kept(layer).tokens == TOKENS  # what may still shrink
        refused("KVSIEVE_ERR_STATE", plan.gather, 0, cache.keys[0])
        plan.finish()
        refused("KVSIEVE_ERR_STATE", plan.finish)


def test_shapes_are_the_library_s_business(cache: Cache) -> None:
    with fresh() as plan:
        error = refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, cache.queries[0], cache.keys[0][:1], cache.values[0])
        assert "keys" in error.message
        refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, noise(1, QUERY_HEADS, WINDOW + 1, DIM), *cache.layer(0)[1:])
        cache.through(plan)  # a failure leaves the plan as it was


@pytest.mark.parametrize("layer", [-1, LAYERS, 2**31 - 1])
def test_layer_out_of_range(layer: int, plan: kvsieve.Plan, cache: Cache) -> None:
    for call in (plan.kept, plan.needs, lambda number: plan.gather(number, cache.keys[0])):
        refused("KVSIEVE_ERR_SHAPE", call, layer)


@pytest.mark.parametrize("layer", [2**31, -(2**31) - 1, 2**32])
def test_layer_beyond_a_c_integer_is_refused_not_wrapped(layer: int, plan: kvsieve.Plan, cache: Cache) -> None:
    for call in (plan.kept, plan.needs, plan.observe, lambda number: plan.gather(number, cache.keys[0])):
        with pytest.raises(ValueError, match=f"layer is {layer}: expected an integer of 32 bits"):
            call(layer)


@pytest.mark.parametrize("layer", [0.0, "0", None])
def test_layer_of_another_type(layer: Any, plan: kvsieve.Plan) -> None:
    with pytest.raises(TypeError, match=f"layer is {layer!r}: expected a whole number"):
        plan.kept(layer)


def test_a_fault_of_an_array_names_the_argument(cache: Cache) -> None:
    plan, good = fresh(), cache.layer(0)
    for index, name in enumerate(("queries", "keys", "values")):
        bad: list[Any] = list(good)
        bad[index] = good[index].astype(np.float64)
        with pytest.raises(TypeError, match=f"{name} has dtype float64"):
            plan.observe(0, *bad)


def test_reset_makes_ready_for_the_next_sequence(cache: Cache) -> None:
    with fresh() as plan:
        first = cache.through(plan).kept(0).positions
        plan.reset()
        assert plan["budget"] == 64
        refused("KVSIEVE_ERR_STATE", plan.kept, 0)
        again = cache.through(plan).kept(0).positions
    assert np.array_equal(first, again)


# -- Kept ------------------------------------------------------------------------------------------------------------


def test_kept(plan: kvsieve.Plan) -> None:
    kept = plan.kept(0)
    assert kept.offsets.dtype == np.int64 and kept.offsets.shape == (KV_HEADS + 1,) and kept.offsets[0] == 0
    assert kept.positions.dtype == np.int32 and kept.positions.shape == (kept.total,)
    assert kept.counts.tolist() == [len(kept.head(head)) for head in range(KV_HEADS)]
    assert kept.longest == max(kept.counts) and kept.total == sum(kept.counts)
    assert kept.tokens == TOKENS
    for head in range(KV_HEADS):
        positions = kept.head(head)
        assert np.shares_memory(positions, kept.positions)
        assert np.all(np.diff(positions) > 0) and 0 <= positions[0] <= positions[-1] == TOKENS - 1


@pytest.mark.parametrize("head", [-1, KV_HEADS])
def test_no_such_head(head: int, plan: kvsieve.Plan) -> None:
    with pytest.raises(IndexError, match=f"head is {head}: expected 0 to {KV_HEADS - 1}"):
        plan.kept(0).head(head)


def test_kept_is_a_copy(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    before = (kept.offsets.tolist(), kept.positions.tolist())
    plan.reset()
    Cache(tokens=40).through(plan)
    plan.close()
    gc.collect()
    assert (kept.offsets.tolist(), kept.positions.tolist(), kept.tokens) == (*before, TOKENS)
    assert kept.positions.flags.owndata and kept.offsets.flags.owndata


def test_numbers_agree_with_the_library_s(plan: kvsieve.Plan) -> None:
    with plan._use() as handle:
        raw = plan._kept(handle, 0)
    kept = plan.kept(0)
    assert (raw.heads, raw.total, raw.longest, raw.tokens) == (KV_HEADS, kept.total, kept.longest, kept.tokens)


# -- Gather ----------------------------------------------------------------------------------------------------------


def expected_rows(kept: kvsieve.Kept, source: np.ndarray) -> np.ndarray:
    return np.concatenate([source[head][kept.head(head)] for head in range(KV_HEADS)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_gather_into_a_new_array(dtype: Any, plan: kvsieve.Plan, cache: Cache) -> None:
    source = cache.values[0].astype(dtype)
    small = plan.gather(0, source)
    assert small.dtype == source.dtype and small.shape == (plan.kept(0).total, DIM)
    assert np.array_equal(small, expected_rows(plan.kept(0), source))


def test_gather_of_values_of_another_width(plan: kvsieve.Plan) -> None:
    wide = noise(5, KV_HEADS, TOKENS, 24)
    assert np.array_equal(plan.gather(0, wide), expected_rows(plan.kept(0), wide))


def test_gather_packed(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.zeros((1, kept.total, DIM), np.float32)
    assert plan.gather(0, cache.keys[0], out=out) is out
    assert np.array_equal(out[0], expected_rows(kept, cache.keys[0]))


def test_gather_padded_leaves_the_rest_alone(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.full((KV_HEADS, kept.longest + 3, DIM), 7, np.float32)
    assert plan.gather(0, cache.keys[0], out=out) is out
    for head, count in enumerate(kept.counts):
        assert np.array_equal(out[head, :count], cache.keys[0][head][kept.head(head)])
        assert np.all(out[head, count:] == 7)


def test_gather_into_a_token_major_view(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.zeros((kept.longest, KV_HEADS, DIM), np.float32).transpose(1, 0, 2)
    plan.gather(0, cache.keys[0], out=out)
    assert np.array_equal(out[1, : kept.counts[1]], cache.keys[0][1][kept.head(1)])


@pytest.mark.parametrize("wrap", [lambda array: array, Legacy])
def test_gather_in_place(wrap: Any, plan: kvsieve.Plan, cache: Cache) -> None:
    kept, before = plan.kept(0), cache.keys[0].copy()
    array = wrap(cache.keys[0])
    assert plan.gather(0, array, out=array) is array
    for head, count in enumerate(kept.counts):
        assert np.array_equal(cache.keys[0][head, :count], before[head][kept.head(head)])
        assert np.array_equal(cache.keys[0][head, count:], before[head, count:])


def test_gather_from_dlpack_gives_numpy(plan: kvsieve.Plan, cache: Cache) -> None:
    source = Legacy(cache.keys[0].astype(ml_dtypes.bfloat16))
    small = plan.gather(0, source)
    assert type(small) is np.ndarray and np.array_equal(small, expected_rows(plan.kept(0), source.array))


def test_gather_refuses_a_target_of_another_kind(plan: kvsieve.Plan, cache: Cache) -> None:
    source, total = cache.keys[0], plan.kept(0).total
    refused("KVSIEVE_ERR_DTYPE", plan.gather, 0, source, np.zeros((1, total, DIM), np.float16))
    refused("KVSIEVE_ERR_SHAPE", plan.gather, 0, source, np.zeros((1, total - 1, DIM), np.float32))
    with pytest.raises(ValueError, match=r"out has shape \(\d+, 16\): expected three dimensions"):
        plan.gather(0, source, np.zeros((total, DIM), np.float32))
    locked = np.zeros((1, total, DIM), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only: expected memory that can be written"):
        plan.gather(0, source, locked)
    assert not locked.any()


def test_nothing_is_copied() -> None:
    """16 MB of tensors go through observe and gather; what Python and numpy allocate meanwhile is nothing beside it."""
    tokens, dim = 16384, 64
    model = kvsieve.Model(1, KV_HEADS, KV_HEADS, dim)
    queries, keys = noise(1, KV_HEADS, WINDOW, dim), noise(2, KV_HEADS, tokens, dim)
    token_major = keys.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    with kvsieve.Plan("dynamickv", model, budget=64, window=WINDOW) as plan:
        out = np.zeros((KV_HEADS, tokens, dim), np.float32)
        tracemalloc.start()
        try:
            plan.observe(0, queries, token_major, keys)
            plan.finish()
            plan.gather(0, Legacy(keys), out=out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 100_000 < keys.nbytes


# -- Life of a plan --------------------------------------------------------------------------------------------------


def test_a_closed_plan_says_so(cache: Cache) -> None:
    with fresh() as plan:
        assert "closed" not in repr(plan)
    plan.close()  # twice is fine
    calls: list[Any] = [
        plan.finish, plan.reset, lambda: plan.kept(0), lambda: plan.needs(0), lambda: plan["budget"],
        lambda: plan.observe(0, *cache.layer(0)), lambda: plan.gather(0, cache.keys[0]),
        lambda: plan.__setitem__("budget", 1),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(ValueError, match="the plan is closed"):
            call()
    assert repr(plan) == "<kvsieve.Plan dynamickv, closed>"


class Counted:
    """Stands before the library and counts the plans that are made and freed."""

    def __init__(self, real: Any) -> None:
        self.real, self.alive = real, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def kvsieve_plan_create(self, *arguments: Any) -> int:
        status = int(self.real.kvsieve_plan_create(*arguments))
        self.alive += status == 0
        return status

    def kvsieve_plan_destroy(self, handle: Any) -> None:
        self.alive -= 1
        self.real.kvsieve_plan_destroy(handle)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(_library.library())
    monkeypatch.setattr("kvsieve.plan.library", lambda: counted)
    return counted


def test_a_plan_is_freed_once(counted: Counted) -> None:
    plan = fresh()
    assert counted.alive == 1
    plan.close()
    plan.close()
    del plan
    assert counted.alive == 0
    plan = fresh()
    del plan
    gc.collect()
    assert counted.alive == 0


def test_a_plan_that_fails_to_be_made_is_freed(counted: Counted) -> None:
    refused("KVSIEVE_ERR_PARAMETER", kvsieve.Plan, "dynamickv", MODEL, budget=-1)
    refused("KVSIEVE_ERR_SHAPE", kvsieve.Plan, "dynamickv", kvsieve.Model(4, 5, 2, 16))
    assert counted.alive == 0


def test_a_plan_cannot_be_copied_or_pickled() -> None:
    with fresh() as plan:
        for call in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="neither copied nor pickled"):
                call(plan)


def test_errors_and_results_can_be_pickled(plan: kvsieve.Plan) -> None:
    error = refused("KVSIEVE_ERR_SHAPE", plan.kept, -1)
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.name, again.message) == (error.status, error.name, error.message)
    kept = pickle.loads(pickle.dumps(plan.kept(0)))
    assert np.array_equal(kept.positions, plan.kept(0).positions)


# -- Threads ---------------------------------------------------------------------------------------------------------


def test_calls_on_one_plan_wait_for_each_other(plan: kvsieve.Plan) -> None:
    started, done = threading.Event(), threading.Event()

    def other() -> None:
        started.set()
        plan.kept(0)
        done.set()

    thread = threading.Thread(target=other)
    with plan._use():
        thread.start()
        assert started.wait(10) and not done.wait(0.1)
    thread.join(10)
    assert done.is_set()


def test_a_plan_used_by_many_threads_gives_answers_or_errors(cache: Cache) -> None:
    """One thread goes through the plan's life again and again, and closes it at the end; others read meanwhile."""
    plan, stop, wrong = fresh(), threading.Event(), []
    right = cache.through(fresh()).kept(0).positions.tolist()

    def reader() -> None:
        while not stop.is_set():
            try:
                plan.kept(0)
                small = plan.gather(0, cache.keys[0])
                if small.shape != (len(right), DIM):
                    wrong.append(small.shape)
            except (kvsieve.KVSieveError, ValueError) as error:
                if not isinstance(error, kvsieve.KVSieveError) and str(error) != "the plan is closed":
                    wrong.append(error)

    threads = [threading.Thread(target=reader) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        plan.reset()
        cache.through(plan)
    plan.close()
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not wrong


def test_the_interpreter_is_free_during_a_call() -> None:
    """CDLL lets go of the interpreter lock; PyDLL, its subclass, would not."""
    assert isinstance(_library.library(), ctypes.CDLL) and not isinstance(_library.library(), ctypes.PyDLL)


def test_errors_are_per_thread(plan: kvsieve.Plan) -> None:
    errors: dict[int, str] = {}

    def ask(layer: int) -> None:
        for _ in range(200):
            errors[layer] = refused("KVSIEVE_ERR_SHAPE", plan.kept, layer).message
            assert str(layer) in errors[layer]

    threads = [threading.Thread(target=ask, args=(layer,)) for layer in (1001, 2002, 3003)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 3 and all(str(layer) in message for layer, message in errors.items())


# -- compress, and the example ---------------------------------------------------------------------------------------


def test_compress_is_plan_layer_by_layer(method: kvsieve.MethodInfo, cache: Cache) -> None:
    layers = kvsieve.compress(method.name, cache.queries, cache.keys, cache.values, **parameters(method))
    assert len(layers) == LAYERS
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        for number, layer in enumerate(layers):
            assert np.array_equal(layer.kept.positions, plan.kept(number).positions)
            assert np.array_equal(layer.keys, plan.gather(number, cache.keys[number]))
            assert np.array_equal(layer.values, plan.gather(number, cache.values[number]))


def test_compress_takes_words_and_none(cache: Cache) -> None:
    queries = [cache.queries[0], None, cache.queries[2], None]
    settings = {"budget": 64, "window": WINDOW, "size": 8, "shared": 2}
    layers = kvsieve.compress("windowkv", queries, list(cache.keys), list(cache.values), task="localization", **settings)
    assert np.array_equal(layers[0].kept.positions, layers[1].kept.positions)


def test_compress_has_the_scale(cache: Cache) -> None:
    settings: dict[str, Any] = {"budget": 64, "window": WINDOW}
    arrays = (cache.queries, cache.keys, cache.values)
    flat = kvsieve.compress("dynamickv", *arrays, scale=1e-3, **settings)[0].kept.positions
    assert not np.array_equal(flat, kvsieve.compress("dynamickv", *arrays, **settings)[0].kept.positions)


def test_compress_refuses_another_number_of_layers(cache: Cache) -> None:
    with pytest.raises(ValueError, match="queries, keys, values have 4, 3, 4 layers: expected the same number"):
        kvsieve.compress("dynamickv", cache.queries, cache.keys[:3], cache.values)
    with pytest.raises(ValueError, match="have 0, 0, 0 layers: .* at least 1"):
        kvsieve.compress("dynamickv", [], [], [])


def test_quickstart_prints_what_each_layer_kept(method: kvsieve.MethodInfo) -> None:
    example = Path(__file__).parents[1] / "examples" / "quickstart.py"
    command = [sys.executable, "-W", "error", str(example), method.name]
    environment = {"PYTHONPATH": str(Path(kvsieve.__file__).parents[1]), "KVSIEVE_LIBRARY": _library.find()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[-4:]] == [f"layer {number}" for number in range(4)]
    assert len(example.read_text().splitlines()) <= 40
