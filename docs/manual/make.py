"""The manual as HTML, of the header, kvsieve.hpp, the guides, the examples and the Python package.

    make.py FOLDER      writes FOLDER; what was there before is replaced once all is made

Doxygen makes the pages of C and C++ and the guides, pdoc those of Python. A warning of either is an error. There is no script
in a page, and nothing that is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from header import c_header, cpp_header
from pages import EXAMPLES, GUIDES, examples, guide, reference

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CPP = ("kvsieve.hpp", "kvsieve/outcome.hpp", "kvsieve/views.hpp")
# Doxygen's words, and those of the header for the same.
HEADINGS = {
    "<dt>Parameters</dt>": "<dt>Shapes</dt>",
    "<dt>Return values</dt>": "<dt>Errors</dt>",
    "anonymous enum": "enum",
}
# What no page needs.
LEFT_OUT = ("*.js", "*.svg", "*.png", "*.md5", "tabs.css", "files.html", "globals*.html", "namespacemembers*.html",
            "annotated.html", "classes.html", "functions*.html", "hierarchy.html", "modules.html", "topics.html", "pages.html",
            "namespaces.html", "dir_*.html", "graph_legend.html", "*_8h.html", "*_8hpp.html", "*_8dox.html", "*_8md.html", "*-members.html")  # fmt: skip


def inputs(folder: Path) -> None:
    """What Doxygen reads."""
    (folder / "kvsieve").mkdir(parents=True)
    header = (ROOT / "include/kvsieve.h").read_text()
    (folder / "kvsieve.h").write_text(c_header(header))
    (folder / "pages.dox").write_text(reference(header) + examples(ROOT))
    for name in CPP:
        (folder / name).write_text(cpp_header((ROOT / "include" / name).read_text()))
    for path in sorted((ROOT / GUIDES).glob("*.md")):
        (folder / path.name).write_text(guide(path.stem, path.read_text(), ROOT))


def version() -> str:
    header = (ROOT / "include/kvsieve.h").read_text()
    return ".".join(re.findall(r"#define KVSIEVE_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", header))


def doxygen(work: Path, out: Path) -> list[str]:
    """Its warnings, but for members of kvsieve.hpp that say by their name what they are."""
    order = ["README.md", "kvsieve.h", "pages.dox", *CPP]
    guides = sorted(path.name for path in work.glob("*.md") if path.name not in order)
    lines = [
        (HERE / "Doxyfile").read_text(),
        "INPUT = " + " ".join(f'"{work / name}"' for name in [*order, *guides]),
        f'STRIP_FROM_PATH = "{work}"',
        f'EXAMPLE_PATH = "{ROOT / EXAMPLES}"',
        f'USE_MDFILE_AS_MAINPAGE = "{work / "README.md"}"',
        f'OUTPUT_DIRECTORY = "{out}"',
        f"PROJECT_NUMBER = {version()}",
        f'WARN_LOGFILE = "{work / "warnings"}"',
    ]
    configuration = work / "Doxyfile"
    configuration.write_text("\n".join(lines))
    done = subprocess.run(["doxygen", configuration], cwd=HERE, capture_output=True, text=True, check=False)
    said = (work / "warnings").read_text() if (work / "warnings").is_file() else ""
    warnings = [line for line in (said + done.stderr).split("\n") if line.strip()]
    if done.returncode:
        warnings.append(f"doxygen: exit status {done.returncode}")
    return [line for line in warnings if not re.search(r"\.hpp:\d+: warning: .* is not documented", line)]


def tidied(out: Path) -> None:
    """The header's words, and without files that nothing needs."""
    for pattern in LEFT_OUT:
        for path in out.glob(pattern):
            path.unlink()
    for path in out.glob("*.html"):
        text = path.read_text()
        for theirs, ours in HEADINGS.items():
            text = text.replace(theirs, ours)
        text = re.sub(r'<h2 class="groupheader">Detailed Description</h2>\n(?=<h2)', "", text)
        text = re.sub(r'( &#124;\s*)?<a href="[^"]*-members.html">List of all members</a>', "", text)
        for place in re.findall(r'<a href="#([\w-]+)">', text):
            if f'"{place}"' not in text.replace(f'href="#{place}"', ""):
                text = re.sub(rf'<a href="#{place}">[^<]*</a>( &#124;\s*)?', "", text)
        path.write_text(text)


def pdoc(out: Path) -> list[str]:
    """The package without the library, which is loaded by the first call."""
    command = [sys.executable, str(HERE / "python_pages.py"), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python/src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).split("\n") if line.strip()]
    return said if done.returncode or any("arn" in line for line in said) else []


def main() -> int:
    folder = Path(sys.argv[1]).resolve()
    if folder.exists() and not (folder / "contract.html").is_file():
        print(f"{folder} is no manual: it is not replaced", file=sys.stderr)
        return 1
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        work, out = Path(temporary, "in"), Path(temporary, "out")
        out.mkdir()
        try:
            inputs(work)
            faults = doxygen(work, out)
        except (OSError, ValueError) as error:
            faults = [str(error)]
        tidied(out)
        faults += pdoc(out / "python")
        if faults:
            print("\n".join(faults), file=sys.stderr)
            return 1
        shutil.rmtree(folder, ignore_errors=True)
        out.rename(folder)
    print(folder / "index.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
