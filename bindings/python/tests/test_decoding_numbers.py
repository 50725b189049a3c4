"""Decoding with numbers at the edge of float32: Plan.step, hand-worked."""

from __future__ import annotations

import numpy as np
import pytest

import kvsieve


@pytest.mark.parametrize("spread", [1.0, 1e38, 3e38])
def test_a_flat_row_is_flat_however_far_apart_its_logits_are(spread: float) -> None:
    """AhaKV, gain 0 (4 tokens seen, C 4): norms .5 1 9 1 1, so token 0 is evicted, whatever token 3 attended to."""
    with kvsieve.Plan("ahakv", kvsieve.Model(1, 1, 1, 1), budget=4, window=2, pool_kernel=1, decoding=1) as plan:
        one = np.ones((1, 1, 1), np.float32)
        plan.observe(0, one, one, one * np.float32(0.5**0.5))
        plan.finish()
        values = np.sqrt(np.array([0.5, 1, 9, 1, 1], np.float32)).reshape(1, 5, 1)
        left = []
        for token in range(1, 5):
            logits = np.zeros((1, 1, token + 1), np.float32)
            if token == 3:
                logits[0, 0] = [spread, -spread, -spread, -spread]
            left.append(int(plan.step(0, logits=logits, values=values[:, : token + 1].copy())[0, 0]))
    assert left == [-1, -1, -1, 0]


def test_norms_that_overflow_in_their_pooled_sum_are_refused() -> None:
    """Each squared norm is finite; seven of them are not."""
    with kvsieve.Plan("ahakv", kvsieve.Model(1, 1, 1, 1), budget=8, window=4, decoding=1) as plan:
        one = np.ones((1, 2, 1), np.float32)
        with pytest.raises(kvsieve.KVSieveError, match="NONFINITE"):
            plan.observe(0, one, one, one * np.float32(1.5e19))
        plan.observe(0, one, one, one)
        plan.finish()
        three = np.ones((1, 3, 1), np.float32)
        with pytest.raises(kvsieve.KVSieveError, match="NONFINITE"):
            plan.step(0, one[:, :1], three, three * np.float32(1.5e19))
        assert plan.step(0, one[:, :1], three, three).tolist() == [[-1]]
