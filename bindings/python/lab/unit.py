"""One unit from beginning to end: prompt, prefill, choices, suffix over all of them, judgement.

Here: a prefill that serves every setting and share. Not here: which units there are, processes, files (run.py, records.py).
Letters: B variants, S suffix tokens, A answer tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from choices import Choice, choose
from judge import judge, log_probabilities
from llama import Kept, Llama, Prefix
from records import Row, Unit
from setting import FULL, Setting
from subjects import subject
from tasks import TASKS

SUFFIX_ROWS = 1024  # B * S at once: the logits of 1,024 tokens are 200 MB
FULL_DIGEST = "-"


def examine(unit: Unit, wanted: Sequence[tuple[Setting, float]]) -> list[Row]:
    """A row for the whole cache, and one for each setting and share."""
    model = subject(unit.model)
    prompt = TASKS[unit.task].make(model.words, unit.length, unit.seed, unit.query)
    prefix = model.llama.prefill(prompt.context)
    answer = prompt.answer or own_words(model.llama, prefix, prompt.stem, prompt.own)
    fed = [*prompt.stem, *answer[:-1]]
    first = len(prompt.stem) - 1  # the token whose logits are judged first

    choices: list[Choice | None] = [None, *(choose(setting, model.llama, prefix, share) for setting, share in wanted)]
    about = [(FULL, FULL_DIGEST, 1.0), *((setting.name, setting.digest, share) for setting, share in wanted)]
    rows, whole, at_once = [], None, max(1, SUFFIX_ROWS // len(fed))
    for start in range(0, len(choices), at_once):
        some = choices[start : start + at_once]
        suffix = model.llama.suffix(prefix, [choice.kept if choice else None for choice in some], fed)
        said = model.llama.logits(
            suffix.hidden[:, first:]
        )  # (B, A, vocabulary): at once, as the matrix is read once then
        for number, choice in enumerate(some):
            logits = said[number]
            if whole is None:
                whole = log_probabilities(logits)
            judged = judge(logits, answer, whole)
            setting, digest, share = about[start + number]
            rows.append(
                Row(
                    **vars(unit),
                    setting=setting,
                    digest=digest,
                    share=share,
                    kept=choice.share if choice else 1.0,
                    right=int(judged.right),
                    digits=judged.digits,
                    tokens=len(answer),
                    nll=judged.nll,
                    kl=judged.kl,
                )
            )
    return rows


def own_words(llama: Llama, prefix: Prefix, stem: list[int], count: int) -> list[int]:
    """What the whole cache says after `stem`: `count` greedy tokens."""
    said: list[int] = greedy(llama, prefix, [None], stem, count)[0].tolist()
    return said


def greedy(llama: Llama, prefix: Prefix, variants: Sequence[Kept | None], stem: list[int], count: int) -> np.ndarray:
    """What each of B variants says by itself after `stem`: (B, count)."""
    past = llama.suffix(prefix, variants, stem)
    said = [llama.logits(past.hidden[:, -1]).argmax(axis=1)]
    while len(said) < count:
        past = llama.suffix(prefix, variants, said[-1][:, None], past)
        said.append(llama.logits(past.hidden[:, -1]).argmax(axis=1))
    return np.stack(said, axis=1)
