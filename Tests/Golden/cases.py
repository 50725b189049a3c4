"""The golden cases: per method, shapes and parameters that reach each rule and decision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Case:
    method: str
    name: str
    layers: int
    query_heads: int
    kv_heads: int
    head_dim: int
    tokens: int
    parameters: dict[str, float]
    scale: float = 0  # 0: 1/sqrt(D)
    dtype: str = "f32"
    zero: str = ""


DEFAULTS: dict[str, dict[str, float]] = {
    "ahakv": dict(budget=1024, window=32, pool_kernel=7, gain_floor=0, sinks=0, decoding=0),
    "taskkv": dict(ratio=0.5, window=32, pool_kernel=7, beta=0.25, top=1, sinks=16, recent=256, tokens=256),
    "windowkv": dict(budget=1024, window=16, task=0, size=8, shared=8, pyramid=14, charge=0),
    "dynamickv": dict(budget=1024, window=8, pool_kernel=7, pool=0, cap=10, every=4),
    "h2o": dict(budget=1024, recent_ratio=0.5, decoding=0),
}


def case(method: str, name: str, shape: str, tokens: int, /, **given: object) -> Case:
    """shape: "L Hq:H D". What is not a field of Case is a parameter."""
    layers, heads, dim = shape.split()
    query_heads, kv_heads = heads.split(":")
    options = {key: given.pop(key) for key in ("scale", "dtype", "zero") if key in given}
    unknown = set(given) - set(DEFAULTS[method])
    assert not unknown, unknown
    parameters = {**DEFAULTS[method], **given}
    return Case(method, name, int(layers), int(query_heads), int(kv_heads), int(dim), tokens, parameters, **options)


CASES = [
    case("ahakv", "group of four", "2 8:2 64", 600, budget=160),
    case("ahakv", "A9 sinks, A2 floor of a half", "1 1:1 8", 97, budget=40, window=9, pool_kernel=5, gain_floor=0.5, sinks=3),
    case("ahakv", "A1 rows at and below the budget are flat", "3 3:3 33", 210, budget=200),
    case("ahakv", "A2 never flatter than the model", "2 16:1 33", 210, budget=200, gain_floor=1),
    case("ahakv", "kept whole: T = C", "2 4:2 8", 128, budget=128),
    case("ahakv", "kept whole: T below the window", "1 4:1 8", 20, budget=32),
    case("ahakv", "A6 no values, no prior: ties to the first", "1 4:2 8", 90, budget=50, window=8, zero="values"),
    case("ahakv", "two thousand tokens, f16", "1 4:1 64", 2000, budget=256, dtype="f16"),
    case("ahakv", "A6 unpooled norms, own scale, bf16", "2 4:4 33", 301, budget=99, window=5, pool_kernel=1, sinks=4,
         scale=0.1875, dtype="bf16"),
    case("ahakv", "A6 kernel as wide as the window allows", "1 2:1 64", 260, budget=70, pool_kernel=63),
    case("ahakv", "only the recent tokens: C = r", "2 2:1 8", 100, budget=32),

    case("taskkv", "eight heads", "4 8:8 33", 300, window=16, sinks=8, recent=40, tokens=64),
    case("taskkv", "T1 four heads of four queries", "5 16:4 64", 600, ratio=0.7, beta=0.5, recent=64),
    case("taskkv", "one layer, one head, f = 0", "1 16:1 8", 300, sinks=4, recent=100, window=9, tokens=30),
    case("taskkv", "T2 f = 1 is the farthest", "2 4:4 33", 260, window=8, sinks=3, recent=31, tokens=20),
    case("taskkv", "T3 f falls by whole heads", "8 6:6 8", 130, ratio=0.9, beta=0.85, top=0, window=7, sinks=2, recent=9, tokens=10),
    case("taskkv", "T4 the budget lowers f", "3 8:8 8", 200, ratio=0.45, beta=0.75, top=4, window=8, sinks=4, recent=20, tokens=50),
    case("taskkv", "T4 down to none", "3 4:4 33", 200, ratio=0.15, beta=0.5, top=2, window=8, sinks=4, recent=20, tokens=50),
    case("taskkv", "f is within 0 and H, then T4", "3 4:4 64", 150, ratio=0.8, beta=1, top=9, window=8, sinks=4, recent=20, tokens=50),
    case("taskkv", "kept whole: T = sinks + recent", "2 4:2 8", 272),
    case("taskkv", "kept whole: T below the window", "2 4:2 8", 12, window=16, sinks=2, recent=4),
    case("taskkv", "kept whole: ratio 1", "2 4:4 8", 64, ratio=1, window=8, sinks=4, recent=10, tokens=5),
    case("taskkv", "nothing protected, unpooled, t above T, own scale, bf16", "2 3:3 33", 120, window=11, sinks=0, recent=0,
         pool_kernel=1, beta=0.4, scale=0.25, dtype="bf16"),
    case("taskkv", "two thousand tokens, f16", "1 8:8 64", 2000, ratio=0.3, dtype="f16"),

    case("windowkv", "localization, four groups", "8 8:2 64", 600, budget=150, shared=2, pyramid=5),
    case("windowkv", "W8 aggregation, a short last group", "8 4:4 33", 420, budget=128, task=1, shared=3, pyramid=7, size=16, window=32),
    case("windowkv", "W4 the window is charged", "4 4:2 8", 333, budget=90, shared=2, pyramid=3, charge=1),
    case("windowkv", "W8 one group: uniform", "4 4:1 33", 333, budget=77, window=9, size=5),
    case("windowkv", "W9 aggregation of sixteen query heads, short last window, real lambda", "6 16:1 33", 402, budget=101, task=1,
         shared=2, pyramid=4.5, size=7, window=13),
    case("windowkv", "kept whole: T below the window", "2 4:2 8", 11, shared=1),
    case("windowkv", "the first groups keep all, the last chooses", "3 2:2 8", 150, budget=120, shared=1, pyramid=3, window=4),
    case("windowkv", "W5 a budget below one window leaves the last W", "4 2:1 64", 200, budget=40, shared=2, pyramid=14, size=32),
    case("windowkv", "windows of one token, aggregation, lambda = gamma", "3 4:2 8", 100, budget=30, task=1, size=1, shared=1, pyramid=1, window=7),
    case("windowkv", "two thousand tokens, f16, own scale", "2 4:2 64", 2000, budget=400, shared=1, pyramid=4, size=32, scale=0.25, dtype="f16"),
    case("windowkv", "bf16", "2 8:2 33", 250, budget=60, task=1, shared=1, pyramid=3, dtype="bf16"),

    case("dynamickv", "eight layers, mean pool", "8 4:2 64", 400, budget=72),
    case("dynamickv", "D7 a last update of its own, D13 max pool", "7 16:1 33", 350, budget=60, window=9, pool_kernel=5, pool=1, every=3),
    case("dynamickv", "D1 more than the layer still holds", "6 3:3 8", 200, budget=50, cap=1.5, every=2),
    case("dynamickv", "D2 kept whole: T = C", "2 4:2 8", 72, budget=72),
    case("dynamickv", "D2 kept whole: T below the window", "2 4:2 8", 6, budget=32),
    case("dynamickv", "D3 no share is whole: an even split", "8 1:1 8", 90, budget=9, pool_kernel=1, every=2),
    case("dynamickv", "D3 a cap too small to share", "6 4:4 8", 90, budget=9, cap=1, every=3),
    case("dynamickv", "all scores equal: ties to the lower layer, head, position", "4 4:2 8", 64, budget=20, pool=1, every=2, zero="queries"),
    case("dynamickv", "one layer, one head", "1 1:1 64", 300, budget=40, window=16, pool_kernel=3),
    case("dynamickv", "one update, candidates few", "4 8:2 33", 90, budget=80, every=9, scale=0.1875),
    case("dynamickv", "two thousand tokens, bf16", "3 4:2 64", 2000, budget=200, cap=5, every=1, pool=1, dtype="bf16"),
    case("dynamickv", "f16", "5 4:4 33", 260, budget=48, window=4, every=2, dtype="f16"),

    case("h2o", "group of four", "2 8:2 64", 300, budget=80),
    case("h2o", "more rows than go together, own scale, bf16", "1 4:4 33", 211, budget=50, recent_ratio=0.25, scale=0.25, dtype="bf16"),
    case("h2o", "H1 one recent token at least, f16", "2 2:1 8", 90, budget=30, recent_ratio=0, dtype="f16"),
    case("h2o", "only recent tokens", "1 4:2 8", 70, budget=16, recent_ratio=1),
    case("h2o", "kept whole: T = C", "2 4:2 8", 40, budget=40),
]
