"""Tests of what runs and chooses: the forward pass against a plain one in double, ablations against the library, units.

Letters: L layers, Hq query heads, H key/value heads, D head size, T prompt tokens, S suffix tokens, N = T + S.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tasks
import unit
from choices import choose
from llama import Kept, Llama, Prefix, rotate
from records import Unit, read, write
from setting import FULL, Setting
from subjects import SUBJECTS, Subject
from tasks import NO_QUERY, Prompt, Task
from weights import half_split, load

import run

RECALL = Path(__file__).resolve().parent.parent / "examples/recall"
WORDS = 496
Turn = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
TOKENS = 300


@cache
def recall() -> Llama:
    return load(RECALL)


@cache
def prefix() -> Prefix:
    return recall().prefill(words(0, TOKENS))


def words(seed: int, count: int) -> list[int]:
    tokens: list[int] = np.random.default_rng(seed).integers(8, WORDS, count).tolist()
    return tokens


def some_rows(seed: int, share: float) -> Kept:
    """Rows at random, a different number for each head; one head keeps all, one a single row."""
    random, llama = np.random.default_rng(seed), recall()
    kept = [
        [np.flatnonzero(random.random(TOKENS) < share * random.uniform(0.5, 1.5)) for _ in range(llama.kv_heads)]
        for _ in range(llama.layers)
    ]
    kept[0][1], kept[-1][0] = np.arange(TOKENS), np.array([7])
    return kept


def in_double(llama: Llama, tokens: list[int], kept: Kept | None, prompt: int) -> np.ndarray:
    """Logits (S, V) of the tokens behind `prompt`, which see what is kept of it."""

    def sees(layer: int, head: int) -> np.ndarray:
        mask = np.tril(np.ones((len(tokens), len(tokens)), bool))
        if kept is not None:
            mask[prompt:, :prompt] = np.isin(np.arange(prompt), kept[layer][head])
        return mask

    return masked_in_double(llama, tokens, sees)[prompt - 1 :]


def masked_in_double(llama: Llama, tokens: list[int], sees: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Logits (N, V), all recomputed in double: who reads this reads the definition.

    sees(layer, key/value head) -> (N, N): which token sees which.
    """
    count, dim, group = len(tokens), llama.head_dim, llama.query_heads // llama.kv_heads
    x = llama.embedding[tokens].astype(np.float64)  # (N, E)
    angles = np.arange(count)[:, None] * llama.frequencies
    turn = np.exp(1j * angles)  # (N, D/2): a rotation of the plane (i, i + D/2)

    def normalized(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        found: np.ndarray = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + float(llama.epsilon)) * weight
        return found

    def turned(rows: np.ndarray) -> np.ndarray:
        planes = (rows[:, : dim // 2] + 1j * rows[:, dim // 2 :]) * turn
        return np.concatenate([planes.real, planes.imag], axis=1)

    for layer, block in enumerate(llama.blocks):
        y = normalized(x, block.attention_norm)
        mixed = np.empty((count, llama.query_heads * dim))
        for head in range(llama.query_heads):
            own, shared = slice(head * dim, (head + 1) * dim), slice(head // group * dim, (head // group + 1) * dim)
            q, k = turned(y @ block.query[own].T), turned(y @ block.key[shared].T)
            weights = np.where(sees(layer, head // group), np.exp(q @ k.T / dim**0.5), 0)
            mixed[:, own] = weights / weights.sum(axis=1, keepdims=True) @ (y @ block.value[shared].T)
        x = x + mixed @ block.attention_output.T
        y = normalized(x, block.mlp_norm)
        gate = y @ block.gate.T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ block.up.T)) @ block.down.T
    logits: np.ndarray = normalized(x, llama.final_norm) @ llama.output.T
    return logits


def test_suffix_is_a_masked_recomputation() -> None:
    """Three choices at once, the whole cache among them."""
    llama, after = recall(), words(1, 9)
    variants = [some_rows(2, 0.3), None, some_rows(3, 0.05)]
    hidden = llama.suffix(prefix(), variants, after).hidden
    for number, kept in enumerate(variants):
        plain = in_double(llama, words(0, TOKENS) + after, kept, TOKENS)
        assert abs(llama.logits(hidden[number]) - plain[1:]).max() < 1e-4
        assert abs(prefix().logits - plain[0]).max() < 1e-4


def test_rows_of_gguf_turn_as_rows_of_transformers() -> None:
    """Neighbours 2i, 2i+1 of GGUF's rows turned by angle i, as llama.cpp does: the logits of the same rows in this lab's order."""
    random, heads, dim, hidden, distance = np.random.default_rng(3), 2, 8, 5, 11
    query, key = random.standard_normal((2, heads * dim, hidden))
    token, other = random.standard_normal((2, hidden))
    frequencies = 10_000.0 ** -(np.arange(dim // 2) / (dim // 2))

    def by_neighbours(weight: np.ndarray, x: np.ndarray, position: int) -> np.ndarray:
        rows = (weight @ x).reshape(heads, dim // 2, 2)
        turned = (rows[..., 0] + 1j * rows[..., 1]) * np.exp(1j * position * frequencies)
        return np.stack([turned.real, turned.imag], axis=2).reshape(heads, dim)

    def by_halves(weight: np.ndarray, x: np.ndarray, position: int) -> np.ndarray:
        rows = (weight @ x).reshape(heads, 1, dim)
        angles = (position * frequencies)[None]
        return rotate(rows, np.cos(angles), np.sin(angles))[:, 0]

    def logits(turn: Turn, weights: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        found: np.ndarray = (turn(weights[0], token, 100) * turn(weights[1], other, 100 - distance)).sum(axis=1)
        return found

    ordered = half_split(query, heads), half_split(key, heads)
    theirs = logits(by_neighbours, (query, key))
    assert np.allclose(logits(by_halves, ordered), theirs, rtol=1e-6)
    assert not np.allclose(logits(by_halves, (query, key)), theirs, rtol=1e-2)


def test_suffix_in_two_parts_is_the_same() -> None:
    """`past` hands on what variants said: tokens that follow see it, at their positions."""
    llama, after, variants = recall(), words(4, 10), [some_rows(5, 0.2), None]
    at_once = llama.suffix(prefix(), variants, after)
    first = llama.suffix(prefix(), variants, after[:4])
    second = llama.suffix(prefix(), variants, after[4:], first)
    assert abs(second.hidden - at_once.hidden[:, 4:]).max() < 1e-4
    assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(second.keys, at_once.keys))


def test_tied_output_is_the_embedding() -> None:
    llama = recall()
    weights: dict[str, Any] = {"model.embed_tokens.weight": llama.embedding, "model.norm.weight": llama.final_norm}
    config = {"num_hidden_layers": 0, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32}
    tied = Llama({**config, "rms_norm_eps": 1e-6, "rope_parameters": {"rope_theta": 1.0}}, weights)
    assert np.array_equal(tied.logits(llama.final_norm[None]), llama.final_norm[None] @ llama.embedding.T)


def same_choice(method: str, parameters: dict[str, Any], share: float) -> None:
    one = choose(Setting("one", method, parameters), recall(), prefix(), share)
    other = choose(Setting("other", method, parameters, ours=True), recall(), prefix(), share)
    assert one.share == other.share
    for layer, (rows, ours) in enumerate(zip(one.kept, other.kept)):
        for head, (expected, found) in enumerate(zip(rows, ours)):
            assert np.array_equal(expected, found), f"{method} {parameters} {share}: layer {layer}, head {head}"


def test_ablations_with_all_parts_are_the_library() -> None:
    for share in (0.1, 0.57, 0.6, 1.0):
        for kernel in (1, 7, 15):
            same_choice("ahakv", {"window": 16, "score_kernel": kernel}, share)
    for share in (0.1, 0.57, 0.75, 1.0):
        for beta in (0.25, 0.5, 1):
            same_choice("taskkv", {"window": 16, "sinks": 4, "recent": 16, "beta": beta, "top": 2}, share)
        same_choice("taskkv", {"sinks": 0, "recent": 8, "semantic": 20, "pool_kernel": 1}, share)


def test_ablations_without_parts_are_the_yardsticks() -> None:
    """AhaKV without gain and prior is SnapKV; without recent accumulation too, H2O."""
    bare: dict[str, Any] = {"gain": False, "prior": False, "window": 16}
    snapkv = Setting("", "snapkv", {"window": 16, "pool_kernel": 7})
    assert not differ(chosen("ahakv", 0.2, score_kernel=7, **bare), choose(snapkv, recall(), prefix(), 0.2).kept)
    h2o = Setting("", "h2o", {"recent_ratio": 16 / 64})
    assert not differ(
        chosen("ahakv", 64 / TOKENS, accumulate="all", **bare), choose(h2o, recall(), prefix(), 64 / TOKENS).kept
    )


def chosen(method: str, share: float, **parameters: Any) -> Kept:
    return choose(Setting("", method, parameters, ours=True), recall(), prefix(), share).kept


def differ(one: Kept, other: Kept) -> bool:
    return any(not np.array_equal(a, b) for rows, ours in zip(one, other) for a, b in zip(rows, ours))


def test_every_switch_changes_the_choice() -> None:
    """A part that is switched off and changes nothing would make a row of the table that says nothing."""
    whole = chosen("ahakv", 0.6, window=16)
    for switch in ({"accumulate": "all"}, {"gain": False}, {"prior": False}):
        assert differ(whole, chosen("ahakv", 0.6, window=16, **switch)), switch
    parameters: dict[str, Any] = {"window": 16, "sinks": 4, "recent": 16, "beta": 0.5, "top": 2}
    whole = chosen("taskkv", 0.6, **parameters)
    for switch in ({"heads": "random"}, {"middle": False}):
        assert differ(whole, chosen("taskkv", 0.6, **parameters, **switch)), switch


def test_a_share_that_is_refused_becomes_the_smallest_that_is_not() -> None:
    choice = choose(Setting("", "snapkv", {"window": 32}), recall(), prefix(), 0.01)
    assert 32 / TOKENS <= choice.asked < 34 / TOKENS
    assert all(len(head) == 32 for layer in choice.kept for head in layer)
    assert abs(choice.share - 32 / TOKENS) < 1e-12


def copying(_: Any, length: int, seed: int, query: str) -> Prompt:
    """Random words; what the model says by itself is judged."""
    text = words(100 + seed, length)
    return Prompt(text[:-1], text[-1:], [], 5)


def test_a_unit_is_whole_resumed_and_renewed() -> None:
    """What is there is not computed again; what is missing or was made with other parameters is."""
    SUBJECTS["check"] = lambda: Subject(recall(), None)
    tasks.TASKS["check"] = Task("check", copying, (NO_QUERY,), exact=False, models=("check",))
    one, two = Setting("one", "snapkv", {"window": 8}), Setting("two", "streamingllm")
    with tempfile.TemporaryDirectory() as folder:
        job, raw = Unit("check", "check", 120, NO_QUERY, 3), Path(folder)
        run.work((job, raw, [(one, 0.5), (one, 0.25)]))
        rows = read(job.path(raw))
        assert [(row.setting, row.share, row.tokens) for row in rows] == [
            (FULL, 1, 5),
            ("one", 0.5, 5),
            ("one", 0.25, 5),
        ]
        assert rows[0].right == 1 and rows[0].kl == 0 and rows[0].nll > 0
        assert rows[2].kept == 0.25 or abs(rows[2].kept - 29 / 119) < 1e-5
        assert rows[2].kl > rows[1].kl > 0
        assert run.missing(job, raw, [(one, 0.25)]) is None

        marked = [replace(row, nll=77.0) for row in rows]  # nobody computes 77: rows that bear it were not made again
        write(job.path(raw), marked)
        run.work((job, raw, [(one, 0.5), (two, 0.25)]))
        now = {(row.setting, row.share): row.nll for row in read(job.path(raw))}
        assert now["one", 0.5] == now["one", 0.25] == 77.0 and now["two", 0.25] < 77.0

        changed = Setting("one", "snapkv", {"window": 16})
        run.work((job, raw, [(changed, 0.5)]))
        kept = [row for row in read(job.path(raw)) if row.setting == "one"]
        assert [(row.share, row.digest, row.nll < 77.0) for row in kept] == [(0.5, changed.digest, True)]
        assert not list(raw.rglob("*.new"))


def test_suffix_chunks_do_not_matter() -> None:
    """Variants are run some at a time: the same rows whatever that number is."""
    SUBJECTS["check"] = lambda: Subject(recall(), None)
    tasks.TASKS["check"] = Task("check", copying, (NO_QUERY,), exact=False, models=("check",))
    wanted = [(Setting("snapkv", "snapkv", {"window": 8}), share) for share in (0.5, 0.25, 0.1)]
    job, whole = Unit("check", "check", 120, NO_QUERY, 4), unit.SUFFIX_ROWS
    at_once = unit.examine(job, wanted)
    try:
        unit.SUFFIX_ROWS = 1
        singly = unit.examine(job, wanted)
    finally:
        unit.SUFFIX_ROWS = whole
    assert [row.key for row in at_once] == [row.key for row in singly]
    assert all(abs(one.nll - other.nll) < 1e-4 and abs(one.kl - other.kl) < 1e-4 for one, other in zip(at_once, singly))
