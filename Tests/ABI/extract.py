"""Compiles and runs what looks like code: the blocks of README.md and of the guides, and the program on the header's first page.

    extract.py LIBRARY_FOLDER ROOT          ends with "N passed, N failed"

LIBRARY_FOLDER has libkvsieve.so and libkvsieve.so.0. Of README.md and docs/*.md every block marked c, python or sh:
    c       compiled (C99, all warnings are errors) and run; without a main it becomes the body of one
    python  run by $VENV_PYTHON, or python3; the blocks of a guide are one program, in their order
    text    right behind a program: what it prints
    sh      checked by `sh -n`; a `make TARGET` must be a target of the Makefile (`make -n`); nothing is run
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PYTHON = os.environ.get("VENV_PYTHON") or "python3"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

# What the first page takes for granted: 32 layers' tensors (here all of them look at the same memory), and room for what
# is kept. check() is the reader's: here a status that is not OK ends the program.
FIRST_PAGE = """
#include <kvsieve.h>
#include <stdio.h>
#include <stdlib.h>
enum {{ L = 32, HQ = 32, H = 8, D = 128, T = 1500, W = 8 }};
static kvsieve_tensor tensor(int64_t heads, int64_t tokens) {{
    kvsieve_tensor t = {{ 0 }};
    t.heads = heads, t.tokens = tokens, t.dim = D, t.dtype = KVSIEVE_F32;
    t.token_stride = D * 4, t.head_stride = tokens * t.token_stride;
    float *data = malloc((size_t)(heads * t.head_stride));
    if (data == NULL) exit(3);
    for (int64_t i = 0; i < heads * tokens * D; ++i) data[i] = (float)(i * 2654435761u % 65536) / 32768.0f - 1.0f;
    t.data = data;
    return t;
}}
static void check(kvsieve_status status) {{
    if (status == KVSIEVE_OK) return;
    printf("%s: %s\\n", kvsieve_status_name(status), kvsieve_last_error());
    exit(1);
}}
int main(void) {{
    static kvsieve_tensor queries[L], keys[L], values[L], kept_keys[L], kept_values[L];
    kvsieve_tensor q = tensor(HQ, W), k = tensor(H, T), v = tensor(H, T), room = tensor(H, T), more = tensor(H, T);
    for (int l = 0; l < L; ++l) queries[l] = q, keys[l] = k, values[l] = v, kept_keys[l] = room, kept_values[l] = more;
#line 1 "first page of kvsieve.h"
{body}
    free(q.data), free(k.data), free(v.data), free(room.data), free(more.data);
    return 0;
}}
"""
BODY = "#include <kvsieve.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) {{\n{body}\nreturn 0;\n}}\n"


def run(command: list[str], prints: str | None = None, **options: object) -> str | None:
    """None if the command succeeds and prints that, if anything is named; else what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        return f"exit {done.returncode}: {' '.join(command[:3])} ...\n{done.stdout}{done.stderr}"
    if prints is not None and done.stdout != prints:
        return f"prints\n{done.stdout}where the page says\n{prints}"
    return None


def c_program(text: str, prints: str | None = None) -> str | None:
    with tempfile.TemporaryDirectory() as work:
        source, program = Path(work, "program.c"), Path(work, "program")
        source.write_text(text)
        link = [f"-L{FOLDER}", "-lkvsieve", f"-Wl,-rpath,{FOLDER}", "-lm"]
        return run(["gcc", *WARNINGS, f"-I{ROOT}/include", str(source), "-o", str(program), *link]) or run(
            [str(program)], prints
        )


def c_block(text: str, prints: str | None) -> str | None:
    return c_program(text if re.search(r"\bmain\s*\(", text) else BODY.format(body=text), prints)


def python_block(text: str, prints: str | None) -> str | None:
    found = dict(os.environ, PYTHONPATH=f"{ROOT}/bindings/python/src", KVSIEVE_LIBRARY=f"{FOLDER}/libkvsieve.so")
    return run([PYTHON, "-c", text], prints, env=found)


def sh_block(text: str, _: str | None) -> str | None:
    if failure := run(["sh", "-n", "-c", text]):
        return failure
    for target in re.findall(r"^\s*make\s+([a-z][a-z-]*)", text, re.MULTILINE):
        if failure := run(["make", "-n", target], cwd=ROOT):
            return failure
    return None


def first_page(header: str) -> str | None:
    """The lines above the Contract that are indented more than the prose."""
    code = [line[2:] for line in header.split("-- Contract")[0].splitlines() if line.startswith(" *     ")]
    body = "\n".join(code)
    if "kvsieve_plan_create" not in body or "kvsieve_plan_destroy" not in body:
        return "there is no program on the first page"
    return c_program(FIRST_PAGE.format(body=body))


def pages() -> list[Path]:
    """README.md, and the guides that are to be there."""
    guides = sorted((ROOT / "docs").glob("*.md"))
    if not {"decoding.md", "engines.md", "follow-ups.md"} <= {guide.name for guide in guides}:
        raise FileNotFoundError("a guide is missing in docs")
    return [ROOT / "README.md", *guides]


def blocks(page: Path) -> list[tuple[str, str | None]]:
    """Each block of a page with its failure. The lines of a guide's earlier Python are kept, so that a traceback has its lines."""
    text = page.read_text()
    kinds = {"c": c_block, "python": python_block, "sh": sh_block}
    results, earlier = [], ""
    for match in re.finditer(
        r"^```(c|python|sh)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL
    ):
        line, code = text[: match.start()].count("\n") + 1, match[2]
        if match[1] == "python" and page.parent != ROOT:
            code = earlier = earlier + "\n" * (line - earlier.count("\n")) + code
        results.append((f"{page.relative_to(ROOT)}:{line}, {match[1]}", kinds[match[1]](code, match[3])))
    return results


def main() -> int:
    results = [("the program on the first page of kvsieve.h", first_page((ROOT / "include/kvsieve.h").read_text()))]
    results += [result for page in pages() for result in blocks(page)]
    for name, failure in results:
        if failure:
            print(f"FAILED {name}\n{failure}")
    failed = sum(1 for _, failure in results if failure)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
