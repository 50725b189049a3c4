"""The Python part of the manual, by pdoc, of the docstrings: python_pages.py FOLDER.

A docstring here is plain text: its columns stay columns.
"""

from __future__ import annotations

import html
import re
import sys
import warnings
from pathlib import Path

import pdoc
from pdoc import render

HERE = Path(__file__).resolve().parent
# What names of other modules are documented where the package has them.
MODULES = ("kvsieve", "kvsieve.plot", "kvsieve.lmcache", "!kvsieve.plan", "!kvsieve.errors")


def docstring(text: str) -> str:
    """Paragraphs, and as they are lines that are indented or have columns, with the lines that go with them."""
    out = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.split("\n")
        marked = [line.startswith(" ") or bool(re.search(r"\S {2,}\S", line)) for line in lines]
        begin = next((i for i, mark in enumerate(marked) if mark), len(lines))
        end = max((i + 1 for i, mark in enumerate(marked) if mark), default=len(lines))
        out += [paragraph(lines[:begin]), columns(lines[begin:end]), paragraph(lines[end:])]
    return "".join(out)


def paragraph(lines: list[str]) -> str:
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape("\n".join(lines)))
    return f"<p>{text}</p>" if text.strip() else ""


def columns(lines: list[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>" if lines else ""


def main() -> None:
    # The constructor of a NamedTuple has annotations, but not the module in which they mean something.
    warnings.filterwarnings("ignore", message=r"Error parsing type annotation ForwardRef.*\.__init__\.")
    render.configure(docformat="restructuredtext", search=False, show_source=False, template_directory=HERE / "python")
    render.env.filters["docstring"] = docstring
    pdoc.pdoc(*MODULES, output_directory=Path(sys.argv[1]))


if __name__ == "__main__":
    main()
