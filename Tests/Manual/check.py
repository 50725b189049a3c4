"""The HTML manual: that it is made without a warning, that everything public has its entry, that no link leads nowhere.

    check.py            makes the manual in a temporary folder; ends with `N passed, N failed`

What must be there is asked of others than the manual's maker: functions of functions.txt, fields and constants of layout.txt,
names of the imported package. Links are also checked in all Markdown files of the repository.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import kvsieve
import kvsieve.plot
from Manual.links import Page, html_faults, markdown_faults, pages

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 2_000_000
LABELS = ("Cost", "Memory", "Errors")
# Doxygen's and our own ways to say what is not meant to be read.
COMMANDS = re.compile(r"[@\\](ref|param|retval|par|code|endcode|verbatim|page|brief|defgroup)\b|\{#")


class Results:
    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def check(self, name: str, faults: list[str] | bool | str) -> None:
        """Good if there is no fault, or if it is so."""
        if faults is True or faults == [] or faults == "":
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {name}")
        for fault in [faults] if isinstance(faults, str) else faults if isinstance(faults, list) else []:
            print(f"    {fault}")


def entries(read: dict[Path, Page], folder: Path) -> dict[str, str]:
    """What a page says of each function: from its heading to the next one."""
    found = {}
    for path in read:
        if path.name.startswith("group__c__"):
            for part in path.read_text().split('<h2 class="memtitle">')[1:]:
                text = Page(f"<p>{part}").text
                name = re.match(r"\W*(kvsieve_\w+)\(\)", text)
                if name:
                    found[name[1]] = text
    return found


def functions(results: Results, said: dict[str, str]) -> None:
    for line in (ROOT / "Tests/ABI/functions.txt").read_text().splitlines():
        found = re.search(r"(kvsieve_\w+)\((.*)\)", line)
        assert found, line
        text = said.get(found[1], "")
        missing = [] if text else ["no entry"]
        missing += [label for label in LABELS if text and not re.search(rf"\b{label}\b", text)]
        if found[2] != "void":
            names = [re.sub(r".*\W", "", parameter) for parameter in found[2].split(",")]
            shapes = text.partition(" Shapes ")[2]
            missing += [name for name in names if not re.search(rf"\b{name} +\S", shapes)]
        results.check(f"{found[1]} has its lines", missing)


def declared(results: Results, folder: Path) -> None:
    """Fields and constants of layout.txt, each with a text."""
    groups = "".join(path.read_text() for path in folder.glob("group__c__*.html"))
    for line in (ROOT / "Tests/ABI/layout.txt").read_text().splitlines():
        kind, name, *_ = [*line.split(), "", ""]
        if kind == "value":
            cells = re.search(
                rf'<td class="fieldname">(?:<a [^>]*></a>)?{name}&#160;</td><td class="fielddoc">(.*?)</td>',
                groups,
                re.DOTALL,
            )
            results.check(f"{name} has a text", bool(cells and Page(cells[1]).text))
        elif kind == "field":
            struct, _, field = name.partition(".")
            page = folder / f"struct{struct.replace('_', '__')}.html"
            text = page.read_text() if page.is_file() else ""
            row = re.search(rf">{field}</(?:b|a)>.*?</tr>\s*<tr class=\"memdesc[^>]*>(.*?)</tr>", text, re.DOTALL)
            results.check(f"{name} has a text", bool(row and Page(row[1]).text))


def public(value: Any) -> list[str]:
    """A class's public names, of whatever base of the package they come."""
    own = {name for base in value.__mro__ if base.__module__.startswith("kvsieve") for name in vars(base)}
    fields = {
        name
        for base in value.__mro__
        for name in inspect.get_annotations(base)
        if base.__module__.startswith("kvsieve")
    }
    return sorted(name for name in own | fields if not name.startswith("_"))


def python_names(results: Results, module: ModuleType, path: Path) -> None:
    places = Page(path.read_text()).places if path.is_file() else set()
    for name in module.__all__:
        value = getattr(module, name)
        wanted = [name, *([f"{name}.{member}" for member in public(value)] if inspect.isclass(value) else [])]
        results.check(f"{module.__name__}.{name} has its entry", [one for one in wanted if one not in places])
        results.check(f"{module.__name__}.{name} has a text", bool(inspect.getdoc(value)))


def manual(results: Results, folder: Path) -> None:
    read = pages(folder)
    results.check("there are pages", len(read) > 30)
    functions(results, entries(read, folder))
    declared(results, folder)
    python_names(results, kvsieve, folder / "python/kvsieve.html")
    python_names(results, kvsieve.plot, folder / "python/kvsieve/plot.html")
    for guide in (ROOT / "docs").glob("*.md"):
        name = "index" if guide.stem == "README" else f"guide_{guide.stem.replace('-', '_')}"
        results.check(f"{guide.name} is a page", (folder / f"{name}.html").is_file())
        results.check(
            f"{guide.name} is in the index", name == "index" or f"{name}.html" in read[folder / "index.html"].links
        )
    for example in [*(ROOT / "bindings/c").glob("*.c"), *(ROOT / "bindings/c").glob("*.cpp")]:
        example_page = f"{example.name.replace('.', '_8')}-example.html"
        results.check(f"{example.name} is a page", example_page in read[folder / "examples.html"].links)
    results.check("no link leads nowhere", html_faults(read, folder))
    for path, page in read.items():
        where = path.relative_to(folder)
        results.check(f"{where} shows no command", [match[0] for match in COMMANDS.finditer(page.text)])
        outside = [load for load in page.loads if load == "script" or "//" in load]
        results.check(
            f"{where} runs nothing and fetches nothing", [load for load in outside if not load.startswith("data:")]
        )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    results.check("it is small", "" if size < MOST_BYTES else f"{size} bytes, more than {MOST_BYTES}")


def markdown(results: Results) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    total = 0
    for name in tracked:
        checked, faults = markdown_faults(ROOT / name, ROOT)
        total += checked
        results.check(f"links of {name}", faults)
    results.check("links were found", total > 50)


def main() -> int:
    results = Results()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work).resolve() / "manual"
        command = [sys.executable, str(ROOT / "docs/manual/make.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        results.check("it is made without a warning", "" if done.returncode == 0 else done.stdout + done.stderr)
        if folder.is_dir():
            manual(results, folder)
    markdown(results)
    print(f"{results.passed} passed, {results.failed} failed")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
