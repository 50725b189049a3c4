"""Raw results of what happens after a prefill: decoding, free generation, follow-ups. One file a stage, as records.py writes them.

Here: the columns, the same for the three. Not here: what they come from (decoding.py, generation.py, followups.py), cells
(later_cells.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from judge import Tokens


@dataclass(frozen=True)
class Stage:
    """What one prefill serves: every setting and size."""

    experiment: str
    model: str
    task: str
    length: int
    """Tokens of the prompt, about."""
    more: int
    """What follows: tokens that are taken in or said, turns."""
    seed: int

    def path(self, raw: Path) -> Path:
        return raw / self.experiment / self.model / f"{self.task}-{self.length}-{self.more}" / f"{self.seed:04d}.csv"


@dataclass(frozen=True)
class Later(Stage):
    """What one part of a stage was like, for one setting and size."""

    part: str
    """Which tokens: of a text, an answer, a turn."""
    setting: str
    digest: str
    size: float
    """Asked for: rows a head, or a share; 1 for the whole cache."""
    held: float
    """Rows that were held when the part was said, of all tokens up to then; decoding: in the end."""
    tokens: int
    right: int
    """Every token of the part is the likeliest where it is due (teacher-forced)."""
    hits: int
    """How many are."""
    agree: int
    """How often the likeliest is the whole cache's likeliest, teacher-forced."""
    nll: float
    kl: float
    first: int
    """Running freely, how many tokens are the whole cache's before one is not; -1 if nothing ran freely."""
    alike: int
    """Running freely, how many tokens are the whole cache's at the same place; -1 likewise."""

    @property
    def key(self) -> tuple[str, str, float]:
        """As records.Row.key: all parts of a setting and size are made at once."""
        return self.setting, self.digest, self.size


def judged_row(
    stage: Stage,
    part: str,
    setting: str,
    digest: str,
    size: float,
    held: float,
    tokens: Tokens,
    first: int = -1,
    alike: int = -1,
) -> Later:
    """The row of a part whose tokens were judged."""
    return Later(
        **vars(stage),
        part=part,
        setting=setting,
        digest=digest,
        size=size,
        held=held,
        tokens=len(tokens.hits),
        right=int(tokens.hits.all()),
        hits=int(tokens.hits.sum()),
        agree=int(tokens.agree.sum()),
        nll=float(tokens.nll.mean(dtype="d")),
        kl=float(tokens.kl.mean()),
        first=first,
        alike=alike,
    )
