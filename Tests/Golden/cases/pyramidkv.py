"""PyramidKV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("eight layers, a steep pyramid", "8 4:2 64", 400, budget=72),
    case("P1 steps are whole: the mean exceeds C", "5 4:4 33", 260, budget=18, beta=3, pool=1, pool_kernel=5),
    case("no layer can have more than there is: T - W", "5 2:2 8", 25, budget=18, window=8, pool_kernel=3),
    case("T < 2 (C - W): uniform", "4 4:2 8", 90, budget=60, window=8),
    case("one layer", "1 8:2 33", 200, budget=40),
    case("beta 1: uniform", "3 3:3 8", 150, budget=30, beta=1, window=5, pool_kernel=1),
    case("beta is a decimal: floor(33 / 1.1) = 30", "2 4:2 33", 130, budget=41, beta=1.1),
    case("by ratio", "6 6:3 8", 300, ratio=0.29, window=13, beta=4.5),
    case("only the window: C = W", "3 2:1 8", 90, budget=8),
    case("kept whole: T = C", "2 4:2 8", 72, budget=72),
    case("own scale, bf16", "3 16:1 33", 300, budget=50, window=16, scale=0.1875, dtype="bf16"),
    case("two thousand tokens, f16", "3 4:1 64", 2000, budget=200, dtype="f16"),
]
