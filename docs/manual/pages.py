"""Pages that are in no header: the guides of docs/, an index of the C functions, a page for each example.

Links of a guide lead to other pages of the manual, or, if what they lead to is not in the manual, are text.
"""

from __future__ import annotations

import re
from pathlib import Path

from header import COMMENT, PAGE, SECTION, slug
from prose import NAMES, body, escaped, prose, separated

GUIDES = "docs"
EXAMPLES = "bindings/c"
# What a link of a guide leads to, from the root of the repository, and the manual's page.
PLACES = {
    "include/kvsieve.h": f"@ref {PAGE}",
    "include/kvsieve.hpp": "namespacekvsieve.html",
    "bindings/python/README.md": "python/kvsieve.html",
    "bindings/c": "examples.html",
    "bindings/c/README.md": "examples.html",
}


def guide_id(name: str) -> str:
    return "index" if name == "README" else f"guide_{name.replace('-', '_')}"


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def guide(name: str, text: str, root: Path) -> str:
    """A guide; README is the first page of the manual."""
    title, _, rest = text.lstrip("# ").partition("\n")
    parts = re.split(r"(^```.*?^```\n)", rest, flags=re.MULTILINE | re.DOTALL)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"(?<!!)\[([^\]]+)\]\(([^)]+)\)", lambda match: link(match, root), parts[i])
        parts[i] = re.sub(r"`(kvsieve_[a-z_]+|KVSIEVE_\w+)(?:\.([a-z_]+))?`", api_name, parts[i])
        parts[i] = re.sub(
            r"^(##+) (.*)$",
            lambda match: f"{match[1]} {match[2]} {{#{guide_id(name)}-{anchor(match[2])}}}",
            parts[i],
            flags=re.MULTILINE,
        )
    if name == "README":
        return f"# {title} {{#mainpage}}\n" + "".join(parts)
    return f"# {title} {{#{guide_id(name)}}}\n" + "".join(parts)


def api_name(match: re.Match[str]) -> str:
    """A name of the C API is a link."""
    if match[1].startswith("KVSIEVE_") and match[1] not in NAMES:
        return match[0]
    field = match[2]
    return f'@ref {match[1]}::{field} "{match[1]}.{field}"' if field else f'@ref {match[1]} "{match[1]}"'


def link(match: re.Match[str], root: Path) -> str:
    text, target = match[1], match[2]
    if re.match(r"https?:", target):
        return match[0]
    path, _, place = target.partition("#")
    file = str((root / GUIDES / path).resolve().relative_to(root.resolve()))
    plain = text.replace("`", "")
    if file.startswith(f"{GUIDES}/") and file.endswith(".md"):
        page = guide_id(Path(file).stem)
        return f'@ref {page}{f"-{place}" if place else ""} "{plain}"'
    if file.startswith(f"{EXAMPLES}/") and file.endswith((".c", ".cpp")):
        return f'<a href="{Path(file).name.replace(".", "_8")}-example.html">{text}</a>'
    if file not in PLACES:
        return text
    where = PLACES[file]
    return f'{where} "{plain}"' if where.startswith("@ref") else f'<a href="{where}">{text}</a>'


def reference(header: str) -> str:
    """What the C API has, by section, each with its first sentence."""
    parts = SECTION.split(header)
    out = ["/** @page reference C API"]
    for title, part in zip(parts[1::2], parts[2::2], strict=True):
        out += ["", f'<p class="section">@ref {slug(title)} "{title.split(":")[0]}"</p>']
        items = []
        for match in re.finditer(
            r"(/\*\*(?!<)(?:(?!\*/).)*\*/)\n(typedef struct (\w+) \{|enum \{|KVSIEVE_API[^(]*?(\w+)\()", part, re.DOTALL
        ):
            name = match[3] or (f"{match[4]}()" if match[4] else "constants")
            sentence = re.split(r"(?<=\.)\s(?=[A-Z]|$)", " ".join(body(match[1])))[0]
            items.append(f"<dt>{name}</dt><dd>{escaped(sentence)}</dd>")
        if items:
            out += ['<dl class="terms">', *items, "</dl>"]
    return "\n".join([*out, "*/"]) + "\n"


def examples(root: Path) -> str:
    """A page for each example in C and C++, which begins with the comment at its head."""
    out = []
    for path in sorted([*(root / EXAMPLES).glob("*.c"), *(root / EXAMPLES).glob("*.cpp")]):
        head = COMMENT.match(path.read_text())
        lines = body(head[0]) if head else []
        out.append("\n".join([f"/** @example {path.name}", *separated(prose(lines)), "*/"]))
    return "\n".join(out) + "\n"
