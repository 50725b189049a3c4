"""Swift as a reader of names needs it: code without comments and text, the names that a file declares, where names are used.

This is no parser. It knows comments (nested), string literals (with interpolation, which is code) and braces; a declaration is
a keyword and a name at a depth of braces.
"""

from __future__ import annotations

import re

TYPE_WORDS = ("struct", "class", "enum", "protocol", "actor", "typealias")
DECLARED = re.compile(r"\b(struct|class|enum|protocol|actor|typealias|func|let|var|extension)\s+([A-Za-z_]\w*)")
HIDDEN = re.compile(r"\b(?:private|fileprivate)\b(?!\()")
WORD = re.compile(r"[A-Za-z_]\w*")


def code_only(text: str) -> str:
    """`text` with comments and the text of string literals blanked; lines stay where they are."""
    out: list[str] = []
    scan(text, 0, out, "")
    return "".join(out)


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def scan(text: str, i: int, out: list[str], end: str) -> int:
    """Copies code from `i` to the parenthesis that closes an interpolation (`end` is ")"), or to the end of the text."""
    depth = 0
    while i < len(text):
        if text.startswith("//", i):
            stop = text.find("\n", i)
            stop = len(text) if stop < 0 else stop
        elif text.startswith("/*", i):
            stop = comment_end(text, i)
        elif match := re.compile(r'#*"').match(text, i):
            i = string(text, i, match[0].count("#"), out)
            continue
        else:
            depth += {"(": 1, ")": -1}.get(text[i], 0)
            if end and depth < 0:
                return i
            out.append(text[i])
            i += 1
            continue
        out.append(blank(text[i:stop]))
        i = stop
    return i


def comment_end(text: str, i: int) -> int:
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, i):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def string(text: str, i: int, hashes: int, out: list[str]) -> int:
    """Blanks the literal that begins at `i`; what is interpolated stays. Returns the index after it."""
    marks = "#" * hashes
    quote = '"""' if text.startswith('"""', i + hashes) else '"'
    start, i = i, i + hashes + len(quote)
    out.append(blank(text[start:i]))
    while i < len(text):
        if text.startswith(quote + marks, i):
            out.append(" " * len(quote + marks))
            return i + len(quote + marks)
        if text.startswith("\\" + marks + "(", i):
            opening = len(marks) + 2
            out.append(" " * opening)
            i = scan(text, i + opening, out, ")")
            out.append(" ")
            i += 1
        elif text[i] == "\\" and not marks and i + 1 < len(text):
            out.append(blank(text[i : i + 2]))
            i += 2
        else:
            out.append(blank(text[i]))
            i += 1
    return i


def declarations(code: str) -> tuple[set[str], set[str], dict[str, set[str]]]:
    """Of `code_only` text: types, other names at top level, and the members that extensions give to each extended type.

    What is private to the file is left out. Nested types are reached through their parents.
    """
    types: set[str] = set()
    others: set[str] = set()
    members: dict[str, set[str]] = {}
    depth, position, extended = 0, 0, ""
    for match in DECLARED.finditer(code):
        before = code[position : match.start()]
        depth += before.count("{") - before.count("}")
        position = match.start()
        head = code[code.rfind("\n", 0, match.start()) + 1 : match.start()]
        if depth == 0:
            extended = ""
        if HIDDEN.search(head) and match[1] != "extension":
            continue
        word, name = match[1], match[2]
        if depth == 0 and word == "extension":
            extended = "" if HIDDEN.search(head) else name
        elif depth == 0:
            (types if word in TYPE_WORDS else others).add(name)
        elif depth == 1 and extended and word in ("func", "var", "let", *TYPE_WORDS):
            members.setdefault(extended, set()).add(name)
    return types, others, members


def own_types(code: str) -> set[str]:
    """Types that the file declares, at any depth."""
    return set(re.findall(rf"\b(?:{'|'.join(TYPE_WORDS)})\s+([A-Za-z_]\w*)", code))


def own_names(code: str) -> set[str]:
    """Names that the file itself gives to parameters, variables and functions, at any depth."""
    given = re.findall(r"\b(?:let|var|func|case|for)\s+([A-Za-z_]\w*)", code)
    labels = re.findall(r"\b([A-Za-z_]\w*)\s*:", code)
    return {*given, *labels, *re.findall(r"\b([A-Za-z_]\w*)\s+in\b", code)}


def uses(code: str) -> list[tuple[int, str, bool]]:
    """(line, name, is a member) of each word."""
    found, line, last = [], 1, 0
    for match in WORD.finditer(code):
        line += code.count("\n", last, match.start())
        last = match.start()
        found.append((line, match[0], code[max(match.start() - 80, 0) : match.start()].rstrip().endswith(".")))
    return found
