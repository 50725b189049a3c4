"""Tests of what becomes of results: judgement, files, intervals, cells, tables. Expected numbers were worked by hand.

Not here: where results come from (check_model.py).
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import cells
import experiments
import numpy as np
import settings
import tables
from experiments import Part
from intervals import half_width, student, wilson
from judge import by_token, judge, log_probabilities
from records import Row, Unit, read, read_all, write
from setting import FULL, Setting


def close(one: float, other: float, within: float = 5e-4) -> bool:
    return abs(one - other) < within


def row(**changes: Any) -> Row:
    common: dict[str, Any] = dict(
        model="m", task="t", length=9, query="seen", seed=0, setting="a", digest="0", share=0.5
    )
    return Row(**{**common, **dict(kept=0.49, right=1, digits=4, tokens=5, nll=1.0, kl=0.5), **changes})


def test_judgement_by_hand() -> None:
    """Two tokens of three words. Probabilities (1/2, 1/4, 1/4), (1/8, 1/8, 3/4); of the whole cache (1/4, 1/2, 1/4), the same."""
    variant = np.log(np.array([[2, 1, 1], [1, 1, 6]], np.float32))
    whole = log_probabilities(np.log(np.array([[1, 2, 1], [1, 1, 6]], np.float32)))
    found = judge(variant, [1, 2], whole)
    assert (found.right, found.digits) == (False, 1)
    assert close(found.nll, (math.log(4) + math.log(4 / 3)) / 2, 1e-6)
    assert close(found.kl, (math.log(1 / 2) / 4 + math.log(2) / 2) / 2, 1e-6)
    assert judge(variant, [0, 2], whole).right
    each = by_token(variant, [1, 2], whole)
    assert (each.hits.tolist(), each.agree.tolist()) == ([False, True], [False, True])
    assert (by_token(variant, [0, 0], whole).agree.tolist(), each[1:].agree.tolist()) == ([False, True], [True])
    assert close(each.nll[0], math.log(4), 1e-6) and each.kl[1] == 0
    assert judge(variant, [0, 2], log_probabilities(variant)).kl == 0


def test_intervals_by_hand() -> None:
    """Wilson: z = 1.96, (p + z z / 2n ± z sqrt(p q / n + z z / 4nn)) / (1 + z z / n). Student's quantiles: any table."""
    assert all(map(close, wilson(18, 20), (0.6990, 0.9721)))
    assert all(map(close, wilson(0, 20), (0.0, 0.1611)))
    assert all(map(close, wilson(20, 20), (0.8389, 1.0)))
    assert all(map(close, wilson(50, 100), (0.4038, 0.5962)))
    assert close(student(29), 2.0452) and close(student(9), 2.2622, 2e-3) and close(student(100000), 1.96)
    # 1, 2, 3, 4: mean 2.5, variance 5/3, t of 3 is 3.182 (here 3.16): 3.182 * sqrt(5 / 12) = 2.054
    assert close(half_width([1, 2, 3, 4]), 2.054, 0.02)
    assert half_width([2.0] * 9) == 0 and math.isnan(half_width([1.0]))


def test_rows_come_back_from_a_file() -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw, rows = Path(folder), [row(), row(setting="b", nll=0.123456, share=0.069)]
        write(Unit("m", "t", 9, "seen", 0).path(raw), rows)
        write(Unit("m", "t", 9, "seen", 12).path(raw), [row(seed=12)])
        assert read(raw / "m/t-9-seen/0000.csv") == rows
        assert [one.seed for one in read_all(raw)] == [0, 0, 12]
        assert read(raw / "m/t-9-seen/0001.csv") == []


def test_cells_pair_prompts() -> None:
    """Setting a is 0.5, 0.5, 0.8 above b on prompts 0, 1, 2; prompt 3 has no partner."""
    rows = [row(seed=seed, nll=value) for seed, value in enumerate([1.5, 2.5, 3.8, 9.0])]
    rows += [row(seed=seed, nll=value, setting="b", right=0) for seed, value in enumerate([1.0, 2.0, 3.0])]
    rows += [row(seed=seed, setting=FULL, share=1.0) for seed in range(4)]
    one, other, full = cells.cells(rows, "b")
    assert (one.setting, one.prompts, one.right, close(one.nll, 4.2)) == ("a", 4, 4, True)
    assert close(one.nll_difference, 0.6) and close(one.nll_half, student(2) * math.sqrt(0.03 / 3))
    assert (other.right, other.nll_difference, other.nll_half) == (0, 0, 0)
    assert all(map(close, (other.right_low, other.right_high), wilson(0, 3)))
    assert full.setting == FULL and math.isnan(full.nll_difference)
    assert close(one.digits, 0.8)
    with tempfile.TemporaryDirectory() as folder:
        cells.write(Path(folder) / "a.csv", [one, other])
        back = cells.read(Path(folder) / "a.csv")
    assert back[0].place == one.place and close(back[0].nll_half, one.nll_half, 1e-3) and back[1].right == 0


def test_cells_are_compared_each_with_its_own() -> None:
    """a share 2 is 0.5 above a vote, b 2 below; what has no vote has no difference."""
    values = {"a share 2": 1.5, "a vote": 1.0, "b": 3.0, "b vote": 5.0, "c": 9.0}
    rows = [row(setting=name, seed=seed, nll=value) for name, value in values.items() for seed in range(3)]
    found = {cell.setting: cell.nll_difference for cell in cells.cells(rows, settings.its_vote)}
    assert math.isnan(found.pop("c"))
    assert found == {"a share 2": 0.5, "a vote": 0, "b": -2, "b vote": 0}


def test_of_two_tables_the_cell_with_more_prompts_stays() -> None:
    few, many = (
        cells.cells([row(seed=seed, nll=value, setting="b") for seed in range(count)], "b")
        for count, value in ((2, 1.0), (3, 5.0))
    )
    other = cells.cells([row(seed=0, setting="c")], "b")
    for made, before in ((few, many), (many, few)):
        found = tables.with_more_prompts([*made, *other], before)
        assert [(cell.setting, cell.prompts) for cell in found] == [("b", 3), ("c", 1)]
    again = cells.cells([row(seed=seed, nll=7.0, setting="b") for seed in range(3)], "b")
    assert close(tables.with_more_prompts(again, many)[0].nll, 7.0)  # made anew


def test_tables_show_what_cells_say() -> None:
    rows = [row(seed=seed, setting=name, share=share) for seed in range(20) for name in "ab" for share in (0.4, 0.069)]
    found = cells.cells([*rows, *(row(seed=seed, setting=FULL, share=1.0) for seed in range(20))], "b")
    (place,) = tables.by_place(found)
    lines = tables.markdown(place, found, "right").split("\n")
    assert lines[0] == "m, t, 9 tokens, question seen: right, 20 prompts"
    assert lines[2] == "| setting | 40 % | 6.9 % |"
    assert lines[4] == "| full | 100 [84, 100] | 100 [84, 100] |"
    assert lines[5] == "| a | 100 [84, 100] | 100 [84, 100] |"
    assert "| a | 1.000 (+0.000 ± 0.000) | 1.000 (+0.000 ± 0.000) |" in tables.markdown(place, found, "nll")


def test_ranks() -> None:
    """Equals share the mean of their places; the least value has rank 1."""
    assert [tables.rank(one, [3.0, 1.0, 2.0]) for one in (3.0, 1.0, 2.0)] == [3, 1, 2]
    assert [tables.rank(one, [1.0, 1.0, 2.0]) for one in (1.0, 2.0)] == [1.5, 3]
    rows = [row(setting="a", nll=1.0, kl=0.2), row(setting="b", nll=2.0, kl=0.1)]
    text = tables.ranking(cells.cells(rows, "a"), ["a", "b"], ["t:nll", "t:kl"], [0.5])
    assert text.endswith("| a | 1.000 (1) | 0.200 (2) | 1.50 |\n| b | 2.000 (2) | 0.100 (1) | 1.50 |")


def test_experiments_ask_for_each_prompt_once() -> None:
    """Parts that share a prompt share its prefill; prompts come by number, so that a stopped run has as many of each task."""
    every = [part for parts in experiments.EXPERIMENTS.values() for part in parts]
    work = experiments.wanted(every)
    assert [unit.seed for unit in work] == sorted(unit.seed for unit in work)
    assert set(work) == {unit for part in every for unit in part.units()}
    for pairs in work.values():
        keys = [(setting.name, share) for setting, share in pairs]
        assert len(keys) == len(set(keys))
    one = Part(("needle", "continuation"), ("snapkv",), (0.5, 0.2), 2, lengths=(500, 900), queries=("unseen",), first=7)
    places = [(unit.task, unit.length, unit.query, unit.seed) for unit in one.units()]
    assert len(places) == 8 and ("needle", 900, "unseen", 8) in places and ("continuation", 500, "none", 7) in places
    assert [share for _, share in experiments.wanted([one, one])[next(one.units())]] == [0.5, 0.2]


def test_settings_can_be_run() -> None:
    """Every set's names are its own, every parameter is one that the method has, every method has a setting."""
    import ablations

    import kvsieve

    every = settings.named(list(settings.SETS))
    methods = {method.name: method for method in kvsieve.methods()}
    assert methods.keys() <= {setting.name for setting in settings.named(["registry"])}
    for setting in every:
        if setting.ours:
            switches = ablations.SWITCHES[setting.method]
            assert set(setting.parameters) & set(switches), f"{setting.name} has everything switched on"
        for name in setting.parameters:
            assert (setting.ours and name in switches) or methods[setting.method].parameter(name)
    one = Setting("x", "snapkv", {"window": 8})
    assert (
        one.digest != Setting("x", "snapkv", {"window": 9}).digest != Setting("x", "snapkv", {"window": 9}, True).digest
    )
    assert one.digest == Setting("y", "snapkv", {"window": 8}).digest
    try:
        settings.named(["registry", "no such"])
    except ValueError as error:
        assert "no such" in str(error)
    else:
        raise AssertionError("an unknown setting was accepted")
