"""Writes Tests/Golden/<method>.json: what each method must keep of seeded caches. numpy only.

    python3 make_golden.py            checks the references by hand-worked numbers and rewrites the files
    python3 make_golden.py --check    computes all again; exits 1 where the committed files differ

How the caches are made: seeded.py. The methods: references.py, which looks at no Swift code. What is computed: cases.py.

A case of a file: {name, seed, model {layers, query_heads, kv_heads, head_dim, scale}, tokens, window (rows of queries),
dtype, zero, parameters, margin, kept}. `kept` is one list a layer, of one list a head: [gap, count, gap, count ...],
`gap` positions dropped, then `count` kept; a list that would repeat the previous one (head by head, layer by layer) is the
number 0 in its place. `margin`: the smallest relative gap between the last kept and the first dropped score in any
ranking that decided something; null where none did. The seed is the first from the CRC-32 of the case's name up whose
margin is above 2e-5: float32 noise cannot flip such a ranking.
"""

from __future__ import annotations

import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np

from cases import CASES, Case
from references import METHODS, Gaps, Kept, divide, pool, taskkv_counts, windowkv_budgets
from seeded import make_cache, splitmix64

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


def compact(kept: Kept) -> list:
    previous, layers = None, []
    for layer in kept:
        heads: list = []
        for positions in layer:
            code = encoded(positions)
            heads.append(0 if code == previous else code)
            previous = code
        layers.append(heads)
    return layers


def solve(case: Case, first_seed: int) -> dict:
    rows = min(int(case.parameters.get("window", case.tokens)), case.tokens)
    for seed in range(first_seed, first_seed + 200):
        cache = make_cache(seed, case.layers, case.query_heads, case.kv_heads, case.head_dim, case.tokens, rows,
                           scale=case.scale, dtype=case.dtype, zero=case.zero)
        gaps = Gaps()
        kept = METHODS[case.method](cache, case.parameters, gaps)
        if gaps.smallest > LEAST_MARGIN:
            break
    else:
        raise SystemExit(f"{case.method}, {case.name}: no seed with a margin above {LEAST_MARGIN}")
    model = dict(layers=case.layers, query_heads=case.query_heads, kv_heads=case.kv_heads, head_dim=case.head_dim,
                 scale=case.scale)
    return dict(name=case.name, seed=seed, model=model, tokens=case.tokens, window=rows, dtype=case.dtype, zero=case.zero,
                parameters=case.parameters, margin=None if math.isinf(gaps.smallest) else float(f"{gaps.smallest:.3g}"),
                kept=compact(kept))


def written(cases: list[dict]) -> str:
    """One case a line."""
    return "[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n"


def same(a: dict, b: dict) -> bool:
    """Equal but for the last digits of the margin, which depend on the machine's exp."""
    margins = [case["margin"] for case in (a, b)]
    close = margins[0] == margins[1] or (None not in margins and math.isclose(*margins, rel_tol=0.02))
    return close and {**a, "margin": 0} == {**b, "margin": 0}


def self_check() -> None:
    """Numbers that papers print or that were worked by hand."""
    assert [hex(int(x)) for x in splitmix64(1234567, 0, 2)] == ["0x599ed017fb08fc85", "0x2c73f08458540fa5"]
    assert windowkv_budgets(2048, 32, 8, 14) == [2926, 2341, 1756, 1170]
    assert windowkv_budgets(512, 32, 8, 14) == [732, 586, 440, 292]
    assert windowkv_budgets(2048, 28, 7, 14) == [3072, 2390, 1708, 1024]
    assert windowkv_budgets(77, 4, 8, 14) == [77]
    assert list(pool(np.array([3.0, 0, 6, 9]), 3)) == [1, 3, 5, 5]
    assert list(pool(np.array([3.0, 0, 6, 9]), 3, True)) == [3, 6, 9, 9]
    # Task-KV, Llama-2 (beta 0.25, m 4) and eight heads (beta 0.3, m 1), all slots there are: f at both ends.
    plenty = dict(sinks=16, recent=256)
    assert [taskkv_counts(l, 32, 32, 4096, 32 * 4096, dict(plenty, beta=0.25, top=4))[0] for l in (0, 31)] == [8, 4]
    assert [taskkv_counts(l, 32, 8, 4096, 8 * 4096, dict(plenty, beta=0.3, top=1))[0] for l in (0, 31)] == [2, 1]
    # 8 heads, N 1000, B 4000, f 2: (4000 - 2000) / 6 = 333, less 272.
    assert taskkv_counts(0, 1, 8, 1000, 4000, dict(plenty, beta=0.25, top=1)) == (2, 61)
    # T4, B 3000: f = 2 leaves 166 < 272; floor((3000 - 8 * 272) / 728) = 1; (3000 - 1000) / 7 - 272 = 13.
    assert taskkv_counts(0, 1, 8, 1000, 3000, dict(plenty, beta=0.25, top=1)) == (1, 13)
    # DynamicKV, base 10, 2 heads, 4 layers, 2 seen: 30 and 10 of 40 places, c = 15, 5, x = 75, 25 of a cap of 100, r = 2.5.
    assert divide(np.array([30, 10]), 10, 2, 4, 100) == [30, 10]
    # The last layer takes what the floors of c left: 4, 4, 4 places, base 4, 1 head: c = 1, 1, 1 + 1; x = 2, 2, 5; r = 9 / 12.
    assert divide(np.array([4, 4, 4]), 4, 1, 3, 10) == [2, 2, 8]
    # D3: two layers with one place each of two: c = 0, 0, so 8 slots are split evenly; with three, the newest has the rest.
    assert divide(np.array([1, 1]), 1, 1, 8, 10) == [4, 4]
    assert divide(np.array([1, 1, 1]), 1, 1, 8, 10) == [2, 2, 4]
    assert encoded([0, 1, 2, 5, 6, 9]) == [0, 3, 2, 2, 2, 1]


def main() -> int:
    self_check()
    check = "--check" in sys.argv[1:]
    failures = 0
    for method in METHODS:
        path = FOLDER / f"{method}.json"
        cases = [solve(case, zlib.crc32(case.name.encode())) for case in CASES if case.method == method]
        if not check:
            path.write_text(written(cases))
            margins = [case["margin"] for case in cases if case["margin"] is not None]
            print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes, least margin {min(margins)}")
            continue
        committed = {case["name"]: case for case in json.loads(path.read_text())} if path.exists() else {}
        for case in cases:
            if case["name"] not in committed or not same(case, committed.pop(case["name"])):
                failures += 1
                print(f"{path.name}: {case['name']} (seed {case['seed']}) is not what is committed")
        for name in committed:
            failures += 1
            print(f"{path.name}: {name} is committed, and no case")
    if check:
        print(f"{len(CASES) + 1 - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
