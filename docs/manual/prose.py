"""Plain comments as Doxygen reads them: sentences, terms with their meaning, columns, code. Nothing in a comment is a command.

Here: how lines of a comment become paragraphs. Not here: which comment belongs to what (header.py).
A comment is its lines, without the stars and without the indentation that they share.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

SLACK = 14  # columns: a line with so much room for the next word was ended on purpose
NAMES: set[str] = set()  # constants of the header, which are links wherever they are
TERM = re.compile(r"(\S.*?) {2,}(\S.*)$")


def body(comment: str) -> list[str]:
    """The lines of a comment in C, from the opening to the closing mark."""
    text = re.sub(r"^/\*\*?<?|\*/$", "", comment.strip())
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in text.split("\n")]
    lines[0] = lines[0].strip()
    while lines and not lines[-1]:
        lines.pop()
    return dedented(lines)


def dedented(lines: list[str]) -> list[str]:
    """Without the indentation that all lines but the first share, which the first need not have."""
    rest = [indentation(line) for line in lines[1:] if line]
    least = min(rest, default=0)
    if lines and lines[0].startswith(" "):
        least = min(least, indentation(lines[0])) if rest else indentation(lines[0])
    return [line[least:] if line.startswith(" ") else line for line in lines]


def indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def escaped(text: str) -> str:
    """Text of which Doxygen takes nothing for a command, a tag or a link, but `code` for code."""
    parts = text.split("`")
    for i, part in enumerate(parts):
        part = re.sub(r"([\\@#%])", r"\\\1", html.escape(part, quote=False))
        parts[i] = f"<code>{part}</code>" if i % 2 and len(parts) % 2 else part
    text = re.sub(
        r'(?<!")\bKVSIEVE_[A-Z0-9_]+\b',
        lambda name: f'@ref {name[0]} "{name[0]}"' if name[0] in NAMES else name[0],
        "".join(parts),
    )
    return re.sub(r"\b(kvsieve_(?!plan\b)[a-z_]+)\.([a-z]\w+)", r'@ref \1::\2 "\1.\2"', text)


def paragraphs(lines: list[str]) -> list[str]:
    """A paragraph for each run of lines that does not end before its line is full."""
    width = max(map(len, lines), default=0)
    found: list[str] = []
    before = ""
    for line in lines:
        first = (line.split() or [""])[0]
        ended = before.endswith((".", ":", ")")) and len(before) + 1 + len(first) + SLACK <= width
        if found and before and line and not ended:
            found[-1] += " " + line.strip()
        elif line:
            found.append(line.strip())
        before = line
    return [escaped(text) for text in found]


def terms(items: list[tuple[str, list[str]]]) -> list[str]:
    """A definition list; Doxygen makes links in it."""
    out = ['<dl class="terms">']
    for term, meaning in items:
        nested = any(line.startswith(" ") for line in meaning)
        out += [f"<dt>{escaped(term)}</dt><dd>", *separated(prose(meaning) if nested else paragraphs(meaning)), "</dd>"]
    return ["", *out, "</dl>", ""]


def separated(texts: list[str]) -> list[str]:
    """With an empty line between paragraphs."""
    out: list[str] = []
    for text in texts:
        out += [text, ""]
    return out[:-1]


def verbatim(lines: list[str]) -> list[str]:
    """Code of C if it has a call or a declaration, else columns; an empty line is between the two."""
    parts: list[list[str]] = [[]]
    for line in lines:
        if not line and parts[-1]:
            parts.append([])
        elif line:
            parts[-1].append(line)
    out: list[str] = []
    before = ""
    for part in parts:
        code = any(re.search(r"[;{}]\s*(//.*)?$", line) for line in part)
        mark = ("@code{.c}", "@endcode") if code else ("@verbatim", "@endverbatim")
        text = dedented(["", *part])[1:]
        if mark[1] == before:
            out[-2:-1] = ["", *text, before]
        else:
            out += ["", mark[0], *text, mark[1], ""]
        before = mark[1]
    return out


def column(line: str) -> int:
    """Where the meaning begins, of a line with a term and its meaning; else 0."""
    match = TERM.match(line)
    return match.start(2) if match and not line.startswith(" ") else 0


class Writer:
    """Lines of paragraphs, and terms, are gathered until something else comes."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.plain: list[str] = []
        self.items: list[tuple[str, list[str]]] = []

    def text(self, line: str) -> None:
        if self.items:
            self.flush()
        self.plain.append(line)

    def term(self, line: str, where: int, block: list[str]) -> None:
        if self.plain:
            self.flush()
        self.items.append((line[:where].strip(), [line[where:], *(text[where:] for text in block)]))

    def shown(self, lines: list[str]) -> None:
        self.flush()
        self.out.append("\n".join(verbatim(lines)))

    def flush(self) -> None:
        self.out += paragraphs(self.plain) + (["\n".join(terms(self.items))] if self.items else [])
        self.plain, self.items = [], []


def prose(lines: list[str]) -> list[str]:
    """Lines of a comment as paragraphs, definition lists and blocks of code or columns."""
    writer = Writer()
    last = 0  # where the meaning of the term before begins
    for line, block in blocks(lines):
        shared = min((indentation(text) for text in block if text), default=0)
        where = column(line)
        if line.startswith(" ") or (block and not line) or where > shared > 0:  # the last: columns under a heading
            writer.shown([line, *block] if line else block)
        elif where:
            writer.term(line, where, block)
            last = where
        elif writer.items and split_at(line, shared or last):
            writer.term(line, shared or last, block)
        else:
            writer.text(line)
            if block:
                writer.shown(block)
    writer.flush()
    return writer.out


def blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line with the indented lines below it, and the empty ones between those."""
    at = 0
    while at < len(lines):
        after = at + 1
        while after < len(lines) and (lines[after].startswith(" ") or (not lines[after] and inside(lines, after))):
            after += 1
        yield lines[at], lines[at + 1 : after]
        at = after


def inside(lines: list[str], at: int) -> bool:
    """Whether the empty line is within an indented block."""
    return at + 1 < len(lines) and lines[at + 1].startswith(" ")


def split_at(line: str, where: int) -> bool:
    """Whether a term and its colon end just before this column."""
    return 1 < where < len(line) and line[where - 2 : where] == ": " and line[where] != " "
