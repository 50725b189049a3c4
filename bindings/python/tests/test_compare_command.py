"""python -m kvsieve, and python -m kvsieve compare: its numbers against plain loops in double, and its sentences."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KV_HEADS, LAYERS, TOKENS, Cache
from PIL import Image

import kvsieve
from kvsieve import __main__ as command
from kvsieve._cache import read_cache
from kvsieve._compare import ROWS, compare


@pytest.fixture
def file(tmp_path: Path, cache: Cache) -> Path:
    path = tmp_path / "cache.npz"
    np.savez(path, q=cache.queries, k=cache.keys, v=cache.values)
    return path


def by_loops(cache: Cache, plan: kvsieve.Plan) -> tuple[float, float, float]:
    """Mean and least share of the attention of the last rows, and the output's error, a row of a query head at a time."""
    masses, errors = [], []
    for layer in range(LAYERS):
        queries, keys, values = (np.asarray(a[layer], float) for a in (cache.queries, cache.keys, cache.values))
        rows = min(ROWS, queries.shape[1])
        difference = size = 0.0
        for head in range(len(queries)):
            own = head * KV_HEADS // len(queries)
            kept = plan.kept(layer).head(own)
            held = []
            for row in range(rows):
                seen = TOKENS - rows + row + 1
                logits = keys[own, :seen] @ queries[head, queries.shape[1] - rows + row] / math.sqrt(keys.shape[2])
                weights = np.exp(logits - logits.max())
                weights /= weights.sum()
                some = kept[kept < seen]
                held.append(weights[some].sum())
                whole = weights @ values[own, :seen]
                part = weights[some] @ values[own, some] / weights[some].sum()
                difference += ((part - whole) ** 2).sum()
                size += (whole**2).sum()
            masses.append(np.mean(held))
        errors.append(math.sqrt(difference / size))
    return float(np.mean(masses)), float(np.min(masses)), float(np.mean(errors))


@pytest.mark.parametrize("method", ["snapkv", "dynamickv", "streamingllm", "keydiff"])
def test_numbers_are_those_of_plain_loops(file: Path, cache: Cache, method: str) -> None:
    info = next(info for info in kvsieve.methods() if info.name == method)
    parameters = {"ratio": 0.3, **({"window": 8} if any(one.name == "window" for one in info.parameters) else {})}
    found = compare(read_cache(file), method, parameters)
    with read_cache(file).through(method, parameters, 0.0) as plan:
        mass, least, error = by_loops(cache, plan)
        rows = np.mean([plan.kept(layer).counts.mean() for layer in range(LAYERS)])
    assert found.method == method and found.rows == rows and found.share == rows / TOKENS
    assert (found.mass, found.mass_least, found.error) == pytest.approx((mass, least, error), rel=1e-4)
    assert found.seconds > 0


def test_without_a_command_it_says_what_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    output = capsys.readouterr().out
    assert output.startswith(kvsieve.build_info())
    for method in kvsieve.methods():
        assert f"  {method.name} " in output and method.choose in output and method.paper in output


def test_a_line_a_method(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["compare", str(file), "--keep", "0.9", "--set", "window=4"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["rows", "share", "mass", "least", "error", "ms"]
    assert [line.split()[0] for line in lines] == [method.name for method in kvsieve.methods()]


def test_what_a_method_refuses_stands_in_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--keep", "0.3", "--method", "snapkv", "--method", "random", "--set", "snapkv.window=64"]
    assert command.main(["compare", str(file), *arguments]) == 0
    _, refused, line = capsys.readouterr().out.splitlines()
    assert refused.startswith("snapkv       refused: ratio 0.3 of ") and line.startswith("random ")


def test_nothing_to_compare_is_a_failure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["compare", str(file), "--keep", "0.001", "--method", "snapkv"]) == 2
    assert "no method could choose from" in capsys.readouterr().err


def test_without_values_the_error_is_not_known(
    tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "qk.npz"
    np.savez(path, q=cache.queries, k=cache.keys)
    assert command.main(["compare", str(path), "--keep", "0.9", "--method", "snapkv", "--set", "window=4"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-2] == "-"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--method", "snapvk"], "method is 'snapvk': expected one of "),
        (["--keep", "12"], "--keep is 12: expected a share of the tokens, more than 0 and at most 1"),
        (["--keep", "nan"], "--keep is nan: expected a share"),
        (["--set", "budget"], "--set is 'budget': expected NAME=VALUE"),
        (["--method", "snapkv", "--set", "size=3"], "snapkv has no parameter 'size'"),
        (["--set", "tova.ratio=0.5", "budget=64"], "--set gives tova a budget and a ratio: expected one of them"),
        (
            ["--keep", "0.3", "--set", "budget=64"],
            "--keep is 0.3, and --set gives every method a budget or ratio: expected",
        ),
        (["-o", "."], "--output is ., a folder: expected a file's name"),
        (["-o", "no/such/kept.png"], "--output is no/such/kept.png: there is no folder no/such"),
    ],
)
def test_a_wrong_argument_is_a_sentence(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert command.main(["compare", str(file), *arguments]) == 2
    said = capsys.readouterr()
    assert f"python -m kvsieve: {sentence}" in said.err and said.out == ""


def damaged(name: str, path: Path, cache: Cache) -> None:
    q, k, v = cache.queries, cache.keys, cache.values
    if name == "other content":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("k.npy", b"hello")
    elif name == "no header":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("k.npy", b"\x93NUMPY\x01\x00\x20\x00{'descr': ((((((((((((((((  ")
    elif name == "huge":
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 99999999999999, 9999), }"
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("k.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    elif name == "encrypted":
        np.savez(path, k=k)
        content = bytearray(path.read_bytes())
        for mark in (b"PK\x03\x04", b"PK\x01\x02"):
            content[content.index(mark) + (6 if mark[2] == 3 else 8)] |= 1
        path.write_bytes(content)
    elif name == "objects":
        np.savez(path, k=np.array([None], object))
    else:
        wrong: dict[str, dict[str, Any]] = {
            "more rows than tokens": {"q": np.zeros((LAYERS, 4, TOKENS + 1, 16), np.float32)},
            "another D": {"q": q[..., :8]},
            "heads that do not divide": {"q": q[:, :3]},
            "other tokens": {"v": v[:, :, 1:]},
            "NaN": {"k": np.where(np.arange(16) == 3, np.nan, k).astype(np.float32)},
            "infinity": {"v": np.where(np.arange(16) == 3, np.inf, v).astype(np.float32)},
            "overflow": {"q": q * np.float32(1e38), "k": k * np.float32(1e30)},
        }
        np.savez(path, q=wrong[name].get("q", q), k=wrong[name].get("k", k), v=wrong[name].get("v", v))


@pytest.mark.parametrize(
    "name",
    ["other content", "no header", "huge", "encrypted", "objects", "more rows than tokens", "another D"]
    + ["heads that do not divide", "other tokens", "NaN", "infinity", "overflow"],
)
def test_a_damaged_file_is_one_sentence(
    tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "damaged.npz"
    damaged(name, path, cache)
    arguments = ["--keep", "0.5", "--method", "snapkv", "--method", "keydiff", "--set", "window=8"]
    assert command.main(["compare", str(path), *arguments]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("python -m kvsieve: ") and said.err.count("\n") == 1
    assert "nan" not in said.out and all("refused: " in line for line in said.out.splitlines()[1:])


def test_arrays_of_any_order_are_taken(tmp_path: Path, cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for order in (np.ascontiguousarray, np.asfortranarray):
        path = tmp_path / f"{order.__name__}.npz"
        np.savez(path, q=order(cache.queries), k=order(cache.keys), v=order(cache.values))
        assert command.main(["compare", str(path), "--keep", "0.5", "--method", "snapkv"]) == 0
        outputs.append(capsys.readouterr().out.splitlines()[1].split()[:-1])
    assert outputs[0] == outputs[1]


@pytest.fixture
def keys_alone(tmp_path: Path, cache: Cache) -> Path:
    path = tmp_path / "k.npz"
    np.savez(path, k=cache.keys)
    return path


def test_without_queries_the_attention_is_not_known(keys_alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Methods that read queries are refused in their line, the others are compared by what they keep."""
    assert command.main(["compare", str(keys_alone), "--keep", "0.3"]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    blind = {"keydiff", "streamingllm", "random"}
    for words, info in zip(map(str.split, lines), kvsieve.methods()):
        assert words[0] == info.name
        if info.name in blind:
            assert words[1:-1] == ["60.0", "30.0", "%", "-", "-", "-"]
        else:
            assert words[1] == "refused:" and "reads queries: expected an array q" in " ".join(words)


def test_without_queries_there_is_no_picture(keys_alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = keys_alone.with_suffix(".png")
    assert command.main(["compare", str(keys_alone), "--method", "keydiff", "-o", str(output)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and f"which {keys_alone} does not tell: expected an array q" in said.err
    assert not output.exists()


def rows_by_method(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The second column."""
    assert command.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len({line.split()[0] for line in lines}) == len(lines)
    return {name: rows for name, rows, *_ in map(str.split, lines)}


BOTH = ["--method", "snapkv", "--method", "tova"]


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ([*BOTH, "--set", "budget=64"], {"snapkv": "64.0", "tova": "64.0"}),
        ([*BOTH, "--keep", "0.5", "--set", "snapkv.budget=33"], {"snapkv": "33.0", "tova": "100.0"}),
        ([*BOTH, "--set", "ratio=0.4"], {"snapkv": "80.0", "tova": "80.0"}),
        ([*BOTH, "--set", "snapkv.ratio=0.4", "tova.budget=21"], {"snapkv": "80.0", "tova": "21.0"}),
        (["--method", "TOVA", "--method", "tova", "--set", "Tova.budget=21"], {"tova": "21.0"}),
        (["--method", "Task-KV", "--method", "taskkv", "--keep", "1", "--set", "taskkv.sinks=2"], {"taskkv": "200.0"}),
        (["--method", "Task-KV", "--keep", "1", "--set", "Task-KV.sinks=2", "sinks=3"], {"taskkv": "200.0"}),
    ],
)
def test_what_is_set_is_kept(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], rows: dict[str, str]
) -> None:
    assert rows_by_method(["compare", str(file), *arguments], capsys) == rows


def test_where_nothing_is_said_it_keeps_what_help_says(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rows_by_method(["compare", str(file), "--method", "tova"], capsys) == {"tova": f"{TOKENS * 0.12:.1f}"}
    with pytest.raises(SystemExit):
        command.main(["compare", "--help"])
    assert "no budget or ratio; default 0.12" in " ".join(capsys.readouterr().out.split())


def test_the_picture_is_written(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "compared.png"
    assert command.main(["compare", str(file), "--keep", "0.9", "--set", "window=4", "-o", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.width == 790
    assert path.stat().st_size < 50_000
