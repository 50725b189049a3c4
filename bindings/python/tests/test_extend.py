"""Plan.extend: when it may be called and what observe takes then; whatever is refused changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import KV_HEADS, LAYERS, WINDOW, refused
from extending_engine import KEYS, PROMPT, QUERIES, ROUNDS, VALUES, Engine
from registry import has, looked_at, read, sparing

import kvsieve


@pytest.fixture
def engine(method: kvsieve.MethodInfo) -> Engine:
    """A finished prompt, of every method in turn."""
    return Engine(method)


def undisturbed(engine: Engine, *rounds: int) -> list[Any]:
    """What a plan says that went through these rounds and nothing else."""
    other = Engine(engine.plan.method)
    return [other.go_on(m) for m in rounds][-1]


# -- when -------------------------------------------------------------------------------------------------------------


def test_before_finish(method: kvsieve.MethodInfo) -> None:
    engine, whole = Engine(method), Engine(method).state()
    engine.plan.reset()
    engine.tokens, engine.new = 0, PROMPT
    engine.books = [[[] for _ in range(KV_HEADS)] for _ in range(LAYERS)]
    for layer in range(LAYERS):
        assert "finish" in refused("KVSIEVE_ERR_STATE", engine.plan.extend, 4).message
        engine.observe(layer)
    refused("KVSIEVE_ERR_STATE", engine.plan.extend, 4)
    engine.finish(LAYERS)
    assert engine.state() == whole


@pytest.mark.parametrize("name", [method.name for method in kvsieve.methods() if method.decodes])
def test_a_plan_that_decodes(name: str) -> None:
    engine = Engine(name, decoding=1)
    before = engine.state()
    for m in (1, 0, 2**40):
        assert "step" in refused("KVSIEVE_ERR_STATE", engine.plan.extend, m).message
    assert engine.state() == before
    n = engine.plan.kept(0).longest + 1
    assert engine.plan.step(0, QUERIES[0][:, :1], KEYS[0][:, :n], VALUES[0][:, :n]).shape == (KV_HEADS, 1)


@pytest.mark.parametrize("tokens", [0, -1, 2**24, 2**31, 2**32 + 1, 2**63 - 1, -(2**63)])
def test_tokens_out_of_bounds(tokens: int, engine: Engine) -> None:
    before = engine.state()
    assert str(tokens) in refused("KVSIEVE_ERR_SHAPE", engine.plan.extend, tokens).message
    assert engine.state() == before
    own = engine.books[0][0]
    assert np.array_equal(engine.plan.gather(0, KEYS[0][:, :PROMPT])[: len(own)], KEYS[0][0, own])
    assert engine.go_on(3) == undisturbed(engine, 3)


def test_the_most_tokens(engine: Engine) -> None:
    """A head has at most 2^24 rows, as any tensor."""
    most = 2**24 - max(kept.longest for kept in engine.kept())
    assert str(most) in refused("KVSIEVE_ERR_SHAPE", engine.plan.extend, most + 1).message
    engine.plan.extend(most)
    engine.plan.reset()
    engine.begin()
    assert engine.go_on(3) == undisturbed(engine, 3)


@pytest.mark.parametrize(
    ("tokens", "kind"), [(1.5, TypeError), ("1", TypeError), (None, TypeError), (2**63, ValueError)]
)
def test_tokens_of_another_type(tokens: Any, kind: type[Exception], engine: Engine) -> None:
    with pytest.raises(kind, match="tokens is"):
        engine.plan.extend(tokens)
    assert engine.go_on(3) == undisturbed(engine, 3)


def test_what_waits_for_the_layers(engine: Engine) -> None:
    """Until finish: a parameter, another extend, finish, gather, slots, a layer that was not observed again."""
    engine.extend(12)
    for layer in range(LAYERS):
        refused("KVSIEVE_ERR_STATE", engine.plan.extend, 1)
        refused("KVSIEVE_ERR_STATE", engine.plan.finish)
        refused("KVSIEVE_ERR_STATE", engine.plan.__setitem__, "threads", 2)
        refused("KVSIEVE_ERR_STATE", engine.plan.gather, 0, engine.cut(0, KEYS))
        refused("KVSIEVE_ERR_STATE", engine.plan.slots, 0, 0)
        for other in range(layer, LAYERS):
            refused("KVSIEVE_ERR_STATE", engine.plan.kept, other)
        for other in {*range(LAYERS)} - {layer}:
            error = refused("KVSIEVE_ERR_STATE", engine.plan.observe, other, **engine.given(other))
            assert f"layer {other}" in error.message
        engine.observe(layer)
        assert engine.plan.kept(layer).tokens == PROMPT + 12
    refused("KVSIEVE_ERR_STATE", engine.plan.extend, 1)
    engine.finish(LAYERS)
    refused("KVSIEVE_ERR_STATE", engine.plan.finish)
    refused("KVSIEVE_ERR_STATE", engine.plan.__setitem__, "threads", 2)
    assert engine.state() == undisturbed(engine, 12)


def test_observe_after_finish_needs_extend(engine: Engine) -> None:
    engine.go_on(5)
    refused("KVSIEVE_ERR_STATE", engine.observe, 0)
    assert engine.go_on(7) == undisturbed(engine, 5, 7)


def test_a_closed_plan(engine: Engine) -> None:
    engine.plan.close()
    with pytest.raises(ValueError, match="the plan is closed"):
        engine.plan.extend(1)


# -- with what --------------------------------------------------------------------------------------------------------


def fewest(engine: Engine, m: int) -> int:
    """Query rows that are too few by one."""
    if "all_queries" in engine.plan.needs(0):
        return m - 1
    return min(WINDOW, m) - 1 if has(engine.plan.method, "window") else 0


CHANGES: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "too few rows": lambda rows, few: rows[:, rows.shape[1] - few :],
    "one row more": lambda rows, few: np.pad(rows, ((0, 0), (0, 1), (0, 0))),
    "one head": lambda rows, few: rows[:1],
    "far more than there are tokens": lambda rows, few: np.resize(rows, (len(rows), 2 * PROMPT, rows.shape[2])),
}


@pytest.mark.parametrize("m", [1, 5, 12])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["queries", "keys", "values"])
def test_shapes(name: str, change: str, m: int, engine: Engine) -> None:
    engine.extend(m)
    for layer in range(LAYERS):
        good = engine.given(layer)
        few = fewest(engine, m) if name == "queries" else good[name].shape[1] - 1
        bad = {**good, name: np.ascontiguousarray(CHANGES[change](good[name], few))}
        if name in looked_at(engine.plan.needs(layer)):
            assert name in refused("KVSIEVE_ERR_SHAPE", engine.plan.observe, layer, **bad).message
            engine.plan.observe(layer, **good)
        else:
            engine.plan.observe(layer, **bad)  # nobody looks
    engine.finish(LAYERS)
    assert engine.state() == undisturbed(engine, m)


def test_the_last_queries_are_enough(engine: Engine) -> None:
    for m in (3, 20):
        engine.extend(m)
        for layer in range(LAYERS):
            given = engine.given(layer)
            rows = fewest(engine, m) + 1
            engine.plan.observe(layer, **{**given, "queries": given["queries"][:, -rows:]})
        engine.finish(LAYERS)
    assert engine.state() == undisturbed(engine, 3, 20)


def test_what_is_not_needed_may_be_none(engine: Engine) -> None:
    for m in (3, 20):
        engine.extend(m)
        for layer in range(LAYERS):
            needs, given = engine.plan.needs(layer), engine.given(layer)
            for name in looked_at(needs):
                refused("KVSIEVE_ERR_NULL", engine.plan.observe, layer, **{**given, name: None})
            engine.plan.observe(layer, **sparing(needs, given))
        engine.finish(LAYERS)
    assert engine.state() == undisturbed(engine, 3, 20)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_a_number_in_a_row_of_its_own(bad: float, engine: Engine) -> None:
    """The last of each head's rows is read, and so is the last query; the plan is as before."""
    engine.extend(12)
    for layer in range(LAYERS):
        given, needs = engine.given(layer), engine.plan.needs(layer)
        for head, own in enumerate(engine.rows(layer)):
            places = {"queries": (head, -1), "keys": (head, len(own) - 1)}
            for name, place in places.items():
                if name in read(needs):
                    broken = {**given, name: given[name].copy()}
                    broken[name][place][3] = bad
                    refused("KVSIEVE_ERR_NONFINITE", engine.plan.observe, layer, **broken)
        engine.plan.observe(layer, **given)
    engine.finish(LAYERS)
    assert engine.state() == undisturbed(engine, 12)


@pytest.mark.parametrize("behind", [0.0, 1e38, np.inf, -np.inf])
def test_rows_behind_a_shorter_head_are_not_looked_at(behind: float) -> None:
    """They are NaN in all other tests."""
    engine, other, ragged = Engine("taskkv", beta=0.5), Engine("taskkv", beta=0.5), 0
    for m in ROUNDS:
        engine.extend(m)
        for layer in range(LAYERS):
            given = engine.given(layer)
            for head, own in enumerate(engine.rows(layer)):
                ragged += given["keys"].shape[1] > len(own)
                for name in ("keys", "values"):
                    given[name][head, len(own) :] = behind
            engine.plan.observe(layer, **given)
        engine.finish(LAYERS)
    assert ragged > 5
    assert engine.state() == [other.go_on(m) for m in ROUNDS][-1]
