"""Free generation: a prompt is compressed, then every variant goes on by itself, greedily, beside the whole cache.

Here: where it says something else first, how much is the same, and the divergence over the whole cache's own words. Not here:
prompts (tasks, with the question seen), choices (choices.py). After a different token two texts are different: `alike` counts what is
the same at the same place all the same, and the judgement over the whole cache's words is teacher-forced.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from choices import Choice, choose
from judge import by_token, log_probabilities
from language import END
from later_records import Later, Stage, judged_row
from llama import Kept
from records import Pair
from setting import FULL
from subjects import subject
from tasks import SEEN, TASKS
from unit import greedy

AT_ONCE = 12  # variants whose logits are there at once


def examine(stages: Sequence[Stage], wanted: Sequence[Pair]) -> list[Later]:
    """A row for the whole cache, and for each setting and share, of each stage."""
    return [row for stage in stages for row in _examined(stage, wanted)]


def _examined(stage: Stage, wanted: Sequence[Pair]) -> list[Later]:
    model = subject(stage.model)
    prompt = TASKS[stage.task].make(model.words, stage.length, stage.seed, SEEN)
    prefix = model.llama.prefill(prompt.context)
    choices: list[Choice | None] = [None, *(choose(setting, model.llama, prefix, share) for setting, share in wanted)]
    about = [(FULL, "-", 1.0), *((setting.name, setting.digest, share) for setting, share in wanted)]
    kept: list[Kept | None] = [choice.kept if choice else None for choice in choices]

    said = greedy(model.llama, prefix, kept, prompt.stem, stage.more)
    own = until(said[0].tolist(), model.words.encode(END)[0])
    fed, begin, rows, whole = [*prompt.stem, *own[:-1]], len(prompt.stem) - 1, [], None
    for start in range(0, len(kept), AT_ONCE):
        suffix = model.llama.suffix(prefix, kept[start : start + AT_ONCE], fed)
        for place, logits in enumerate(model.llama.logits(suffix.hidden[:, begin:]), start):
            if whole is None:
                whole = log_probabilities(logits)
            choice, same = choices[place], said[place, : len(own)] == own
            rows.append(
                judged_row(
                    stage,
                    "own",
                    *about[place],
                    choice.share if choice else 1.0,
                    by_token(logits, own, whole),
                    first=int(np.append(same, False).argmin()),
                    alike=int(same.sum()),
                )
            )
    return rows


def until(tokens: list[int], end: int) -> list[int]:
    """Up to the first `end`, it included: what comes later nobody would read."""
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens
