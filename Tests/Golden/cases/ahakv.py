"""AhaKV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("group of four", "2 8:2 64", 600, budget=160),
    case("A9 sinks, A2 floor of a half", "1 1:1 8", 97, budget=40, window=9, pool_kernel=5, gain_floor=0.5, sinks=3),
    case("A1 rows at and below the budget are flat", "3 3:3 33", 210, budget=200),
    case("A2 never flatter than the model", "2 16:1 33", 210, budget=200, gain_floor=1),
    case("kept whole: T = C", "2 4:2 8", 128, budget=128),
    case("kept whole: T below the window", "1 4:1 8", 20, budget=32),
    case("A6 no values, no prior: ties to the first", "1 4:2 8", 90, budget=50, window=8, zero="values"),
    case("two thousand tokens, f16", "1 4:1 64", 2000, budget=256, dtype="f16"),
    case(
        "A6 unpooled norms, own scale, bf16",
        "2 4:4 33",
        301,
        budget=99,
        window=5,
        pool_kernel=1,
        sinks=4,
        scale=0.1875,
        dtype="bf16",
    ),
    case("A6 kernel as wide as the window allows", "1 2:1 64", 260, budget=70, pool_kernel=63),
    case("only the recent tokens: C = r", "2 2:1 8", 100, budget=32),
    case("A12 scores pooled by the mean", "2 8:2 64", 300, budget=80, score_kernel=5),
    case("A12 by the maximum, sinks", "2 4:4 33", 260, budget=70, window=9, score_kernel=7, pool=1, sinks=3),
    case("by ratio: gain by C(N)", "2 4:2 33", 300, ratio=0.29, window=9),
]
