"""Task-KV's golden cases."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("eight heads", "4 8:8 33", 300, window=16, sinks=8, recent=40, tokens=64),
    case("T1 four heads of four queries", "5 16:4 64", 600, ratio=0.7, beta=0.5, recent=64),
    case("one layer, one head, f = 0", "1 16:1 8", 300, sinks=4, recent=100, window=9, tokens=30),
    case("T2 f = 1 is the farthest", "2 4:4 33", 260, window=8, sinks=3, recent=31, tokens=20),
    case(
        "T3 f falls by whole heads", "8 6:6 8", 130, ratio=0.9, beta=0.85, top=0, window=7, sinks=2, recent=9, tokens=10
    ),
    case(
        "T4 the budget lowers f", "3 8:8 8", 200, ratio=0.45, beta=0.75, top=4, window=8, sinks=4, recent=20, tokens=50
    ),
    case("T4 down to none", "3 4:4 33", 200, ratio=0.15, beta=0.5, top=2, window=8, sinks=4, recent=20, tokens=50),
    case(
        "f is within 0 and H, then T4",
        "3 4:4 64",
        150,
        ratio=0.8,
        beta=1,
        top=9,
        window=8,
        sinks=4,
        recent=20,
        tokens=50,
    ),
    case("kept whole: T = sinks + recent", "2 4:2 8", 272),
    case("kept whole: T below the window", "2 4:2 8", 12, window=16, sinks=2, recent=4),
    case("kept whole: ratio 1", "2 4:4 8", 64, ratio=1, window=8, sinks=4, recent=10, tokens=5),
    case(
        "nothing protected, unpooled, t above T, own scale, bf16",
        "2 3:3 33",
        120,
        window=11,
        sinks=0,
        recent=0,
        pool_kernel=1,
        beta=0.4,
        scale=0.25,
        dtype="bf16",
    ),
    case("two thousand tokens, f16", "1 8:8 64", 2000, ratio=0.3, dtype="f16"),
    case(
        "T3 f is a decimal: (6 * 0.7 * 5 + 0 * 2) / 7 = 3",
        "8 6:6 8",
        60,
        ratio=0.9,
        beta=0.7,
        top=0,
        window=3,
        sinks=1,
        recent=2,
        tokens=3,
    ),
    case(
        "B is a decimal: floor(0.57 * 8 * 300) = 1368",
        "2 8:8 8",
        300,
        ratio=0.57,
        beta=0,
        top=0,
        window=8,
        sinks=4,
        recent=20,
        tokens=20,
    ),
    case(
        "T4 nothing protected: a token a head",
        "2 4:4 8",
        40,
        ratio=0.025,
        beta=0.5,
        window=8,
        sinks=0,
        recent=0,
        tokens=5,
    ),
    case("by budget", "3 8:4 33", 200, budget=70, window=8, sinks=4, recent=20, tokens=50),
    case("by budget: T = C", "2 4:2 8", 60, budget=60, window=8, sinks=4, recent=20, tokens=5),
]
