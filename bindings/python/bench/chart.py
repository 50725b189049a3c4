"""The README's chart of times: a panel an instruction set, a bar a contender.      chart.py PICTURE CSV [CSV ...]

Each CSV is what `peers.py --csv` has written. Shown is one layer of TOKENS tokens, with glibc's malloc as it is.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.figure import Figure

TOKENS = 32_768
NAMES = {
    "kvsieve, DynamicKV": "kvsieve",
    "numpy, head by head, reused memory": "numpy, memory reused",
    "torch, head by head, reused memory": "torch, memory reused",
    "torch, whole layer, new tensors": "torch, whole layer",
    "kvpress, SnapKVPress.compress": "kvpress 0.5.5",
}
WORDS = {"avx512": "AVX-512", "avx512bf16": "AVX-512", "avx2": "AVX2"}
COLOURS = {"f32": "#1f65a8", "bf16": "#9cc3e6"}


def cells(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if int(row["tokens"]) == TOKENS and row["malloc"] == "glibc's malloc"]


def draw(files: list[list[dict[str, str]]]) -> Figure:
    figure = Figure(figsize=(4.4 * len(files), 2.9), layout="constrained")
    panels = figure.subplots(1, len(files), sharex=True, sharey=True, squeeze=False)[0]
    most = max(float(row["ms"]) for rows in files for row in rows if row["who"] in NAMES)
    for panel, rows in zip(panels, files):
        ours = {row["dtype"]: float(row["ms"]) for row in rows if row["who"] == "kvsieve, DynamicKV"}
        for place, who in enumerate(NAMES):
            for shift, dtype in ((-0.2, "f32"), (0.2, "bf16")):
                for row in rows:
                    if (row["who"], row["dtype"]) != (who, dtype):
                        continue
                    ms = float(row["ms"])
                    panel.barh(place + shift, ms, 0.38, color=COLOURS[dtype], label=dtype if place == 0 else None)
                    times = "" if place == 0 else f" ({ms / ours[dtype]:.2g}x)"
                    panel.text(ms, place + shift, f" {ms:.0f} ms{times}", va="center", fontsize=8)
        panel.set_yticks(range(len(NAMES)), list(NAMES.values()))
        panel.set_title(WORDS[rows[0]["instructions"]], fontsize=10)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlim(0, 1.3 * most)
    panels[0].invert_yaxis()
    panels[-1].legend(loc="upper right", frameon=False, fontsize=8)
    figure.supxlabel(f"CPU ms for one layer of {TOKENS:,} tokens, one thread", fontsize=9)
    return figure


def main(picture: str, *paths: str) -> None:
    draw([cells(Path(path)) for path in paths]).savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
