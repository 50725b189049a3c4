"""Starts a program once a rank, over gloo or MPI, and ends it if it is not done in time: a rank that waits for ever is a failure."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MPIRUN = ("mpirun", "--oversubscribe", "--allow-run-as-root", "-n")
LIMIT = 180  # seconds until all ranks are ended, and the test has failed


@dataclass
class Ended:
    """What came of the ranks: what each of them wrote (None if it wrote nothing), its exit status, and what they said.

    Of mpirun there is one status, of all ranks.
    """

    results: list[Any]
    statuses: list[int]
    said: str


def start(transport: str, ranks: int, program: str, folder: Path, *arguments: str, limit: float = LIMIT) -> Ended:
    """`program` of this folder with `arguments`, on every rank. A rank writes by `write` of peers.py."""
    environment = {**os.environ, "KVSIEVE_RANKS_FOLDER": str(folder), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(str(path) for path in sys.path if path)
    command = [sys.executable, str(HERE / program), transport, *arguments]
    if transport == "mpi":
        # An exception ends all ranks, as mpi4py's own runner does it.
        commands = [[*MPIRUN, str(ranks), sys.executable, "-m", "mpi4py", *command[1:]]]
    else:
        commands = [command] * ranks
    logs = [folder / f"log-{index}" for index in range(len(commands))]
    with contextlib.ExitStack() as files:
        processes = [
            subprocess.Popen(
                each,
                env={**environment, "RANK": str(index), "LOCAL_RANK": str(index), "WORLD_SIZE": str(ranks)},
                stdout=files.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for index, (each, log) in enumerate(zip(commands, logs))
        ]
        late = not _wait(processes, limit)
    said = "\n".join(log.read_text(errors="replace") for log in logs)
    assert not late, f"not done after {limit} s:\n{said}"
    written = [folder / f"rank-{rank}.json" for rank in range(ranks)]
    results = [json.loads(file.read_text()) if file.exists() else None for file in written]
    return Ended(results, [process.returncode for process in processes], said)


def _wait(processes: list[subprocess.Popen[bytes]], limit: float) -> bool:
    """Whether all ended in time. Those that did not are killed, with all that they started."""
    until = time.monotonic() + limit
    try:
        for process in processes:
            process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return True
