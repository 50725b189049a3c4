"""Makes .venv-engines: torch, and each of the two releases of transformers that are tested (newest.txt, oldest.txt); ONNX Runtime
(onnxruntime.txt). Looks for MPI.

    environment.py newest              the newest; if it cannot be had, .build/no-engines says why, in a sentence
    environment.py newest oldest       the oldest as well, in .venv-engines/oldest, which goes before it on PYTHONPATH
    environment.py onnxruntime         ONNX Runtime, which needs no torch; if it cannot be had, .build/no-onnxruntime says why
    environment.py mpi                 mpicc and mpirun; if they are not here, .build/no-mpi says so
    environment.py --insist newest ... takes torch for GPUs too, several GB, installs Open MPI, and fails if something cannot be had

If it was made of the same files, it is used as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
FOLDER = ROOT / ".venv-engines"
NO_ENGINES = ROOT / ".build/no-engines"
WHY_NOT = {
    "newest": NO_ENGINES,
    "oldest": NO_ENGINES,
    "onnxruntime": ROOT / ".build/no-onnxruntime",
    "mpi": ROOT / ".build/no-mpi",
}
TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
LIMIT = 900  # seconds for an installation


def pip(*arguments: str) -> str:
    """What pip says last if it fails; "" if not."""
    command = [str(FOLDER / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"pip took longer than {LIMIT} s"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return "" if done.returncode == 0 else lines[-1] if lines else f"pip ended with {done.returncode}"


def torch(insist: bool) -> str:
    """Installs torch for CPUs, a tenth of what PyPI's brings along; PyPI's only if `insist`."""
    for source in ([f"{TORCH}+cpu"], ["--retries", "0", "--index-url", CPU_INDEX, f"{TORCH}+cpu"]):
        if (why := pip(*source)) == "":
            return ""
    return pip(TORCH) if insist else f"no build of torch for CPUs: {why}"


def environment() -> None:
    if not (FOLDER / "bin/python").exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(FOLDER)], check=True)


def newest(insist: bool) -> str:
    environment()
    return torch(insist) or pip("-r", str(HERE / "newest.txt"))


def onnxruntime(insist: bool) -> str:
    environment()
    return pip("-r", str(HERE / "onnxruntime.txt"))


def oldest(insist: bool) -> str:
    return pip("--target", str(FOLDER / "oldest"), "--upgrade", "-r", str(HERE / "oldest.txt"))


def mpi(insist: bool) -> str:
    """Debian's packages, where they are wanted and apt-get is."""

    def missing() -> list[str]:
        return [name for name in ("mpicc", "mpirun") if shutil.which(name) is None]

    if not missing():
        return ""
    if not insist or shutil.which("apt-get") is None:
        return f"no {' and no '.join(missing())}: libopenmpi-dev and openmpi-bin of Debian have them"
    command = [*([] if os.geteuid() == 0 else ["sudo"]), "apt-get", "-qq"]
    subprocess.run([*command, "update"], check=False)
    subprocess.run([*command, "install", "-y", "libopenmpi-dev", "openmpi-bin"], check=False)
    return f"apt-get brought no {' and no '.join(missing())}" if missing() else ""


def made_of(name: str) -> str:
    return f"{TORCH}\n{(HERE / f'{name}.txt').read_text()}"


def is_made(name: str) -> bool:
    file = FOLDER / f"{name}.made"
    return file.exists() and file.read_text() == made_of(name)


def stamp(name: str) -> None:
    if name != "mpi":
        (FOLDER / f"{name}.made").write_text(made_of(name))


def main(arguments: list[str]) -> int:
    insist = "--insist" in arguments
    makers = {"newest": newest, "oldest": oldest, "onnxruntime": onnxruntime, "mpi": mpi}
    wanted = [name for name in arguments if name != "--insist"]
    if not wanted or set(wanted) - set(makers):
        print(__doc__, file=sys.stderr)
        return 2
    for name in wanted:
        WHY_NOT[name].parent.mkdir(exist_ok=True)
        WHY_NOT[name].unlink(missing_ok=True)
    for index, name in enumerate(wanted):
        if is_made(name):
            continue
        if why := makers[name](insist):
            sentence = f"not installable here ({why})"
            for later in wanted[index:]:  # what it comes on top of is not here
                WHY_NOT[later].write_text(sentence)
            print(sentence, file=sys.stderr)
            return 1 if insist else 0
        stamp(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
