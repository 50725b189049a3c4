"""When a plan is freed, and which threads may use it until then."""

from __future__ import annotations

import copy
import ctypes
import gc
import pickle
import threading
from typing import Any

import numpy as np
import pytest
from conftest import DIM, MODEL, Cache, fresh, refused

import kvsieve
from kvsieve import _library


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
    """Wraps the library and counts the plans that are made and freed."""

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
    monkeypatch.setattr("kvsieve._handle.library", lambda: counted)
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
