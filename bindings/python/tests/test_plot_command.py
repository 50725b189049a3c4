"""python -m kvsieve.plot: what it draws of a file, and its sentence for everything that can be wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, TOKENS, Cache, parameters
from drawings import cells, drawn, panel, texts
from matplotlib.figure import Figure
from PIL import Image

import kvsieve
from kvsieve import plot
from kvsieve.plot import __main__ as command

WORDS = [f" word{position}" for position in range(TOKENS)]


@pytest.fixture
def file(tmp_path: Path, cache: Cache) -> Path:
    path = tmp_path / "cache.npz"
    np.savez(path, q=cache.queries, k=cache.keys, v=cache.values)
    return path


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that the command saves."""
    saved: list[Figure] = []

    def note(figure: Figure, path: Path) -> None:
        saved.append(figure)
        plot.save(figure, path)

    monkeypatch.setattr(command, "save", note)
    return saved


def arguments_of(method: kvsieve.MethodInfo) -> list[str]:
    return [f"{name}={value}" for name, value in parameters(method).items()]


def test_a_map_is_what_the_plan_keeps(
    method: kvsieve.MethodInfo, file: Path, cache: Cache, figures: list[Figure], tmp_path: Path
) -> None:
    output = tmp_path / "kept.png"
    assert command.main([str(file), "--method", method.name, "-o", str(output), "--set", *arguments_of(method)]) == 0
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        expected = cells([plan.kept(layer) for layer in range(LAYERS)])
    assert np.array_equal(drawn(figures[0], f"kept {method.name}"), expected)
    with Image.open(output) as image:
        assert image.format == "PNG" and image.size == tuple(round(side) for side in figures[0].bbox.size)


def test_several_methods_words_and_marks(file: Path, figures: list[Figure], tmp_path: Path) -> None:
    lines, listed = tmp_path / "words.txt", tmp_path / "words.json"
    lines.write_text("\n".join(WORDS) + "\n")
    listed.write_text(json.dumps(WORDS))
    for words in (lines, listed):
        arguments = [str(file), "--method", "snapkv", "--method", "random", "--words", str(words)]
        arguments += ["--set", "budget=64", "window=16", "random.seed=3", "--set", "pool=max"]
        arguments += ["--passage", "10:20", "--mark", "a name=12:14", "-o", str(tmp_path / "out.png")]
        assert command.main(arguments) == 0
        figure = figures.pop()
        assert [text.get_text() for text in panel(figure, "words random").texts][:-2] == WORDS[10:20]
        assert "a name (12 to 13)" in texts(figure)
        settings: dict[str, dict[str, Any]] = {"snapkv": {"window": 16, "pool": "max"}, "random": {"seed": 3}}
        for name, given in settings.items():
            with kvsieve.Plan(name, MODEL, budget=64, **given) as plan:
                Cache().through(plan)
                assert np.array_equal(
                    drawn(figure, f"kept {name}"), cells([plan.kept(layer) for layer in range(LAYERS)])
                )


def test_rows_and_a_file_without_what_is_not_read(tmp_path: Path, cache: Cache, figures: list[Figure]) -> None:
    file, output = tmp_path / "keys.npz", tmp_path / "rows.png"
    np.savez(file, k=cache.keys.astype(np.float16))
    assert command.main([str(file), "--method", "keydiff", "--set", "budget=64", "--rows", "-o", str(output)]) == 0
    assert drawn(figures[0], "shades keydiff").tolist() == [[64] * LAYERS] * KV_HEADS
    assert output.stat().st_size > 1000


def test_the_queries_of_the_last_tokens_are_enough(tmp_path: Path, cache: Cache, figures: list[Figure]) -> None:
    whole, last = tmp_path / "whole.npz", tmp_path / "last.npz"
    np.savez(whole, q=cache.queries, k=cache.keys)
    np.savez(last, q=cache.queries[:, :, -32:], k=cache.keys)
    for file in (whole, last):
        output = str(tmp_path / "out.png")
        assert (
            command.main([str(file), "--method", "snapkv", "--set", "budget=64", "-o", output, "--scale", "0.5"]) == 0
        )
    assert np.array_equal(drawn(figures[0], "kept snapkv"), drawn(figures[1], "kept snapkv"))


SNAPKV = ["--method", "snapkv", "--set", "budget=64"]
REFUSED = [
    (["--method", "nonesuch"], "method is 'nonesuch': expected one of .*snapkv"),
    (["--method", "snapkv", "--set", "budget"], "--set is 'budget': expected NAME=VALUE, for example budget=256"),
    (["--method", "snapkv", "--set", "beta=1"], "snapkv has no parameter 'beta': it has budget, "),
    (["--method", "snapkv", "--method", "tova", "--set", "x=1"], "--set x=1: none of snapkv, tova has a parameter 'x'"),
    ([*SNAPKV, "--set", "tova.budget=3"], "--set tova.budget=3: 'tova' is not among the methods drawn, snapkv"),
    (["--method", "snapkv", "--method", "tova", "--set", "tova.window=3"], "tova has no parameter 'window': it has "),
    (["--method", "snapkv", "--set", "budget=many"], "budget is 'many': expected a number"),
    (["--method", "snapkv", "--set", "pool=median"], "pool is 'median': expected 'mean' or 'max', or a number"),
    (["--method", "snapkv", "--set", "budget=5"], "snapkv: .*budget 5 cannot hold"),
    (["--method", "snapkv", "--set", "budget=-5"], "snapkv: budget is -5; expected 1 "),
    ([*SNAPKV, "--scale", "-1"], "scale is -1"),
    ([*SNAPKV, "--passage", "7"], "--passage is '7': expected FIRST:END, for example 400:460"),
    ([*SNAPKV, "--passage", "100:300"], r"passage is \(100, 300\): expected 0 <= first < end <= 200"),
    ([*SNAPKV, "--mark", "3:5"], "--mark is '3:5': expected NAME=FIRST:END, for example needle=400:412"),
    ([*SNAPKV, "--mark", "x=3:y"], "--mark x is '3:y': expected FIRST:END"),
    ([*SNAPKV, "--words", "nowhere.txt"], "nowhere.txt"),
    (
        [*SNAPKV, "-o", "no/such/folder/kept.png"],
        "--output is no/such/folder/kept.png: there is no folder no/such/folder",
    ),
    ([*SNAPKV, "-o", "."], "--output is ., a folder: expected a file's name"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_wrong_arguments(arguments: list[str], sentence: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    says([str(file), *arguments], sentence, capsys)


def says(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and one line on stderr that has the sentence."""
    assert command.main(arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.count("\n") == 1 and error.startswith("python -m kvsieve.plot: ")
    assert re.search(sentence, error), error


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"k": None}, r"has no array k: expected k \(L, H, T, D\); the file has q, v"),
        ({"k": np.zeros((2, 3, 4), np.float32)}, r"k has shape \(2, 3, 4\): expected k \(L, H, T, D\)"),
        ({"k": np.zeros((2, 3, 0, 4), np.float32)}, r"k has shape \(2, 3, 0, 4\): expected k \(L, H, T, D\)"),
        ({"k": np.zeros((2, 3, 4, 4))}, "k has dtype float64: expected float32 or float16"),
        ({"q": np.zeros((3, 4, 40, DIM), np.float32)}, "q has 3 layers and k has 4: expected the same"),
        ({"q": None}, r"snapkv reads queries: expected an array q \(L, Hq, W or T, D\)"),
        ({"q": np.zeros((LAYERS, 3, 40, DIM), np.float32)}, "3.*multiple"),
        ({"q": np.zeros((LAYERS, 4, 3, DIM), np.float32)}, "snapkv: .*queries"),
        ({"k": np.full((LAYERS, KV_HEADS, TOKENS, DIM), np.nan, np.float32)}, "snapkv: .*NaN"),
    ],
)
def test_wrong_arrays(
    arrays: dict[str, Any], sentence: str, cache: Cache, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"q": cache.queries, "k": cache.keys, "v": cache.values, **arrays}
    file = tmp_path / "wrong.npz"
    np.savez(file, **{name: array for name, array in given.items() if array is not None})
    says([str(file), *SNAPKV], sentence, capsys)


def test_wrong_files(tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content, sentence in [
        ("absent.npz", None, "absent.npz"),
        ("text.npz", b"not a zip file", "text.npz is not an .npz file"),
        ("empty.npz", b"", "empty.npz is not an .npz file"),
        ("broken.npz", b"PK\x03\x04 and no more", "broken.npz is not an .npz file: expected what numpy.savez writes"),
    ]:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        says([str(tmp_path / name), *SNAPKV], sentence, capsys)
    np.save(tmp_path / "one.npy", cache.keys)
    says([str(tmp_path / "one.npy"), *SNAPKV], "one.npy is not an .npz file: expected what numpy.savez writes", capsys)
    np.savez(tmp_path / "good.npz", k=cache.keys)
    damaged = bytearray((tmp_path / "good.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (tmp_path / "damaged.npz").write_bytes(damaged)
    says([str(tmp_path / "damaged.npz"), *SNAPKV], "damaged.npz cannot be read: BadZipFile: Bad CRC-32", capsys)
    np.savez(tmp_path / "object.npz", k=np.array([None]))
    says([str(tmp_path / "object.npz"), *SNAPKV], "object.npz cannot be read: .*pickle", capsys)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("w.txt", b"a\nb\n", "w.txt has 2 texts: expected one for each of the 200 tokens of k"),
        ("w.json", b"[1, 2]", "w.json: expected a JSON list of strings"),
        ("w.json", b'{"a": 1}', "w.json: expected a JSON list of strings"),
        ("w.json", b"[", "w.json is not JSON: "),
        ("w.txt", b"\xff\xfe", "w.txt is not UTF-8: "),
    ],
)
def test_wrong_words(
    name: str, content: bytes, sentence: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    says([str(file), *SNAPKV, "--words", str(tmp_path / name)], sentence, capsys)


def test_without_matplotlib(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    says([str(file), *SNAPKV], r"kvsieve.plot needs matplotlib: pip install 'kvsieve\[plot\]'", capsys)


def test_as_a_program(file: Path, tmp_path: Path) -> None:
    """The help says what the file holds; a failure is a sentence and no traceback."""
    program = [sys.executable, "-m", "kvsieve.plot"]
    helped = subprocess.run([*program, "--help"], capture_output=True, text=True, check=True).stdout
    for line in ("q  (L, Hq, W or T, D)", "k  (L, H, T, D)", "v  (L, H, T, D)", "--method", "--set", "--words"):
        assert line in helped
    done = subprocess.run([*program, str(file), *SNAPKV], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "kept.png").stat().st_size > 1000
    wrong = subprocess.run([*program, "x", *SNAPKV], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and wrong.stderr.startswith("python -m kvsieve.plot: ") and "Trace" not in wrong.stderr
