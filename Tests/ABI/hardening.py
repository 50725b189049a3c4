"""What a reader of the ELF file and the system's calls at load time see: nothing is looked up, nothing is written, tables are
read-only.     hardening.py LIBRARY

The file is read here, byte by byte, not by readelf. A small host loads the library under strace, and asks it for its first answer.
"""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOAD, DYNAMIC, STACK, RELRO = 1, 2, 0x6474E551, 0x6474E552
EXECUTED, WRITTEN = 1, 2
NEEDED, RPATH, TEXTREL, FLAGS, RUNPATH, FLAGS_1 = 1, 15, 22, 30, 29, 0x6FFFFFFB
PAGE = 4096
HOST = """
#include <dlfcn.h>
int main(int count, char **arguments) {
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    const char *(*info)(void);
    if (!library) return 1;
    *(void **)(&info) = dlsym(library, "kvsieve_build_info");
    return info()[0] != 'k' || count != 2;
}
"""


@dataclass(frozen=True)
class Segment:
    kind: int
    flags: int
    offset: int
    address: int
    in_file: int
    in_memory: int

    @property
    def pages(self) -> range:
        """Of the file."""
        return range(self.offset // PAGE, (self.offset + self.in_file + PAGE - 1) // PAGE)

    def holds(self, address: int, size: int) -> bool:
        return self.address <= address and address + size <= self.address + self.in_memory


@dataclass(frozen=True)
class Section:
    name: str
    address: int
    size: int


def segments(file: bytes) -> list[Segment]:
    start, size, count = struct.unpack_from("<Q14xHH", file, 32)
    found = []
    for index in range(count):
        kind, flags, offset, address, _, in_file, in_memory = struct.unpack_from("<IIQQQQQ", file, start + index * size)
        found.append(Segment(kind, flags, offset, address, in_file, in_memory))
    return found


def sections(file: bytes) -> list[Section]:
    start, size, count, names = struct.unpack_from("<Q10xHHH", file, 40)
    rows = [struct.unpack_from("<IIQQQQ", file, start + index * size) for index in range(count)]
    texts = rows[names][4]
    return [Section(file[texts + row[0] : file.index(b"\0", texts + row[0])].decode(), row[3], row[5]) for row in rows]


def tags(file: bytes, dynamic: Segment) -> list[tuple[int, int]]:
    pairs = struct.iter_unpack("<QQ", file[dynamic.offset : dynamic.offset + dynamic.in_file])
    return [(tag, value) for tag, value in pairs if tag != 0]


def faults_of_file(file: bytes) -> dict[str, str]:
    """What is promised, and how it is not so; "" if it is."""
    all_segments = segments(file)
    by_name = {section.name: section for section in sections(file)}
    [dynamic] = [segment for segment in all_segments if segment.kind == DYNAMIC]
    [relro] = [segment for segment in all_segments if segment.kind == RELRO]
    [stack] = [segment for segment in all_segments if segment.kind == STACK]
    loads = [segment for segment in all_segments if segment.kind == LOAD]
    code = [segment for segment in loads if segment.flags & EXECUTED]
    entries = tags(file, dynamic)
    shared = [
        hex(page * PAGE)
        for one in code
        for other in loads
        if one is not other
        for page in one.pages
        if page in other.pages
    ]
    written = [segment for segment in loads if segment.flags & WRITTEN]
    not_constant = [
        name
        for name in (".got", ".got.plt", ".dynamic", ".init_array", ".fini_array", ".data.rel.ro")
        if name in by_name and not relro.holds(by_name[name].address, by_name[name].size)
    ]
    return {
        "calls are bound at load": "" if any(tag == FLAGS and value & 8 for tag, value in entries) else "no BIND_NOW",
        "and so the loader was told": "" if any(tag == FLAGS_1 and value & 1 for tag, value in entries) else "no NOW",
        "the library names no folder": "".join(f"tag {tag}" for tag, _ in entries if tag in (RPATH, RUNPATH)),
        "no code is changed at load": "".join("TEXTREL" for tag, _ in entries if tag == TEXTREL),
        "the stack is not run": "executable" if stack.flags & EXECUTED else "",
        "no segment is written and run": "".join(hex(segment.address) for segment in code if segment.flags & WRITTEN),
        "code has pages of its own": " ".join(shared),
        "tables of addresses are read-only": " ".join(not_constant),
        "constants are read-only": "".join(
            ".rodata" for segment in written if segment.holds(by_name[".rodata"].address, by_name[".rodata"].size)
        ),
    }


def calls_of_load(library: Path, work: Path) -> list[str]:
    """The system calls from the library's opening on."""
    (work / "host.c").write_text(HOST)
    subprocess.run(["gcc", "-O1", str(work / "host.c"), "-o", str(work / "host"), "-ldl"], check=True)
    trace = work / "trace"
    subprocess.run(["strace", "-f", "-o", str(trace), str(work / "host"), str(library)], check=True)
    lines = [re.sub(r"^\d+ +", "", line) for line in trace.read_text().splitlines()]
    first = next(number for number, line in enumerate(lines) if f'"{library}"' in line and line.startswith("openat"))
    return lines[first + 1 :]


def faults_of_load(library: Path, calls: list[str]) -> dict[str, str]:
    paths = [
        path for line in calls for path in re.findall(r'^\w+\([^"]*"([^"]*)"', line) if "/" in path and "\\" not in path
    ]
    libraries = re.compile(
        r"(.*/)?(ld\.so\.(cache|preload)|lib(c|m|stdc\+\+|gcc_s)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+)$"
    )
    allowed = {
        "openat", "read", "pread64", "close", "fstat", "newfstatat", "mmap", "munmap", "mprotect", "brk", "futex", "gettid",
        "getrandom", "getcwd", "exit_group", "madvise",
    }  # fmt: skip
    others = [line for line in calls if (name := re.match(r"\w+", line)) and name[0] not in allowed]
    return {
        "nothing is looked for beside the library": " ".join(
            path for path in paths if path.startswith(f"{library.parent}/")
        ),
        "nothing is opened but libc, libm, libstdc++ and libgcc_s": " ".join(
            p for p in paths if not libraries.match(p)
        ),
        "no other call of the system": " ".join(others[:4]),
    }


def faults_of_objects(library: Path) -> dict[str, str]:
    """Our C, as it was compiled: a function with arrays on its stack has a guard behind them."""
    folder = library.parent / "CSupport.build"
    asked = {"pool.c.o": "__stack_chk_fail"}
    found = {}
    for name, symbol in asked.items():
        names = subprocess.run(["nm", str(folder / name)], capture_output=True, text=True, check=False).stdout
        found[f"{name} calls {symbol}"] = "" if re.search(rf"\bU {symbol}\b", names) else "it does not"
    return found


def main() -> int:
    library = Path(sys.argv[1]).resolve()
    faults = faults_of_file(library.read_bytes())
    with tempfile.TemporaryDirectory() as work:
        faults |= faults_of_load(library, calls_of_load(library, Path(work)))
    faults |= faults_of_objects(library)
    failed = {name: fault for name, fault in faults.items() if fault}
    for name, fault in failed.items():
        print(f"FAILED {name}: {fault}")
    print(f"{len(faults) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
