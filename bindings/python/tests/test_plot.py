"""kvsieve.plot: what is drawn is what is kept, for every method, and what cannot be drawn is refused with a sentence.

How it looks: test_plot_layout.py. The command line: test_plot_command.py.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, Cache, noise, parameters, refused
from drawings import cells, drawn, kept_at, panel, random_kept, texts

import kvsieve
from kvsieve import plot


def test_a_map_is_what_the_plan_keeps(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        layers = [plan.kept(layer) for layer in range(LAYERS)]
        figure, again = plot.kept(plan), plot.kept({method.name: layers})
    expected = cells(layers)
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(drawn(figure, f"kept {method.name}"), expected)
    assert np.array_equal(drawn(again, f"kept {method.name}"), expected)
    assert f"{int(expected.sum()):,} of 1,600 rows kept, {expected.mean() * 100:.3g} %" in texts(figure)
    labels = [label.get_text() for label in panel(figure, f"kept {method.name}").get_yticklabels()]
    assert labels == [str(layer) for layer in range(LAYERS)]


def test_rows_are_what_the_plan_keeps(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        counts = np.array([plan.kept(layer).counts for layer in range(LAYERS)])
        figure = plot.rows(plan)
    assert np.array_equal(drawn(figure, f"shades {method.name}"), counts.T)
    dots, budget = panel(figure, f"rows {method.name}").lines
    assert np.array_equal(np.asarray(dots.get_ydata()), counts.ravel())
    assert list(np.asarray(budget.get_ydata())) == [plan_budget(method)] * 2


def plan_budget(method: kvsieve.MethodInfo) -> int:
    """What conftest's parameters ask for: a budget of 64, or of a method that goes by shares half of 200 tokens."""
    given = parameters(method)
    return int(given["budget"]) if "budget" in given else TOKENS // 2


def test_heads_of_different_lengths(cache: Cache) -> None:
    with kvsieve.Plan("adakv", MODEL, budget=64) as plan:
        cache.through(plan)
        layers = [plan.kept(layer) for layer in range(LAYERS)]
        assert len(set(layers[0].counts.tolist())) > 1
        assert np.array_equal(drawn(plot.kept(plan), "kept adakv"), cells(layers))
        assert drawn(plot.rows(plan), "shades adakv")[:, 0].tolist() == layers[0].counts.tolist()


@pytest.mark.parametrize(
    ("method", "given", "budget"),
    [
        ("snapkv", {"budget": 40}, 40),
        ("snapkv", {"budget": 40, "ratio": 0.29}, 58),
        ("random", {"ratio": 0.145, "recent": 8}, 29),
    ]
    + [("taskkv", {"ratio": 0.29, "recent": 16}, 58), ("taskkv", {"budget": 77, "recent": 16}, 77)],
)
def test_the_budget_is_the_library_s(method: str, given: dict[str, float], budget: int, cache: Cache) -> None:
    """The ratio as a decimal: 0.29 of 200 is 58, although the double 0.29 is a little less; 0.145 of 200 is 29."""
    with kvsieve.Plan(method, MODEL, **given) as plan:
        figure = plot.rows(cache.through(plan))
        assert any(f"budget {budget}" in text for text in texts(figure))
        assert np.mean([plan.kept(layer).counts for layer in range(LAYERS)]) == pytest.approx(budget, abs=0.5)
        assert any("budget 50" in text for text in texts(plot.rows(plan, budget=50)))
    assert not any("budget" in text for text in texts(plot.rows(random_kept(2, 2, 30))))


def test_after_steps_the_slots_are_drawn(cache: Cache) -> None:
    new = noise(4, KV_HEADS, 65, DIM)
    with kvsieve.Plan("ahakv", MODEL, budget=64, decoding=1) as plan:
        cache.through(plan)
        before = drawn(plot.kept(plan), "kept ahakv")
        plan.step(0, noise(5, QUERY_HEADS, 1, DIM), new, new)
        with pytest.raises(ValueError, match="layers have seen 200 and 201 tokens: step the other layers first"):
            plot.kept(plan)
        for layer in range(1, LAYERS):
            plan.step(layer, noise(5, QUERY_HEADS, 1, DIM), new, new)
        after = drawn(plot.kept(plan), "kept ahakv")
        assert before.shape == (LAYERS * KV_HEADS, 200) and after.shape == (LAYERS * KV_HEADS, 201)
        for row in range(LAYERS * KV_HEADS):
            slots = plan.slots(*divmod(row, KV_HEADS)).positions
            assert np.flatnonzero(after[row]).tolist() == sorted(slots.tolist())
        assert after[:, 200].all()


def test_words_are_shaded_by_the_heads_that_keep_them() -> None:
    layers = [kept_at(5, [0, 1], [1, 2]), kept_at(5, [1], [1, 4])]
    figure = plot.kept({"x": layers}, ["<s>", " two", "\n", " $a$", "\u732b"])
    shading = drawn(figure, "words x")
    expected = [0.25] * 3 + [1.0] * 4 + [0.25] + [0.0] * 4 + [0.25] * 2  # the last one is two columns wide
    assert shading[0, : len(expected)].tolist() == expected
    assert not shading[0, len(expected) :].any()
    shown = panel(figure, "words x").texts
    assert [text.get_text() for text in shown] == ["<s>", " two", "\u21b5", " $a$", "\u732b"]
    assert not any(text.get_parse_math() for text in shown)  # a dollar is a dollar


def test_words_are_not_divided_at_the_end_of_a_line() -> None:
    words = [" abcdefgh", "ij"] * 50 + [" " + "x" * 3000] + ["\u200b"]
    figure = plot.kept([kept_at(102, [0])], words)
    page = panel(figure, "words ")
    columns = drawn(figure, "words ").shape[1]
    lines: dict[float, str] = {}
    for text in page.texts:
        x, y = text.get_position()
        lines[y] = lines.get(y, "").ljust(int(x)) + text.get_text()
    shown = [lines[y] for y in sorted(lines)]
    assert all(len(line) <= columns for line in shown)
    assert "".join(shown[:-1]).replace(" ", "") == "abcdefghij" * 50
    assert all(line.startswith(" abc") and line.endswith("ij") for line in shown[:-1])
    assert shown[-1] == " " + "x" * (columns // 2 - 1) + "\u00b7"


def test_a_long_text_shows_the_lines_that_most_heads_keep() -> None:
    words = [" word"] * 3000
    hot = list(range(1500, 1600))
    # 1,400 pixels are 233 characters, 46 words a line.
    figure = plot.kept({"x": [kept_at(3000, hot)]}, words, marks={"m": (10, 11)})
    shading = drawn(figure, "words x")
    assert len(shading) == 60
    assert shading.sum() == 5 * len(hot)
    starts = [int(label.get_text()) for label in panel(figure, "words x").get_yticklabels()]
    assert starts == sorted(starts) and starts[0] == 0  # in order, and the marked word is shown
    assert any("the 60 of 66 lines that most heads keep" in text for text in texts(figure))
    part = plot.kept({"x": [kept_at(3000, hot)]}, words, passage=(1490, 1510))
    assert drawn(part, "words x").shape[0] == 1
    assert drawn(part, "words x").sum() == 5 * 10


def test_several_plans_share_an_axis(cache: Cache) -> None:
    names = ["snapkv", "streamingllm", "random"]
    plans = {name: cache.through(kvsieve.Plan(name, MODEL, budget=64)) for name in names}
    figure = plot.kept(plans, [f" {position}" for position in range(TOKENS)], marks={"here": (3, 5)})
    maps = [panel(figure, f"kept {name}") for name in names]
    boxes = [axes.get_position() for axes in maps]
    assert len({(box.x0, box.x1) for box in boxes}) == 1 and len({axes.get_xlim() for axes in maps}) == 1
    assert [bool(axes.get_xlabel()) for axes in maps] == [False, False, True]
    for name, axes in zip(names, maps):
        assert np.array_equal(
            drawn(figure, f"kept {name}"), cells([plans[name].kept(layer) for layer in range(LAYERS)])
        )
        assert drawn(figure, f"words {name}").any()
        assert np.asarray(axes.lines[-1].get_xdata()).tolist() == [2.5, 4.5]
    assert "here (3 to 4)" in texts(figure)
    counts = plot.rows(plans)
    assert len({panel(counts, f"rows {name}").get_ylim() for name in names}) == 1


def test_wrong_plans_are_refused_with_a_sentence(plan: kvsieve.Plan, cache: Cache) -> None:
    good = kept_at(4, [0, 1])
    anything: Any
    for anything, sentence in [
        ("kept", "plan is a str: expected a Plan or a list of Kept"),
        (3, "plan is a int: expected a Plan or a list of Kept"),
        ([good, 1], "plan: layer 1 is a int: expected a Kept"),
    ]:
        for draw in (plot.kept, plot.rows):
            with pytest.raises(TypeError, match=sentence):
                draw(anything)
    for anything, sentence in [
        ([], "plan has no layers: expected at least 1"),
        ({}, "there is no plan to draw: expected at least one"),
        ([good, kept_at(5, [0])], "plan: layer 1 has 1 heads and 5 tokens: expected 1 and 4, as in layer 0"),
        ([good, kept_at(4, [0], [1])], "plan: layer 1 has 2 heads and 4 tokens: expected 1 and 4, as in layer 0"),
        ({"a": [good], "b": plan}, r"plans saw different numbers of tokens \(a 4, b 200\): expected the same number"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            plot.kept(anything)
    plan.close()
    with pytest.raises(ValueError, match="the plan is closed"):
        plot.kept(plan)
    unfinished = kvsieve.Plan("snapkv", MODEL, budget=64)
    unfinished.observe(0, *cache.layer(0))
    refused("KVSIEVE_ERR_STATE", plot.kept, unfinished)


def test_wrong_words_and_spans_are_refused_with_a_sentence(plan: kvsieve.Plan) -> None:
    with pytest.raises(ValueError, match="words has 2 texts: expected one for each of the 200 tokens seen"):
        plot.kept(plan, ["a", "b"])
    for span in [(-1, 3), (3, 3), (5, 4), (0, 201)]:
        expected = rf"is \({span[0]}, {span[1]}\): expected 0 <= first < end <= 200, the tokens seen"
        with pytest.raises(ValueError, match=f"passage {expected}"):
            plot.kept(plan, passage=span)
        with pytest.raises(ValueError, match=f"needle {expected}"):
            plot.kept(plan, marks={"needle": span})


def test_matplotlib_is_imported_when_a_picture_is_made() -> None:
    code = (
        "import sys, kvsieve, kvsieve.plot; print(any(name.startswith(('matplotlib', 'PIL')) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_matplotlib_a_sentence_says_which_extra(plan: kvsieve.Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (plot.kept, plot.rows):
        with pytest.raises(ImportError, match=r"kvsieve.plot needs matplotlib: pip install 'kvsieve\[plot\]'"):
            draw(plan)
