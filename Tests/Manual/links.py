"""Links of HTML pages and of Markdown files: whether the file is there, and the place in it.

Links to other machines are not followed.
"""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page leads to, what of it can be led to, and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []  # what a browser fetches or runs by itself
        self.places: set[str] = set()
        self.words: list[str] = []
        self.silent = 0  # within how many elements whose text is not shown, or is code
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" or "src" in given:
            self.loads.append(given.get("src") or given.get("href", ""))
        if tag == "script":
            self.loads.append("script")
        self.words.append(" ")
        self.silent += tag in ("style", "script", "pre")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("style", "script", "pre")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def local(link: str) -> bool:
    return not urlsplit(link).scheme and not link.startswith("//")


def pages(folder: Path) -> dict[Path, Page]:
    return {path: Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}


def html_faults(read: dict[Path, Page], folder: Path) -> list[str]:
    """Links that lead nowhere or out of the folder."""
    faults = []
    for path, page in read.items():
        for link in filter(local, [*page.links, *(load for load in page.loads if load != "script")]):
            address = urlsplit(link)
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            place = unquote(address.fragment)
            if not target.is_file() or not target.is_relative_to(folder):
                faults.append(f"{path.relative_to(folder)}: {link} leads nowhere")
            elif place and target in read and place not in read[target].places:
                faults.append(f"{path.relative_to(folder)}: {link}: no such place")
    return faults


def without_code(text: str, instead: str = "") -> str:
    """Markdown without what is shown as it is."""
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", instead, text)


def anchors(text: str) -> set[str]:
    """The places that GitHub makes of headings: of equal ones the later have a number."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in re.findall(
        r"^#+ (.*?)\s*$", re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        name = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


def markdown_faults(path: Path, root: Path) -> tuple[int, list[str]]:
    """How many links of a file stay in the repository, and those that lead nowhere."""
    text = path.read_text()
    bare = without_code(text)
    title = r"""(?:\s+(?:"[^"]*"|'[^']*'))?"""
    links = re.findall(rf"\]\(([^()\s]+(?:\([^()\s]*\)[^()\s]*)?){title}\s*\)", bare) + re.findall(
        r"^\[[^\]]+\]: +(\S+)", bare, re.MULTILINE
    )
    defined = {name.lower() for name in re.findall(r"^\[([^\]]+)\]: ", bare, re.MULTILINE)}
    alone = re.findall(r"(?<![\]\w])\[([^\]\[^]+)\](?![(:\w\[])", bare)
    references = [name for name in alone if name.endswith((".swift", ".md"))]
    references += [
        name or shown for shown, name in re.findall(r"(?<!\w)\[([^\]\[]+)\]\[([^\]\[]*)\]", without_code(text, "x"))
    ]
    faults = [
        f"{path.relative_to(root)}: [{name}] is not defined" for name in references if name.lower() not in defined
    ]
    checked = 0
    for link in filter(local, links):
        checked += 1
        address = urlsplit(link)
        target = (path.parent / unquote(address.path)).resolve() if address.path else path
        if not target.exists() or not target.is_relative_to(root):
            faults.append(f"{path.relative_to(root)}: {link} leads nowhere")
        elif address.fragment and (target.is_dir() or unquote(address.fragment) not in anchors(target.read_text())):
            faults.append(f"{path.relative_to(root)}: {link}: no such heading")
    return checked, faults
