"""A collective that fails, or delivers something else than the ranks have sent, in any round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from joining_engine import HEADS, KEPT, LAYERS, PARTS, WHOLE, kept, observe, one, run
from ranks import Threads, joined

import kvsieve
from kvsieve._library import library


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
    """ "all_gather failed, or what it delivered is not what the ranks sent"; "Every plan is as it was\""""
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


WORDS = [0, -1, 2**63 - 1, -(2**63)]


@pytest.mark.parametrize("value", WORDS)
@pytest.mark.parametrize("rank", [0, 1])
def test_headers_with_any_wrong_word(rank: int, value: int) -> None:
    """Each word of what a rank tells first, also of rank 0, which no other was compared with yet."""
    for word in range(19):  # another rank cannot know of the words behind: it would wait for the next round
        at = 256 + 8 * word

        def spoil(_: int, current: int, receive: Any, at: int = at) -> None:
            if current == 0 and at + 8 <= len(receive) // 2:
                begin = rank * (len(receive) // 2) + at
                receive[begin : begin + 8] = np.array([value], np.int64).view(np.uint8)

        group = Threads(2, spoil)
        plans = [
            joined(one("snapkv", part), PARTS, number, group.all_gather(number)) for number, part in enumerate(PARTS)
        ]
        for plan, part in zip(plans, PARTS):
            observe(plan, part)
        for result in run(plans, group):
            assert result is None or result.name.startswith("KVSIEVE_ERR_"), (word, result)


INSIDE: dict[str, Callable[[Any], Any]] = {
    "finish": lambda plan: plan.finish(),
    "reset": lambda plan: plan.reset(),
    "extend": lambda plan: plan.extend(4),
    "kept": lambda plan: plan.kept(0),
    "set": lambda plan: plan.__setitem__("budget", 3),
}


@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("name", [*INSIDE, "close"])
def test_the_plan_is_called_from_its_collective(name: str, call: int) -> None:
    """ "must not call the plan: KVSIEVE_ERR_STATE; kvsieve_plan_destroy() of it does nothing there"."""
    group = Threads(2)
    plans: list[kvsieve.Plan] = []
    seen: list[str] = []

    def gather_of(rank: int) -> Callable[[Any, Any], None]:
        inner = group.all_gather(rank)

        def gather(send: Any, receive: Any) -> None:
            inner(send, receive)
            if len(group.sent[rank]) - 1 != call:
                return
            if name == "close":
                with plans[rank]._use() as handle:
                    library().kvsieve_plan_destroy(handle)
                return
            with pytest.raises(kvsieve.KVSieveError, match="called from its own all_gather") as raised:
                INSIDE[name](plans[rank])
            seen.append(raised.value.name)

        return gather

    for rank, part in enumerate(PARTS):
        plans.append(joined(one("snapkv", part), PARTS, rank, gather_of(rank)))
    for plan, part in zip(plans, PARTS):
        observe(plan, part)
    assert run(plans, group) == [None, None]
    assert seen == ([] if name == "close" else ["KVSIEVE_ERR_STATE"] * 2)
    expected = observe(one("snapkv", WHOLE), WHOLE)
    expected.finish()
    for plan, part in zip(plans, PARTS):
        for index, layer in enumerate(part.layers):
            for place, head in enumerate(part.heads):
                assert np.array_equal(plan.kept(index).head(place), expected.kept(layer).head(head))
