"""WindowKV's golden cases."""
from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("localization, four groups", "8 8:2 64", 600, budget=150, shared=2, pyramid=5),
    case("W8 aggregation, a short last group", "8 4:4 33", 420, budget=128, task=1, shared=3, pyramid=7, size=16, window=32),
    case("W4 the window is charged", "4 4:2 8", 333, budget=90, shared=2, pyramid=3, charge=1),
    case("W8 one group: uniform", "4 4:1 33", 333, budget=77, window=9, size=5),
    case("W9 aggregation of sixteen query heads, short last window, real lambda", "6 16:1 33", 402, budget=101, task=1,
         shared=2, pyramid=4.5, size=7, window=13),
    case("kept whole: T below the window", "2 4:2 8", 11, shared=1),
    case("the first groups keep all, the last chooses", "3 2:2 8", 150, budget=120, shared=1, pyramid=3, window=4),
    case("W5 a budget below one window leaves the last W", "4 2:1 64", 200, budget=40, shared=2, pyramid=14, size=32),
    case("windows of one token, aggregation, lambda = gamma", "3 4:2 8", 100, budget=30, task=1, size=1, shared=1, pyramid=1, window=7),
    case("two thousand tokens, f16, own scale", "2 4:2 64", 2000, budget=400, shared=1, pyramid=4, size=32, scale=0.25, dtype="f16"),
    case("bf16", "2 8:2 33", 250, budget=60, task=1, shared=1, pyramid=3, dtype="bf16"),

    case("W4 as many full windows as fit, and one for a short one", "6 8:4 33", 305, budget=70, window=5, shared=2, pyramid=3.5, charge=1),
    case("W4 thirty layers, a window a group", "30 2:1 8", 120, budget=33, window=3, shared=1, pyramid=2, charge=1),
    case("W4 one group, aggregation", "4 4:2 33", 300, budget=64, task=1, charge=1),
    case("by ratio", "4 4:2 33", 300, ratio=0.29, shared=2, pyramid=3),
]
