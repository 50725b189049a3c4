"""When another slot may be freed than the replay's: if float32 cannot tell the two scores apart."""

from __future__ import annotations

from collections import Counter

import numpy as np

from reference.decoding import Replay
from reference.ranking import NOTHING

TIE = 1e-5


def differs(replay: Replay, head: int, gone: int | None, count: Counter[str]) -> str | None:
    """At the last token: excused and counted if what left scores less than 1e-5 (relative) above the lowest, or below 1e-30."""
    positions, scores = replay.last_candidates[head] or (np.zeros(0), np.zeros(0))
    regret, score = replay.regrets[-1][head], float(scores[positions == gone][0])
    if regret < TIE or score < NOTHING:
        count["near-ties excused"] += 1
        return None
    return f"regret {regret:.2e}, score {score:.2e}"
