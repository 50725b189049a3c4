"""Tests of what happens after a prefill: prompts, units from beginning to end, resuming, cells worked by hand.

Not here: what a token sees in a cache (check_caches.py).
"""

from __future__ import annotations

import argparse
import math
import tempfile
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import generation
import later
import later_cells
from check_caches import DECODING
from check_model import recall, words
from check_results import close
from check_tasks import Letters
from intervals import student
from later_records import Later, Stage
from records import read_as, write
from setting import FULL, Setting
from subjects import SUBJECTS, Subject
from tasks import SEEN, UNSEEN, long_text, turns

import decoding


class Small(Letters):
    """A character a token of the small model; 496 tokens."""

    def encode(self, text: str) -> list[int]:
        return [8 + ord(letter) % 480 for letter in text]

    @cached_property
    def passages(self) -> list[list[list[int]]]:
        return [[words(100 * topic + part, 40) for part in range(19)] for topic in range(5)]


@cache
def small() -> Small:
    SUBJECTS["later"] = lambda: Subject(recall(), small())
    return Small()


STAGES = {
    "decoding": [Stage("decoding", "later", "text", 200, 150, seed) for seed in (0, 3)],
    "generation": [Stage("generation", "later", "continuation", 700, 12, 1)],
    "followups": [Stage("followups", "later", "seen", 700, 3, 1), Stage("followups", "later", "unseen", 700, 3, 1)],
}


def examined(name: str, settings: list[Setting], size: float) -> dict[tuple[str, int, str, str], Later]:
    small()
    rows = later.EXPERIMENTS[name].examine(STAGES[name], [(setting, size) for setting in settings])
    found = {(row.task, row.seed, row.part, row.setting): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_a_cache_that_keeps_all_is_the_whole_cache() -> None:
    """Each experiment, nothing dropped: not a token differs, whatever the method. Whole rows are their own yardstick."""
    for name, size in (("decoding", 600), ("generation", 1.0), ("followups", 1.0)):
        chosen = DECODING if name == "decoding" else [*DECODING, Setting("adakv", "adakv"), Setting("random", "random")]
        found = examined(name, chosen, size)
        parts = {"decoding": 5, "generation": 1, "followups": 3}[name]
        assert len(found) == len(STAGES[name]) * parts * (1 + len(chosen))
        for (task, seed, part, _), row in found.items():
            whole = found[task, seed, part, FULL]
            assert whole.kl == 0 and whole.agree == whole.tokens and row.held <= 1
            assert (row.agree, row.hits, row.first, row.alike) == (whole.tokens, whole.hits, whole.first, whole.alike)
            assert abs(row.kl) < 1e-5 and abs(row.nll - whole.nll) < 1e-4, row
            assert row.first == row.alike == (row.tokens if name == "generation" else -1)


def test_less_kept_is_another_text() -> None:
    """What is kept says something else: no experiment compares the whole cache with itself. Parts are of their tokens."""
    for name, size in (("decoding", 40), ("generation", 0.1), ("followups", 0.1)):
        found = examined(name, [DECODING[3], DECODING[4]], size)
        for row in found.values():
            if row.setting != FULL:
                assert row.kl > 1e-4, row
                assert -1 <= row.first <= row.alike <= row.tokens
    found = examined("decoding", [DECODING[3]], 40)
    tokens = {part: found["text", 0, part, "streamingllm"].tokens for part in ("text", "answer")}
    assert tokens == {"text": 149, "answer": 5}
    stretches = [found["text", 3, f"text from {first}", "streamingllm"] for first in (0, 50, 100)]
    whole = found["text", 3, "text", "streamingllm"]
    assert [row.tokens for row in stretches] == [50, 50, 49] and sum(row.hits for row in stretches) == whole.hits
    assert close(sum(row.nll * row.tokens for row in stretches) / 149, whole.nll, 1e-5)


def test_documents_together_are_as_alone() -> None:
    """TOVA steps through several documents at once; their questions are not of one length."""
    small()
    wanted = [(setting, 40.0) for setting in DECODING]
    together = decoding.examine(STAGES["decoding"], wanted)
    alone = [row for stage in STAGES["decoding"] for row in decoding.examine([stage], wanted)]
    assert [replace(row, nll=0, kl=0) for row in together] == [replace(row, nll=0, kl=0) for row in alone]
    assert all(abs(one.nll - other.nll) < 1e-4 and abs(one.kl - other.kl) < 1e-4 for one, other in zip(together, alone))
    texts = [long_text.make(small(), 200, 150, seed) for seed in (0, 3)]
    assert len({len(text.question) for text in texts}) == 2


def test_generation_ends_where_the_whole_cache_does() -> None:
    assert generation.until([5, 6, 7, 6], 6) == [5, 6] and generation.until([5, 6], 7) == [5, 6]


def test_long_texts_have_the_fact_near_the_begin() -> None:
    letters, name = Letters(), r"The secret code of "
    for seed in range(6):
        one = long_text.make(letters, 2000, 900, seed)
        assert (len(one.prompt), len(one.text)) == (2000, 900)
        before = letters.decode(one.prompt)
        begin, code = before.index(name), letters.decode(one.answer)
        assert len(code) == 5 and f"is {code}.\n\n" in before and letters.decode(one.prompt + one.text).count(name) == 1
        assert before[begin - 2 : begin] in ("\n\n", "r\n") and begin < 1200  # between paragraphs, or the first
        assert letters.decode(one.question).count(before[begin:].split(" is ")[0][len(name) :]) == 2
        assert one == long_text.make(letters, 2000, 900, seed)
    starts = {tuple(long_text.make(letters, 2000, 900, seed).text) for seed in range(6)}
    assert len(starts) == 6
    try:
        long_text.make(letters, 2000, 900, 10_000)
    except ValueError as error:
        assert "10000" in str(error)
    else:
        raise AssertionError("a text that is not there was made")


def test_turns_ask_for_each_code_once() -> None:
    """Seen or unseen, the words are the same; only the place of the compression differs."""
    letters = Letters()
    for seed in range(4):
        both = [turns.make(letters, 3000, seed, query) for query in (SEEN, UNSEEN)]
        texts = []
        for conversation in both:
            assert len(conversation) == turns.TURNS
            answers = [letters.decode(turn.answer) for turn in conversation]
            fed = [[*turn.lead, *turn.asked, *turn.answer[:-1]] for turn in conversation]
            text = letters.decode([token for part in fed for token in part] + conversation[-1].answer[-1:])
            for answer in answers:
                assert text.count(f"is {answer}.") == (2 if answer != answers[-1] else 1) and text.count(answer) == 2
            texts.append(text)
        assert texts[0] == texts[1]
        seen, unseen = both
        assert all(letters.decode(turn.lead).endswith("<|im_start|>assistant\n") for turn in seen)
        assert not any("What is the secret" in letters.decode(turn.lead) for turn in unseen)


def test_stages_are_resumed_and_renewed() -> None:
    """What is there is not computed again; what is missing or was made with other parameters is."""
    small()
    one, two = Setting("one", "streamingllm"), Setting("two", "snapkv", {"window": 8})
    stage = STAGES["followups"][0]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        later.work(("followups", [stage], raw, [(one, 0.2)]))
        rows = read_as(Later, stage.path(raw))
        assert [(row.setting, row.part) for row in rows] == [
            (name, f"turn {turn}") for turn in (1, 2, 3) for name in (FULL, "one")
        ]
        marked = [replace(row, nll=77.0) for row in rows]  # nobody computes 77
        write(stage.path(raw), marked)
        later.work(("followups", [stage], raw, [(two, 0.2)]))
        after = [(row.setting, row.nll == 77.0) for row in read_as(Later, stage.path(raw))]
        assert [setting for setting, old in after if old] == ["one"] * 3
        assert sorted(setting for setting, old in after if not old) == [FULL] * 3 + ["two"] * 3
        changed = Setting("one", "streamingllm", {"sinks": 2})
        later.work(("followups", [stage], raw, [(changed, 0.2)]))
        assert {row.digest for row in read_as(Later, stage.path(raw)) if row.setting == "one"} == {changed.digest}


def options(**changes: Any) -> argparse.Namespace:
    common = dict(settings=["registry"], sizes=None, tasks=None, prompts=3, first=4, raw=Path("/nowhere"))
    return argparse.Namespace(**{**common, **changes})


def test_experiments_ask_for_what_can_run() -> None:
    """Decoding: methods that evict, and several prompts a job; the others: every method of the registry."""
    assert {setting.method for setting, _ in later.pairs(options(experiment="decoding"))} >= {"ahakv", "h2o", "tova"}
    assert all(setting.method != "snapkv" for setting, _ in later.pairs(options(experiment="decoding")))
    (job,) = later.jobs(options(experiment="decoding", prompts=8))
    assert [stage.seed for stage in job[1]] == list(range(4, 12))
    jobs = later.jobs(options(experiment="followups"))
    assert [(job[1][0].task, job[1][0].seed) for job in jobs[:3]] == [("seen", 4), ("unseen", 4), ("seen", 5)]
    assert len(jobs) == 6 and len({setting.method for setting, _ in jobs[0][3]}) >= 12
    assert [size for _, size in later.pairs(options(experiment="generation", settings=["snapkv"]))] == [0.2, 0.069]


def row(**changes: Any) -> Later:
    stage = dict(experiment="e", model="m", task="t", length=9, more=3, seed=0)
    counts = dict(part="p", setting="a", digest="0", size=0.5, held=0.5, tokens=4, right=1, hits=4, agree=2)
    return Later(**{**stage, **counts, **dict(nll=1.0, kl=0.5, first=1, alike=2), **changes})


def test_cells_pair_prompts() -> None:
    """Setting a is 0.5, 0.5, 0.8 above b; agree 1/4, 2/4, 3/4: mean 0.5, deviation 0.25."""
    rows = [row(seed=seed, nll=value, agree=seed + 1) for seed, value in enumerate([1.5, 2.5, 3.8])]
    rows += [
        row(seed=seed, nll=value, setting="b", right=0, first=-1, alike=-1) for seed, value in enumerate([1.0, 2, 3])
    ]
    rows += [row(seed=seed, setting=FULL, size=1.0) for seed in range(3)]
    one, other, full = later_cells.cells(rows, "b")
    assert (one.setting, one.right, one.prompts, full.setting) == ("a", 3, 3, FULL)
    assert close(one.nll_difference, 0.6) and close(one.nll_half, student(2) * math.sqrt(0.03 / 3))
    assert close(one.agree, 0.5) and close(one.agree_half, student(2) * 0.25 / math.sqrt(3))
    assert (
        close(one.first, 0.25) and close(one.alike, 0.5) and math.isnan(other.first) and math.isnan(full.kl_difference)
    )
    text = later_cells.markdown([one, other, full], "right").split("\n")
    assert text[0] == "e, m, t, 9 tokens and 3 more: right, 3 prompts"
    assert text[2:] == [
        "| setting | p, 50 % |",
        "|---|---|",
        "| full | 3 of 3 [44, 100 %] |",
        "| a | 3 of 3 [44, 100 %] |",
        "| b | 0 of 3 [0, 56 %] |",
    ]
    assert "| a | 2.600 (+0.600 ±" in later_cells.markdown([one, other], "nll")
    asked: dict[str, list[str]] = dict(parts=["p", "q"], settings=["b"], tasks=[])
    assert [later.shown(cell, argparse.Namespace(**asked)) for cell in (one, other, full)] == [False, True, True]
    assert not later.shown(full, argparse.Namespace(**{**asked, "parts": ["q"]}))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "a.csv", [one, other], digits=4, ends="\n")
        back = read_as(later_cells.LaterCell, Path(folder) / "a.csv")
    assert back[0].where == one.where and close(back[0].nll_half, one.nll_half, 1e-3) and math.isnan(back[1].first)
