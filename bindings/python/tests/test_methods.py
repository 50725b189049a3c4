"""Methods, parameters and Model: each sentence of their docstrings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, Cache, fresh, refused

import kvsieve
from kvsieve import _library, _methods


def test_methods_are_the_library_s() -> None:
    known = kvsieve.methods()
    assert len(known) == _library.library().kvsieve_method_count() > 0
    assert len({method.name for method in known} | {method.id for method in known}) == 2 * len(known)
    for method in known:
        assert method.name and method.summary and method.paper and isinstance(method.decodes, bool)
        assert len({info.id for info in method.parameters}) == len(method.parameters) > 0
        for info in method.parameters:
            assert info.summary and info.lowest <= info.initial <= info.highest
            assert isinstance(info.initial, int) == (info.integral > 0)


def test_defaults_are_the_library_s(method: kvsieve.MethodInfo) -> None:
    with kvsieve.Plan(method.name, MODEL) as plan:
        assert {info.name: plan[info.name] for info in method.parameters} == {
            info.name: info.initial for info in method.parameters
        }


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("AhaKV", "ahakv"),
        ("Task-KV", "taskkv"),
        ("DynamicKV", "dynamickv"),
        ("Ada-KV", "adakv"),
        ("StreamingLLM", "streamingllm"),
    ],
)
def test_a_method_is_known_as_its_paper_writes_it(written: str, name: str) -> None:
    with kvsieve.Plan(written, MODEL) as plan:
        assert plan.method.name == name


def test_words_are_in_bounds() -> None:
    """The one mapping that Python has: every word is a value that the library knows."""
    bounds = {info.name: (info.lowest, info.highest) for method in kvsieve.methods() for info in method.parameters}
    for name, words in _methods.CHOICES.items():
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
        with kvsieve.Plan(
            "dynamickv", kvsieve.Model(LAYERS, QUERY_HEADS, KV_HEADS, DIM, scale), budget=64, window=8
        ) as p:
            chosen.append(cache.through(p).kept(0).positions.tolist())
    assert chosen[0] == chosen[1] != chosen[2]
