"""kvsieve.h and kvsieve.hpp as Doxygen reads them. The headers are written to be read as they are; this says the same in Doxygen's words.

A function's labelled lines become its parameters (Shapes), paragraphs (Cost, Memory) and return values (Errors); a section
becomes a group; the comment at the head of the file becomes a page. What has no comment stays without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from prose import NAMES, body, escaped, prose, separated

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SECTION = re.compile(r"/\* == (.*?) =+ \*/")
LABEL = re.compile(r"(Shapes|Cost|Memory|Errors) +(.*)$")
INDENT = 8  # columns, of what follows a label
PAGE = "contract"
FIRST_PAGE = "In one page, and the contract"


def c_header(text: str) -> str:
    """kvsieve.h."""
    NAMES.update(re.findall(r"^ {4}(KVSIEVE_\w+) += -?\d+", text, re.MULTILINE))
    head = COMMENT.match(text)
    first = SECTION.search(text)
    if not head or not first:
        raise ValueError("kvsieve.h: no comment at its head, or no section")
    out = ["/** @file kvsieve.h", "The C API. */", first_page(body(head[0])), "#include <stdint.h>"]
    declarations = text[first.start() :].split("#ifdef __cplusplus")[0]
    out.append(sections(declarations))
    return "\n".join(out) + "\n"


def first_page(lines: list[str]) -> str:
    """The comment at the head, from its first title on, as a page."""
    out = [f"/** @page {PAGE} {FIRST_PAGE}"]
    start = next(i for i, line in enumerate(lines) if line.startswith("-- "))
    block: list[str] = []
    for line in [*lines[start:], "-- "]:
        if line.startswith("-- "):
            out += ["", *separated(prose(block))]
            title = line.strip("- ")
            if title:
                out += ["", f"@section {slug(title)} {title}"]
            block = []
        else:
            block.append(line)
    return "\n".join([*out, "*/"])


def slug(title: str) -> str:
    return "c_" + re.sub(r"\W+", "_", title.split(":")[0].lower()).strip("_")


def sections(text: str) -> str:
    parts = SECTION.split(text)  # "", title, text, title, text, ...
    out = []
    for title, part in zip(parts[1::2], parts[2::2], strict=True):
        introduction = re.match(r"\s*(/\*(?!\*).*?\*/)", part, re.DOTALL)
        lines = body(introduction[1]) if introduction else []
        out.append("\n".join([f"/** @defgroup {slug(title)} {title.split(':')[0]}", *separated(prose(lines)), "@{ */"]))
        out.append(declarations(part[introduction.end() :] if introduction else part))
        out.append("/** @} */")
    return "\n".join(out)


def declarations(text: str) -> str:
    """Comments and code in turns. A comment that is not for a reader of the manual is left out."""
    text = re.sub(r"KVSIEVE_API |KVSIEVE_CHECKED ", "", text)
    text = re.sub(
        r"^(#define KVSIEVE_VERSION_(\w+) \d+)$", r"\1 /**< \2 of this header's version */", text, flags=re.MULTILINE
    )
    text = re.sub(r"typedef (struct \w+ \{.*?\n\}) \w+;", r"\1;", text, flags=re.DOTALL)
    text = re.sub(r"(typedef \w+ (\w+);\n)(enum)", r"\1/** Values of \2. */\n\3", text)
    out, at = [], 0
    for match in COMMENT.finditer(text):
        out.append(text[at : match.start()])
        at = match.end()
        if match[0].startswith("/**<"):
            out.append(f"/**< {escaped(' '.join(' '.join(body(match[0])).split()))} */")
        elif match[0].startswith("/**"):
            out.append(documented(body(match[0]), text[at:]))
    return "".join([*out, text[at:]])


def documented(lines: list[str], code: str) -> str:
    """The comment before a declaration."""
    labels = {label: part for label, part in labelled(lines)}
    brief, _, more = " ".join(lines[:1]).partition(". ")
    if labels and more:
        lines = [f"{brief}.", more, *lines[1:]]
    out = ["/**", *separated(prose(labels.pop("", lines)))]
    if labels:
        out += function(labels, code.split(");")[0])
    return "\n".join([*out, "*/"])


def labelled(lines: list[str]) -> list[tuple[str, list[str]]]:
    """What is before the first label, as "", then each label with its lines. Empty if there is no label."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in lines:
        match = LABEL.match(line)
        if match:
            parts.append((match[1], [match[2]]))
        else:
            parts[-1][1].append(line[INDENT:] if len(parts) > 1 else line)
    return parts if len(parts) > 1 else []


def function(labels: dict[str, list[str]], code: str) -> list[str]:
    if missing := [label for label in ("Shapes", "Cost", "Memory", "Errors") if label not in labels]:
        raise ValueError(f"kvsieve.h: {code.partition('(')[0].strip()} has no line {', '.join(missing)}")
    parameters = re.findall(r"(\w+)(?=\s*[,)]|$)", code.partition("(")[2])
    shapes, also = listed(labels["Shapes"], lambda name: name in parameters)
    errors, cause = listed(labels["Errors"], lambda name: name.startswith("KVSIEVE_ERR_"))
    out = [""]
    for name, text in shapes:
        out += [f"@param {name} {escaped(text)}"]
    if also != ["no argument"]:
        out += paragraph("Further", also)
    for label in ("Cost", "Memory"):
        out += paragraph(label, labels[label])
    out += paragraph("Errors", cause)
    for name, text in errors:
        out += [f"@retval {name} {escaped(text)}"]
    return out


def listed(lines: list[str], known: Callable[[str], bool]) -> tuple[list[tuple[str, str]], list[str]]:
    """Names with their text, and the lines that begin with another word."""
    items: list[tuple[str, str]] = []
    others: list[str] = []
    within = False
    for line in lines:
        match = re.match(r"(\w+) +(\S.*)$", line)
        if match and known(match[1]) and all(match[1] != name for name, _ in items):
            items.append((match[1], match[2]))
            within = True
        elif line.startswith(" ") and within:
            items[-1] = (items[-1][0], f"{items[-1][1]} {line.strip()}")
        else:
            others.append(line)
            within = False
    return items, others


def paragraph(title: str, lines: list[str]) -> list[str]:
    return ["", f"@par {title}", *separated(prose(lines)), ""] if lines else []


def cpp_header(text: str) -> str:
    """kvsieve.hpp or a part of it: without what is not for its users, and with the C function that a member calls."""
    text = re.sub(r"^namespace detail \{.*?^\} // namespace detail\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(
        r"^(inline namespace KVSIEVE_HPP_KIND \{|\} // namespace KVSIEVE_HPP_KIND)\n", "", text, flags=re.MULTILINE
    )
    head = COMMENT.match(text)
    out = [called(text[head.end() if head else 0 :])]
    if head and "kvsieve.hpp from" not in head[0] and "kvsieve.h from C++17" in head[0]:
        lines = body(head[0])
        out.insert(0, "\n".join(["/** @namespace kvsieve", *separated(prose(lines)), "*/"]))
    return "\n".join(out)


def called(text: str) -> str:
    """With a comment for each member that has none and calls a function of the C API."""
    lines = text.split("\n")
    out: list[str] = []
    for number, line in enumerate(lines):
        bare = not lines[number - 1].strip().endswith("*/") if number else True
        if bare and re.match(r"(    (static )?|inline )(outcome<|std::int32_t \w+\()", line):
            following = "\n".join(lines[number : number + 6]).split("\n    }")[0]
            match = re.search(
                r"\b(kvsieve_(?!plan\b|kept\b|slots\b|model\b|report\b|ranges\b|rope\b|status\b)\w+)\(", following
            )
            private = line.startswith(" ") and "private:" in "\n".join(lines[:number]).rpartition("\npublic:")[2]
            if match and not private:
                out.append(f"/** {match[1]}(). */")
        out.append(line)
    return "\n".join(out)
