"""Writes Tests/Golden/<method>.json: what each method must keep of seeded caches, by its reference (Tests/reference); and
Sources/KVSieveSelfCheck/StoredAnswers.swift (self_check.py).

    make_golden.py            rewrites the files
    make_golden.py --check    computes all again; exits 1 where the committed files differ, and where a method of the library has
                              no cases or other parameters than its reference

How the caches are made: seeded.py. What is computed: cases/<method>.py.

A case of a file: {name, seed, model {layers, query_heads, kv_heads, head_dim, scale}, tokens, window (rows of queries),
dtype, zero, parameters, margin, kept}. `kept` is one list a layer, of one list a head: [gap, count, gap, count ...],
`gap` positions dropped, then `count` kept; a list that would repeat the previous one (head by head, layer by layer) is the
number 0 in its place. `margin`: the smallest relative gap between the last kept and the first dropped score in any
ranking that decided something; null where none did. The seed is the first from the CRC-32 of the case's name up whose
margin is above 2e-5: float32 noise cannot flip such a ranking.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import importlib
import json
import math
import zlib
from typing import Any

import kvsieve
from Golden import self_check
from Golden.case import Case
from Golden.case import case as golden_case
from Golden.seeded import make_cache
from reference import SAME_FOR_ALL
from reference.by_name import reference
from reference.caches import Kept
from reference.sequence import Sequence

FOLDER = Path(__file__).resolve().parent
LEAST_MARGIN = 2e-5


def encoded(positions: list[int]) -> list[int]:
    """Ascending positions as [gap, count, gap, count ...]."""
    out: list[int] = []
    end = 0
    for position in positions:
        if out and position == end:
            out[-1] += 1
        else:
            out += [position - end, 1]
        end = position + 1
    return out


def compact(kept: Kept) -> list[list[Any]]:
    previous: list[int] = []
    layers = []
    for layer in kept:
        heads: list[Any] = []
        for positions in layer:
            code = encoded(positions)
            heads.append(0 if code == previous else code)
            previous = code
        layers.append(heads)
    return layers


def solve(method: str, case: Case) -> dict[str, Any]:
    known = reference(method)
    unknown = set(case.parameters) - set(known.DEFAULTS)
    assert not unknown, (method, case.name, unknown)
    p = {**known.DEFAULTS, **case.parameters}
    rows = min(int(p.get("window", case.tokens)), case.tokens)
    first = zlib.crc32(case.name.encode())
    for seed in range(first, first + 200):
        cache = make_cache(
            seed,
            case.layers,
            case.query_heads,
            case.kv_heads,
            case.head_dim,
            case.tokens,
            rows,
            scale=case.scale,
            dtype=case.dtype,
            zero=case.zero,
        )
        sequence = Sequence(known.choose, case.layers, case.kv_heads, cache.scale, p)
        sequence.append(list(cache.k), list(cache.v))
        kept = sequence.choose(list(cache.q))
        if sequence.gap > LEAST_MARGIN:
            break
    else:
        raise SystemExit(f"{method}, {case.name}: no seed with a margin above {LEAST_MARGIN}")
    model = dict(
        layers=case.layers,
        query_heads=case.query_heads,
        kv_heads=case.kv_heads,
        head_dim=case.head_dim,
        scale=case.scale,
    )
    return dict(
        name=case.name,
        seed=seed,
        model=model,
        tokens=case.tokens,
        window=rows,
        dtype=case.dtype,
        zero=case.zero,
        parameters=p,
        margin=None if math.isinf(sequence.gap) else float(f"{sequence.gap:.3g}"),
        kept=compact(kept),
    )


def written(cases: list[dict[str, Any]]) -> str:
    """One case a line."""
    return "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Equal but for the last digits of the margin, which depend on the machine's exp."""
    margins = [case["margin"] for case in (a, b)]
    close = margins[0] == margins[1] or (None not in margins and math.isclose(*margins, rel_tol=0.02))
    return close and {**a, "margin": 0} == {**b, "margin": 0}


def of_method(method: str) -> list[dict[str, Any]]:
    cases: list[Case] = importlib.import_module(f"Golden.cases.{method}").CASES
    return [solve(method, case) for case in cases]


def answers(methods: list[str]) -> str:
    """The text of StoredAnswers.swift."""
    solved = {}
    for method in methods:
        one = golden_case("self-check", self_check.SHAPE, self_check.TOKENS, ratio=self_check.RATIO)
        few = [name for name in ("recent", "semantic") if name in reference(method).DEFAULTS]
        one.parameters.update(dict.fromkeys(few, self_check.FEW))
        solved[method] = solve(method, one)
    return self_check.written(solved)


def library_differs(methods: list[str]) -> list[str]:
    """How the library's methods and parameters are others than those of the references."""
    wrong = []
    for info in kvsieve.methods():
        if info.name not in methods:
            wrong.append(f"{info.name} has no golden: expected Tests/Golden/cases/{info.name}.py")
            continue
        theirs = {each.name: each.initial for each in info.parameters if each.name not in SAME_FOR_ALL}
        if theirs != reference(info.name).DEFAULTS:
            wrong.append(f"{info.name} has the parameters {theirs}, its reference {reference(info.name).DEFAULTS}")
    return wrong


def file_differs(method: str, cases: list[dict[str, Any]]) -> list[str]:
    """How the committed file is another."""
    path = FOLDER / f"{method}.json"
    committed = {case["name"]: case for case in json.loads(path.read_text())} if path.exists() else {}
    wrong = []
    for case in cases:
        if case["name"] not in committed or not same(case, committed.pop(case["name"])):
            wrong.append(f"{path.name}: {case['name']} (seed {case['seed']}) is not what is committed")
    return wrong + [f"{path.name}: {name} is committed, and no case" for name in committed]


def main() -> int:
    methods = sorted(path.stem for path in (FOLDER / "cases").glob("[a-z]*.py"))
    if "--check" in sys.argv[1:]:
        found = {method: of_method(method) for method in methods}
        tests = sum(map(len, found.values())) + len(kvsieve.methods()) + 1
        wrong = [] if self_check.FILE.read_text() == answers(methods) else [f"{self_check.FILE.name} is another"]
        wrong += library_differs(methods) + [each for method in methods for each in file_differs(method, found[method])]
        print(*wrong, f"{tests - len(wrong)} passed, {len(wrong)} failed", sep="\n")
        return 1 if wrong else 0
    self_check.FILE.write_text(answers(methods))
    for method in methods:
        path, cases = FOLDER / f"{method}.json", of_method(method)
        path.write_text(written(cases))
        margins = [case["margin"] for case in cases if case["margin"] is not None]
        print(
            f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes, least margin {min(margins, default=None)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
