"""What the table stands on, as tests: the questions, the training batches, both ways to answer, counting, going on with a run.

Each function yields (what, whether it holds); check.py prints them. Not here: what a method must reach (check.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from answers import IN_WINDOW, MODELS, NOT_YET_KNOWN, Answerer, Outcome
from counting import Cell, cells_of, wilson
from drill import COPY, HOP, KINDS, RECALL, WRITTEN, Drill, Stage
from raw import open_raw
from recall.prompts import TOKENS, PromptMaker
from report import markdown
from settings import settings
from tasks import GIVEN, STRING, TASKS, QuestionMaker

Checks = Iterator[tuple[str, bool]]
WAYS = (IN_WINDOW, NOT_YET_KNOWN)
SECOND = "6 layers"
WORKED = {(0, 10): (0.0, 0.2775), (5, 10): (0.2366, 0.7634), (8, 10): (0.4902, 0.9433), (10, 10): (0.7225, 1.0)}
"""Wilson's interval by hand: middle (p + z^2 / 2n) / (1 + z^2 / n), z^2 = 3.8415."""


def after(tokens: np.ndarray, mark: int, key: int, length: int) -> list[int]:
    """The `length` tokens behind the only place where `mark` and `key` stand side by side."""
    (place,) = np.flatnonzero((tokens[:-1] == mark) & (tokens[1:] == key))
    found: list[int] = tokens[place + 2 : place + 2 + length].tolist()
    return found


def questions() -> Checks:
    """A reader who knows the rules finds each answer in the context, and nowhere else."""
    maker = QuestionMaker(MODELS[SECOND], 5)
    fact, link = maker.special["FACT"], maker.special["LINK"]
    for task in TASKS:
        good = True
        for index in range(20):
            drawn = maker.draw(task, index)
            context, question, answer = drawn.context, drawn.question, drawn.answer
            good &= len(drawn.tokens) == TOKENS
            if task == "recall":
                good &= after(context, fact, question[1], 2) == answer
            elif task == "aggregation":
                good &= [maker.majority(context)] == answer
            elif task == "copy":
                (start,) = np.flatnonzero(context == question[0])
                good &= context[start : start + STRING].tolist() == question + answer and len(question) == GIVEN
                good &= all((context == token).sum() == 1 for token in question + answer)
            else:
                (end,) = after(context, link, question[1], 1)
                values = after(context, fact, end, 2)
                good &= answer == (values if task == "two-hop" else [end, *values])
                good &= (context == question[1]).sum() == 1
        yield f"questions: the answer of {task} is what the context says", good
        again = QuestionMaker(MODELS[SECOND], 5).draw(task, 3).tokens
        others = maker.draw(task, 4).tokens, QuestionMaker(MODELS[SECOND], 6).draw(task, 3).tokens
        yield f"questions: seed and index decide what {task} asks", bool((again == maker.draw(task, 3).tokens).all())
        yield f"questions: another seed or index is another {task}", all((again != other).any() for other in others)


def batches() -> Checks:
    """What training calls the answer is what the prompt's context says."""
    drill = Drill(PromptMaker(MODELS[SECOND], 0))
    special = drill.special
    seen: set[str] = set()
    good = True
    for step in range(12):
        stage = Stage("", 96, 4, 1, 1.0, 0.8, (3, 2, 3))
        batch = drill.batch(np.random.default_rng([5, step]), stage)
        for tokens, kinds in zip(batch.tokens, batch.kinds):
            context = tokens[:97]
            good &= not kinds[:97].any()
            for start in np.flatnonzero((kinds[1:] > 0) & (kinds[:-1] == 0)) + 1:
                kind = KINDS[kinds[start] - 1]
                length = int(np.argmin(np.append(kinds[start:] == kinds[start], False)))
                answer, asked = tokens[start : start + length].tolist(), int(tokens[start - 1])
                seen.add(kind)
                if kind == RECALL:
                    good &= answer == after(context, special["FACT"], asked, 2)
                elif kind in (WRITTEN, HOP):
                    (end,) = after(context, special["LINK"], asked, 1)
                    values = after(context, special["FACT"], end, 2)
                    good &= answer == (values if kind == HOP else [end, *values])
                elif kind == COPY:
                    (place,) = np.flatnonzero(context == asked)
                    good &= context[place + 1 : place + 1 + length].tolist() == answer
                else:
                    good &= [drill.maker.majority(context)] == answer
    yield "training: each answer is what its prompt says", good
    yield "training: every kind of question comes", seen == set(KINDS)
    strings = drill.batch(np.random.default_rng(5), Stage("", 0, 4, 1, 1.0))
    half = strings.tokens.shape[1] // 2
    twice = np.array_equal(strings.tokens[:, 1 : 1 + half], strings.tokens[:, 1 + half :])
    yield "training: a string to copy stands there twice", twice and bool((strings.kinds[:, half + 2 :] > 0).all())


def ways_to_answer() -> Checks:
    """A context prefilled with its question behind has the rows of one prefilled alone; both ways give one answer."""
    answerer = Answerer("4 layers", 5)
    drawn = answerer.maker.draw("recall", 0)
    known = len(drawn.context)
    whole, alone = (answerer.llama.prefill(tokens, TOKENS) for tokens in (drawn.tokens, drawn.context))
    same = all(
        np.allclose(one.keys[:, :known], other.keys, atol=1e-4)
        and np.allclose(one.queries[:, :known], other.queries, atol=1e-4)
        and np.allclose(one.values[:, :known], other.values, atol=1e-4)
        for one, other in zip(whole, alone)
    )
    yield "answers: the question changes nothing of the context's rows", same
    for index in range(2):
        everything = answerer.examine("recall", index, [(setting, 1.0) for setting in settings()])
        by_question = {question: {one.tokens for one in everything if one.question == question} for question in WAYS}
        yield (
            f"answers: a share of 100 % answers as the full cache does, prompt {index}",
            by_question == {question: {2} for question in WAYS},
        )
        # WindowKV's pyramid gives the last layers less than the budget, whatever the budget is.
        kept = {(one.question, one.kept) for one in everything if one.setting != "windowkv"}
        yield (
            f"answers: a share of 100 % keeps every row, prompt {index}",
            kept
            == {
                (IN_WINDOW, TOKENS),
                (NOT_YET_KNOWN, TOKENS - 2),
            },
        )


def counting() -> Checks:
    """Intervals against numbers worked by hand; a raw file that is gone on with."""
    for (right, prompts), wanted in WORKED.items():
        close = np.allclose(wilson(right, prompts), wanted, atol=5e-5)
        yield f"counting: Wilson's interval of {right} of {prompts}", close
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "raw.csv"
        outcomes = [
            Outcome(IN_WINDOW, "snapkv", 0.12, 245, 2, True),
            Outcome(IN_WINDOW, "taskkv", 0.035, 0, 0, False),
        ]
        open_raw(path, "seed 1").add(("4 layers", "recall", 0), outcomes)
        open_raw(path, "seed 1").add(("4 layers", "recall", 1), [outcomes[0], outcomes[1]])
        again = open_raw(path, "seed 1")
        yield (
            "counting: a raw file has what was added, over two runs",
            again.outcomes == {("4 layers", "recall", index): outcomes for index in (0, 1)},
        )
        cells = cells_of(again, 2)
        wanted_cells = [
            Cell("4 layers", "recall", IN_WINDOW, "snapkv", 0.12, 245, 2, 2),
            Cell("4 layers", "recall", IN_WINDOW, "taskkv", 0.035, 0, 0, 2),
        ]
        yield "counting: cells are the outcomes counted", cells == wanted_cells
        full = Cell("4 layers", "recall", IN_WINDOW, "full cache", 1.0, 2048, 2, 2)
        other = Cell("4 layers", "recall", IN_WINDOW, "taskkv", 0.12, 245, 1, 2)
        text = markdown([full, cells[0], Cell(*place(cells[0], 0.035), 71, 0, 2), other, cells[1]], "origin")
        yield (
            "counting: a row a setting, a column a share, refused if it was",
            ("| snapkv | 100 (34 to 100) | 0 (0 to 66) |\n| taskkv | 50 (9 to 91) | refused |" in text),
        )
        try:
            open_raw(path, "seed 2")
            yield "counting: a raw file of something else is refused", False
        except ValueError as error:
            yield "counting: a raw file of something else is refused", "seed 2" in str(error)


def place(cell: Cell, share: float) -> tuple[str, str, str, str, float]:
    return cell.model, cell.task, cell.question, cell.setting, share
