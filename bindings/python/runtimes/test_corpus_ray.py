"""examples/corpus_ray.py: 200 prompts on a Ray cluster of two workers, one of which is killed, against the same in one process.

Everything that a test starts is in one session (of processes), is ended with the test, and writes to the test's folder alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import exact
import pyarrow.dataset
import pytest
from corpus_ray import Compressor
from recall.prompts import AGGREGATION, RECALL, TOKENS, PromptMaker

EXAMPLES = exact.ROOT / "bindings/python/examples"
PROMPTS, BATCH, SECONDS = 200, 5, 420
Rows = dict[str, dict[str, Any]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Ray's sockets need a short path."""
    path = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "prompts.jsonl"
    with path.open("w") as file:
        subprocess.run([sys.executable, EXAMPLES / "recall/prompts.py", str(PROMPTS)], stdout=file, check=True)
    return path


@pytest.fixture(scope="module")
def alone(prompts: Path) -> Rows:
    """What a run in one process, without Ray, writes."""
    out = prompts.parent / "alone"
    with job(prompts, out, out, 0) as run:
        assert run.wait(SECONDS) == 0, said(out)
    return rows(out)


class job:
    """The script as a process. It leads a session, of which nothing is left in the end."""

    def __init__(self, prompts: Path, out: Path, folder: Path, workers: int, *more: str) -> None:
        folder.mkdir(exist_ok=True)
        own = {"PYTHONPATH": str(exact.ROOT / "bindings/python/src"), "OMP_NUM_THREADS": "1", "HOME": str(folder)}
        own |= {"RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
        command = [sys.executable, str(EXAMPLES / "corpus_ray.py"), str(prompts), str(out)]
        command += ["--batch", str(BATCH), "--workers", str(workers), *more]
        with log(out).open("a") as file:
            self.process = subprocess.Popen(command, stderr=file, env={**os.environ, **own}, start_new_session=True)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        deadline = time.monotonic() + 30
        while (left := session(self.process.pid)) and time.monotonic() < deadline:
            for process in left:
                end(process)
            self.process.poll()
            time.sleep(0.1)
        assert not left, f"still running: {left}"


def session(leader: int) -> dict[int, str]:
    """The command lines of its processes, by their numbers; of those that wait to be collected too: ""."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[3]) == leader:
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue  # it has ended
    return found


def end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def log(out: Path) -> Path:
    return out.with_name(out.name + ".log")


def said(out: Path) -> str:
    return log(out).read_text()


def done(out: Path) -> list[int]:
    """How many prompts each line of progress says."""
    return [int(line.split("] ")[1].split()[0]) for line in said(out).splitlines() if " prompts, " in line]


def rows(out: Path) -> Rows:
    listed = pyarrow.dataset.dataset(out).to_table().to_pylist()
    assert len({row["id"] for row in listed}) == len(listed), "an id is there twice"
    return {row["id"]: row for row in listed}


def wait(condition: Callable[[], bool], out: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, said(out)
        time.sleep(0.02)


def working(leader: int) -> list[int]:
    return [process for process, command in session(leader).items() if command == "ray::Compressor.run"]


def test_a_killed_worker_costs_no_prompt(folder: Path, prompts: Path, alone: Rows) -> None:
    out = folder / "out"
    with job(prompts, out, folder, 2) as run:
        wait(lambda: len(list(out.glob("*.parquet"))) >= 3 and len(working(run.pid)) == 2, out)
        first = working(run.pid)
        os.kill(first[0], signal.SIGKILL)
        before = len(list(out.glob("*.parquet")))
        assert before < PROMPTS // BATCH // 2, "killed too late"
        wait(lambda: run.poll() is not None or len({*working(run.pid)} - {*first}) == 1, out)
        assert first[0] not in session(run.pid), "the worker that was killed is there"
        assert run.wait(SECONDS) == 0, said(out)
    found = rows(out)
    assert len(found) == PROMPTS
    assert found == alone
    assert done(out)[0] == 0 and done(out)[-1] == PROMPTS and done(out) == sorted({*done(out)}), said(out)
    assert len(done(out)) == 1 + PROMPTS // BATCH
    assert len(list(out.iterdir())) == PROMPTS // BATCH, "something unfinished was left"


def test_a_job_that_was_killed_goes_on(folder: Path, prompts: Path, alone: Rows) -> None:
    """Without Ray: what a rerun finds does not depend on who made it. A worker's unfinished file is not read."""
    few, out = folder / "few.jsonl", folder / "out"
    lines = prompts.read_text().splitlines()[: 4 * BATCH]
    few.write_text("\n".join(lines))
    with job(few, out, folder, 0) as run:
        wait(lambda: bool(list(out.glob("*.parquet"))), out)
        end(run.pid)
        run.wait(10)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert 0 < len(before) < 4
    (out / f".{next(iter(before)).name}.0123").write_bytes(b"half of a fi")
    assert len(rows(out)) == len(before) * BATCH
    log(out).unlink()
    with job(few, out, folder, 0) as run:
        assert run.wait(SECONDS) == 0, said(out)
    assert done(out)[0] == len(before) * BATCH
    ids = [json.loads(line)["id"] for line in lines]
    assert rows(out) == {id: alone[id] for id in ids}
    assert {path: path.stat().st_mtime_ns for path in before} == before, "a batch was made again"
    assert len(list(out.iterdir())) == 4


def test_what_would_mix_two_jobs_is_refused(folder: Path, prompts: Path) -> None:
    few, twice, out = folder / "few.jsonl", folder / "twice.jsonl", folder / "out"
    line = prompts.read_text().splitlines(keepends=True)[0]
    few.write_text(line)
    twice.write_text(line + line)
    for source, more, status, sentence in (
        (twice, (), 1, "two prompts have one id"),
        (few, (), 0, "1 of 1 prompts"),
        (few, (), 0, "1 of 1 prompts"),
        (few, ("--keep", "0.2"), 1, "is of another job"),
    ):
        log(out).unlink(missing_ok=True)
        with job(source, out, folder, 0, *more) as run:
            assert run.wait(SECONDS) == status, said(out)
        assert sentence in said(out)
    assert len(rows(out)) == 1


def test_the_answers_are_those_of_the_prompts(alone: Rows) -> None:
    """The whole cache gives 199 of 200, and so does what is kept."""
    maker, right = PromptMaker(EXAMPLES / "recall", 0), dict.fromkeys(("whole", "compressed"), 0)
    for number in range(PROMPTS):
        task = (RECALL, AGGREGATION)[number % 2]
        answer = maker.prompt(task, number // 2).answer
        for cache in right:
            right[cache] += alone[f"{task}-{number // 2}"][cache] == answer
    assert min(right.values()) >= PROMPTS * 0.95, right


ANEW = """
import json, sys, kvsieve, numpy as np
from pathlib import Path
from recall.model import Llama
llama, found = Llama(Path(sys.argv[1]) / "recall"), {}
for line in sys.stdin:
    prompt = json.loads(line)
    layers = llama.prefill(np.array(prompt["tokens"]), 64)
    arrays = ([getattr(layer, name) for layer in layers] for name in ("queries", "keys", "values"))
    made = kvsieve.compress("dynamickv", *arrays, ratio=0.12)
    found[prompt["id"]] = [[layer.kept.head(head).tolist() for head in range(llama.kv_heads)] for layer in made]
print(json.dumps(found))
"""


def test_rows_are_what_a_new_plan_says(prompts: Path, alone: Rows) -> None:
    """kvsieve.compress makes a plan for each prompt. Products of another number of threads may be rounded otherwise."""
    lines = prompts.read_text().splitlines()
    paths = os.pathsep.join((str(exact.ROOT / "bindings/python/src"), str(EXAMPLES)))
    made = subprocess.run(
        [sys.executable, "-c", ANEW, str(EXAMPLES)],
        input="\n".join(lines[:: PROMPTS // 5]),
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    found = json.loads(made.stdout)
    assert len(found) == 5
    for id, positions in found.items():
        assert alone[id]["positions"] == positions, id
        heads = [len(head) for layer in positions for head in layer]
        assert alone[id]["share"] == sum(heads) / (len(heads) * TOKENS) <= 0.12


def test_a_batch_that_is_there_is_not_made_again(folder: Path, prompts: Path) -> None:
    """A worker that is killed behind its last word: Ray repeats the batch."""
    lines = prompts.read_bytes().splitlines()[:1]
    worker = Compressor("snapkv", 0.12, str(folder))
    assert worker.run("a.parquet", lines) == 1
    first = (folder / "a.parquet").stat()
    assert worker.run("a.parquet", lines) == 1
    assert (folder / "a.parquet").stat() == first and len(list(folder.iterdir())) == 1
    assert [*rows(folder)] == [f"{RECALL}-0"]
