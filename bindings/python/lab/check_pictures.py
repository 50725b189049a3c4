"""Tests of the pictures: what is drawn is what the results say. Expected numbers were worked by hand.

Not here: kvsieve.plot (bindings/python/tests/test_plot.py), how results come about (check_results.py, check_model.py).
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import cells
import cost
import draw_prompt
import numpy as np
import points
import settings
from draw_cost import costs_picture
from draw_curves import curves
from draw_grid import counted, grid
from llama import Prefix
from records import Row
from setting import FULL, Setting

from kvsieve import plot

PLACE = points.Place("m", "needle", 1000)


class Letters:
    """A tokenizer: a token is a byte of UTF-8."""

    def decode(self, ids: Any) -> str:
        return bytes(ids).decode("utf-8", errors="replace")


class Shape:
    """What an Engine asks of a model."""

    layers, query_heads, kv_heads, head_dim = 2, 4, 2, 8


def needle(seed: int, setting: str, digits: int, share: float = 0.12, **changes: Any) -> Row:
    common: dict[str, Any] = dict(model="m", task="needle", length=1000, query="seen", digest="0", kept=share)
    judged: dict[str, Any] = dict(right=int(digits == 5), digits=digits, tokens=5, nll=0.0, kl=0.0)
    return Row(**{**common, **judged, "seed": seed, "setting": setting, "share": share, **changes})


def point(setting: str, kept: float, value: float, query: str = "seen") -> points.Point:
    return points.Point(PLACE, query, setting, kept, kept, 9, value, value - 0.1, value + 0.2)


def refused(call: Any, sentence: str) -> None:
    try:
        call()
    except ValueError as error:
        assert sentence in str(error), error
    else:
        raise AssertionError(f"not refused: {sentence}")


def test_a_grid_counts_digits_by_depth_and_length() -> None:
    rows = [
        needle(0, FULL, 5, share=1.0),
        needle(0, "a", 2),
        needle(10, "a", 3),  # the depth of seed 0
        needle(7, "a", 1),
        needle(0, "a", 5, share=0.4),  # another share
        needle(0, "b", 4, length=2000),
        needle(0, "c", 4),  # not asked for
        needle(0, "a", 4, task="four_keys"),
    ]
    counts = counted(rows, [FULL, "a", "b"], 0.12)
    assert counts == {
        ("seen", 1000, FULL, 0.05): [5, 5, 1],
        ("seen", 1000, "a", 0.05): [5, 10, 2],
        ("seen", 1000, "a", 0.75): [1, 5, 1],
        ("seen", 2000, "b", 0.05): [4, 5, 1],
    }
    short, long = grid(rows, ["b", "a"], 0.12).axes
    table = np.asarray(short.images[0].get_array(), float)
    assert [label.get_text() for label in short.get_yticklabels()] == [FULL, "b", "a"]
    assert np.nan_to_num(table, nan=-1).tolist() == [[1, -1], [-1, -1], [0.5, 0.2]]
    assert [text.get_text() for text in short.texts][:6] == ["100", "-", "-", "-", "50", "20"]
    assert np.nan_to_num(np.asarray(long.images[0].get_array(), float), nan=-1)[1].tolist() == [0.8, -1]
    refused(lambda: grid(rows[1:], ["a"], 0.5), "no needle at a share of 0.5")


def test_points_are_what_both_kinds_of_files_say() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ours, small = Path(folder) / "ours.csv", Path(folder) / "small.csv"
        rows = [
            needle(seed, name, 5 if seed < right else 0) for name, right in (("a", 3), ("b", 1)) for seed in range(4)
        ]
        cells.write(ours, cells.cells(rows, "b"))
        first, second = points.read(ours, points.RIGHT)
        assert (first.place, first.query, first.setting, first.prompts) == (PLACE, "seen", "a", 4)
        assert (first.share, first.kept, first.value, second.value) == (0.12, 0.12, 0.75, 0.25)
        assert abs(first.low - 0.3006) < 5e-4 and abs(first.high - 0.9544) < 5e-4  # Wilson's interval of 3 of 4
        with small.open("w", newline="") as file:
            heads = ["model", "task", "question", "setting", "share", "kept", "prompts", "right", "rate", "low", "high"]
            writer = csv.writer(file)
            writer.writerows([heads, ["4 layers", "recall", "in window", "tova", 0.12, 245, 8, 2, 0.25, 0.07, 0.59]])
            writer.writerow(["4 layers", "recall", "in window", "h2o", 0.035, 0, 8, 0, 0, 0, 0.3])  # refused
        assert points.read(small, points.RIGHT) == [
            points.Point(
                points.Place("4 layers", "recall", 2048), "in window", "tova", 0.12, 245 / 2048, 8, 0.25, 0.07, 0.59
            )
        ]
        assert points.read(small, points.KL) == []
        assert list(points.by_place([first, second])) == [PLACE]


def test_curves_have_the_points_and_their_intervals() -> None:
    found = [point("b", 0.2, 0.5), point("b", 0.1, 0.25), point("a", 0.1, 0.75), point("a", 0.2, 0.875)]
    found += [point("b", 0.1, 0.0, "unseen"), point("b", 0.2, 0.125, "unseen"), point(FULL, 1.0, 1.0)]
    figure = curves(found, points.RIGHT, ["z", "b"])
    heads = [axes.texts[1].get_text() for axes in figure.axes]
    assert heads == ["b", "a"]  # the order asked for, then the others
    own = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "s")]
    assert [np.asarray(line.get_xdata()).tolist() for line in own] == [[0.1, 0.2]] * 2
    assert [np.asarray(line.get_ydata()).tolist() for line in own] == [[0.25, 0.5], [0.0, 0.125]]
    band = np.concatenate([path.vertices for path in figure.axes[0].collections[0].get_paths()])
    assert {(0.1, 0.15), (0.1, 0.45), (0.2, 0.4), (0.2, 0.7)} <= {(round(x, 9), round(y, 9)) for x, y in band.tolist()}
    whole = [line for line in figure.axes[1].lines if np.asarray(line.get_ydata()).tolist() == [1.0, 1.0]]
    assert len(whole) == 1


def test_costs_are_drawn_as_measured() -> None:
    about: dict[str, Any] = dict(share=0.1, repeats=3, machine="a machine", date="2000-01-01")
    table = [("a", 10, 200_000, 1.5), ("b", 10, 300_000, 2.5), ("a", 40, 900_000, 6.0), ("b", 40, 800_000, 7.0)]
    costs = [
        cost.Cost(setting=name, tokens=tokens, before=tokens * 100_000, after=after, milliseconds=spent, **about)
        for name, tokens, after, spent in table
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cost.csv"
        cost.write(file, costs)
        assert cost.read(file) == costs
    kept, spent = costs_picture(costs).axes
    assert [np.asarray(line.get_xdata()).tolist() for line in kept.lines] == [[1.0, 0.2, 0.3], [4.0, 0.9, 0.8]]
    assert [np.asarray(line.get_xdata())[1:].tolist() for line in spent.lines] == [[1.5, 2.5], [6.0, 7.0]]
    assert [label.get_text() for label in kept.get_yticklabels()] == ["whole cache", "a", "b"]
    refused(
        lambda: costs_picture([*costs, *(cost.Cost("a", n, 0.1, 1, 1, 1.0, 3, "m", "d") for n in (5, 6))]), "4 lengths"
    )


def test_a_cost_is_that_of_what_is_kept() -> None:
    random = np.random.default_rng(5)
    queries, keys, values = (
        [random.standard_normal((heads, 100, 8), dtype=np.float32) for _ in range(2)] for heads in (4, 2, 2)
    )
    prefix = Prefix(queries, keys, values, np.empty(0))
    for setting in (Setting("snapkv", "snapkv", {"window": 8}), Setting("h2o", "h2o")):
        engine = cost.Engine(setting, Shape(), 0.25)  # type: ignore[arg-type]
        engine.compress(prefix)
        engine.compress(prefix)  # a plan is used again
        assert engine.bytes == 2 * 2 * 25 * 8 * 4 * 2  # layers, heads, rows, numbers, bytes; keys and values
        assert len(engine.times) == 2 and min(engine.times) > 0


def test_texts_of_tokens_and_the_place_of_a_sentence() -> None:
    said = "ab \u00e4\u201d c"
    words = draw_prompt.texts(Letters(), list(said.encode()))  # type: ignore[arg-type]
    assert words == ["a", "b", " ", "", "\u00e4", "", "", "\u201d", " ", "c"]
    assert draw_prompt.span(words, "b \u00e4") == (1, 5)
    assert draw_prompt.span(["The", " code is", " ", "42", "."], "code is 42") == (1, 4)
    refused(lambda: draw_prompt.span(words, "x"), "substring not found")


def test_a_prompt_s_pictures_show_what_was_chosen() -> None:
    kept = {
        name: draw_prompt.as_layers([[np.array([0, row]), np.array([2])]] * 2, 6) for name, row in (("a", 3), ("b", 5))
    }
    one = draw_prompt.Read(["t"] * 6, (1, 3), kept, {"a": 4, "b": 0, "full": 5})
    maps = {axes.get_label(): axes for axes in draw_prompt.kept_picture(one, ["b", "a"], words=True).axes}
    cells_of_a = np.asarray(maps["kept a: 4 of 5 digits right"].images[0].get_array())
    assert cells_of_a.tolist() == [[1, 0, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0]] * 2
    assert np.asarray(maps["words b: 0 of 5 digits right"].images[0].get_array())[0, :6].tolist() == [
        0.5,
        0,
        0.5,
        0,
        0,
        0.5,
    ]
    counts = draw_prompt.rows_picture(one, ["a"], 0.5)
    shades = next(axes for axes in counts.axes if axes.get_label() == "shades a")
    assert np.asarray(shades.images[0].get_array()).tolist() == [[2, 2], [1, 1]]
    with tempfile.TemporaryDirectory() as folder:
        plot.save(counts, Path(folder) / "rows.png")
        assert 1000 < (Path(folder) / "rows.png").stat().st_size < 200_000


def test_the_pictures_know_their_settings() -> None:
    import pictures

    names = {setting.name for setting in settings.named(["registry"])}
    assert {*pictures.MAIN, *pictures.UNEVEN} <= names
