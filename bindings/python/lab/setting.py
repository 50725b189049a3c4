"""One setting: a name, a method, its parameters; and parameters that several sets share, with why they are as they are.

Not here: the sets (settings.py, ablation_settings.py), how a setting becomes kept rows (choices.py).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FULL = "full"
"""The whole cache: a row of every unit, at share 1."""

WINDOW = 16
"""Of every method in the registry's set, so that its table compares methods and not windows: the question and the end of
the chat turn are about 17 tokens, and at 3.5 % of 1,000 tokens a head keeps 35, of which 32 would leave 3 to choose."""


@dataclass(frozen=True)
class Setting:
    name: str
    method: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False
    """A chooser of ablations.py chooses, not the library; its switches are among the parameters."""
    vote: bool = False
    """All heads of all layers keep one set: the positions that most of them have chosen (vote.py)."""

    @property
    def digest(self) -> str:
        """Changes with everything but the name: rows of a setting that was changed are made anew."""
        chooser = "ours" if self.ours else "library"
        words = json.dumps([self.method, dict(self.parameters), chooser, *["vote"] * self.vote], sort_keys=True)
        return f"{zlib.crc32(words.encode()):08x}"


# WindowKV: 30 layers are five groups of 6; the pyramid keeps the published steepness 8 / 14. The window is charged, so that
# its budget is that of the others.
WINDOWKV = {"shared": 6, "pyramid": 10.5, "charge": 1}
# Task-KV: its 16 first and 256 last tokens alone are more than a quarter of 1,000.
TASKKV = {"sinks": 4, "recent": 32}
