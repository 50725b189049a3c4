"""StreamingLLM's golden cases. Nothing is ranked: places alone."""

from __future__ import annotations

from Golden.case import Case, case

CASES: list[Case] = [
    case("sinks and the last", "2 8:2 8", 300, budget=80),
    case("no sinks", "2 4:4 8", 300, budget=80, sinks=0),
    case("one recent token", "1 2:1 8", 100, budget=5),
    case("by ratio, exactly: floor(0.57 * 300) = 171", "1 2:1 8", 300, ratio=0.57),
    case("kept whole: T = C", "2 4:2 8", 40, budget=40),
    case("kept whole by ratio: T within the sinks", "1 2:1 8", 4, ratio=0.25),
    case("bf16, long", "1 1:1 8", 2000, budget=500, sinks=64, dtype="bf16"),
]
