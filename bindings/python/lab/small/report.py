"""The cells as markdown: a table for each model, task and question, a row a setting, a column a kept share."""

from __future__ import annotations

from counting import Cell
from settings import FULL

HEAD = """# Right answers of two small models, from what each method keeps

A cell is the share of prompts whose answer is right in all its tokens, in percent; in brackets its 95 % interval (Wilson).
Made by `table.py`, not by hand. `README.md` says what the tasks and the settings are.
"""


def markdown(cells: list[Cell], origin: str) -> str:
    """`origin`: what the outcomes depend on, one line."""
    lines = [HEAD, f"{origin}.", ""]
    for place in dict.fromkeys((cell.model, cell.task, cell.question) for cell in cells):
        lines += _table(place, [cell for cell in cells if (cell.model, cell.task, cell.question) == place])
    return "\n".join(lines).rstrip() + "\n"


def _table(place: tuple[str, str, str], cells: list[Cell]) -> list[str]:
    model, task, question = place
    shares = sorted({cell.share for cell in cells if cell.setting != FULL}, reverse=True)
    by_place = {(cell.setting, cell.share): cell for cell in cells}
    full = by_place[FULL, 1.0]
    lines = [
        f"## {model}: {task}, question {question}",
        "",
        f"{full.prompts} prompts. The full cache: {_text(full)}.",
        "",
        f"| | {' | '.join(f'{100 * share:g} %' for share in shares)} |",
        f"|---{'|---' * len(shares)}|",
    ]
    for setting in dict.fromkeys(cell.setting for cell in cells if cell.setting != FULL):
        texts = [_text(by_place[setting, share]) for share in shares]
        lines.append(f"| {setting} | {' | '.join(texts)} |")
    return [*lines, ""]


def _text(cell: Cell) -> str:
    if cell.kept == 0:
        return "refused"
    low, high = cell.interval
    return f"{100 * cell.rate:.0f} ({100 * low:.0f} to {100 * high:.0f})"
