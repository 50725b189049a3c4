"""The Python package with arrays of every kind (forms.py), wrong and right, in kvsieve.Plan, gather and compress.

Right ones give what contiguous copies give; wrong ones raise TypeError, ValueError or KVSieveError, and nothing else has happened:
the same plan then goes on with right ones, and a target is as it was. A process that ends is a failure (trials.py).

    arrays.py [SEEDS [FIRST]]    seeds for each method and dtype, from FIRST on
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import ml_dtypes
import numpy as np

import kvsieve
import trials
from Fuzz.forms import RIGHT, WRONG, Form, Numbers

DOCUMENTED = (TypeError, ValueError, kvsieve.KVSieveError)
DTYPES: dict[str, Any] = {
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "float8": ml_dtypes.float8_e4m3fn,
}


class Trial:
    """One prompt of one method, in a plan that is disturbed."""

    def __init__(self, method: str, dtype: str, seed: int) -> None:
        self.rng = np.random.default_rng([seed, len(method), sum(method.encode()), len(dtype)])
        self.count: Counter[str] = Counter()
        self.method = method
        heads, group, dim, tokens = (
            int(self.rng.integers(low, high)) for low, high in ((1, 4), (1, 3), (1, 19), (2, 60))
        )
        self.model = kvsieve.Model(int(self.rng.integers(1, 4)), heads * group, heads, dim)
        self.parameters = (
            {"budget": int(self.rng.integers(40, 50))}
            if method != "taskkv"
            else {"ratio": 0.9, "sinks": 1, "recent": 2}
        )
        shapes = (heads * group, tokens, dim), (heads, tokens, dim), (heads, tokens, int(self.rng.integers(1, 19)))
        self.layers = [
            {name: self.drawn(shape, DTYPES[dtype]) for name, shape in zip(("queries", "keys", "values"), shapes)}
            for _ in range(self.model.layers)
        ]

    def plan(self) -> kvsieve.Plan:
        return kvsieve.Plan(self.method, self.model, **self.parameters)

    def drawn(self, shape: tuple[int, ...], dtype: Any) -> Numbers:
        return self.rng.standard_normal(shape, np.float32).astype(dtype)

    def form(self, forms: dict[str, Form], array: Numbers) -> tuple[str, Any]:
        """One of them that there is of this array."""
        while True:
            name = str(self.rng.choice(list(forms)))
            made = forms[name](array, self.rng)
            if made is not None:
                return name, made

    def refused(self, what: str, call: Any, *arguments: Any, **keywords: Any) -> None:
        self.count["refused"] += 1
        try:
            call(*arguments, **keywords)
        except DOCUMENTED as error:
            if not str(error):
                raise AssertionError(f"{what}: {type(error).__name__} without a word") from error
            return
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        raise AssertionError(f"{what} was taken")

    def observe_wrongly(self, plan: kvsieve.Plan, layer: int, reads: frozenset[str]) -> None:
        """One of the arrays that are read is wrong; of keys whose shape alone counts not every fault is one."""
        names = sorted(reads & {"queries", "keys", "values"})
        if not names:
            return
        name = str(self.rng.choice(names))
        fault, made = self.form(WRONG, self.layers[layer][name])
        self.refused(f"observe with {name}: {fault}", plan.observe, layer, **{**self.layers[layer], name: made})
        number = [-1, self.model.layers, 2**31, 2**70, 0.5, "0", None, np.float32(0), [0]][int(self.rng.integers(9))]
        self.refused(f"observe of layer {number!r}", plan.observe, number, **self.layers[layer])

    def observe(self, plan: kvsieve.Plan, disturbed: bool) -> None:
        for layer, arrays in enumerate(self.layers):
            reads = plan.needs(layer)
            given: dict[str, Any] = dict(arrays)
            if disturbed:
                for _ in range(int(self.rng.integers(3))):
                    self.observe_wrongly(plan, layer, reads)
                for name, array in arrays.items():
                    _, given[name] = self.form(RIGHT, array)
                    self.count["right arrays"] += 1
                    if name not in reads and not (name == "keys" and "length" in reads) and self.rng.integers(2):
                        given[name] = None
            plan.observe(layer, **given)
        plan.finish()

    def expect(self, holds: Any, what: str) -> None:
        if not holds:
            raise AssertionError(what)

    def gather(self, plan: kvsieve.Plan, layer: int) -> None:
        source = self.layers[layer]["values"]
        kept = plan.kept(layer)
        rows = [source[head][kept.rows[kept.offsets[head] : kept.offsets[head + 1]]] for head in range(len(source))]
        expected = np.concatenate(rows)
        name, made = self.form(RIGHT, source)
        found = plan.gather(layer, made)
        self.expect(np.asarray(found).tobytes() == expected.tobytes(), f"gather of {name}")
        out = np.zeros((1, kept.total + 1, source.shape[2]), source.dtype)
        fault, wrong = self.form(WRONG, source)
        self.refused(f"gather of {fault}", plan.gather, layer, wrong, out)
        targets: dict[str, Any] = {
            "read-only": RIGHT["read-only"](out, self.rng),
            "too small": out[:, : kept.total - 1],
            "narrower": out[..., :-1],
            "of numbers": out.astype(np.float64),
            "of another rank": out[0, 0],
            "in reverse": out[:, ::-1],
            "no array": out.tolist(),
            "over its source": source[:, 1:],
        }
        fault = str(self.rng.choice(list(targets)))
        before = source.tobytes()
        if fault != "over its source" or source.shape[1] > 1:
            self.refused(f"gather to a target {fault}", plan.gather, layer, source, targets[fault])
        self.expect(not out.any() and source.tobytes() == before, f"a target {fault} was written")
        view = np.zeros((3, kept.total + 4, source.shape[2] + 3), source.dtype)[1:2, 2:, 1:-2]
        self.expect(plan.gather(layer, source, view) is view, "gather returns its target")
        self.expect(
            view[0, : kept.total].tobytes() == expected.tobytes() and not view[0, kept.total :].any(), "another target"
        )

    def compress(self, plan: kvsieve.Plan) -> None:
        """The same in one call, and with one array that is wrong."""
        layers = {name: [arrays[name] for arrays in self.layers] for name in ("queries", "keys", "values")}
        made = {name: [self.form(RIGHT, array)[1] for array in arrays] for name, arrays in layers.items()}
        small = kvsieve.compress(self.method, made["queries"], made["keys"], made["values"], **self.parameters)
        for layer in range(self.model.layers):
            self.expect(
                np.array_equal(small[layer].kept.positions, plan.kept(layer).positions),
                f"compress keeps others in layer {layer}",
            )
        fault, wrong = self.form(WRONG, layers["keys"][0])
        given = [layers["queries"], [wrong, *layers["keys"][1:]], layers["values"]]
        self.refused(f"compress with keys: {fault}", kvsieve.compress, self.method, *given, **self.parameters)

    def numbers(self, plan: kvsieve.Plan) -> None:
        """Numbers that are none, or not of what is asked for."""
        wrong: list[Any] = [-1, 10**6, 2**40, 2**80, 1.5, "1", None, [], float("nan"), object()]
        calls: list[Any] = [
            plan.kept,
            plan.needs,
            plan.report,
            lambda n: plan.ranges(0, n),
            lambda n: plan.slots(n, 0),
            plan.extend,
        ]
        number, call = wrong[int(self.rng.integers(len(wrong)))], int(self.rng.integers(len(calls)))
        # None is all layers of a report, and 10**6 tokens can be a round.
        if (call, number) not in {(2, None), (5, 10**6)} if not isinstance(number, list) else True:
            self.refused(f"call {call} with {number!r}", calls[call], number)


def task(case: trials.Case) -> trials.Outcome:
    trial = Trial(*case)
    with trial.plan() as plain, trial.plan() as plan:
        trial.observe(plain, False)
        trial.observe(plan, True)
        for layer in range(trial.model.layers):
            trial.expect(np.array_equal(plan.kept(layer).positions, plain.kept(layer).positions), "another choice")
            trial.gather(plan, layer)
        trial.numbers(plan)
        trial.compress(plain)
    return trial.count, None


def main() -> int:
    seeds, first = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 8), (2, 0)))
    print(f"seeds {first} ... {first + seeds - 1}", flush=True)
    methods = [method.name for method in kvsieve.methods()]
    return trials.run(task, [(m, d, seed) for m in methods for d in DTYPES for seed in range(first, first + seeds)])


if __name__ == "__main__":
    sys.exit(main())
