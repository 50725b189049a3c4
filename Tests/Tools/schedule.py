"""Runs jobs as soon as what they need is done and their cores are free; each job's output goes to a file of its own."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Job:
    name: str
    command: list[str]
    log: Path
    needs: tuple[str, ...] = ()  # names of jobs that must have ended well
    cores: int = 1
    shares: str = ""  # two with the same word never run at once
    limit: float = 1800
    environment: dict[str, str] = field(default_factory=dict)
    unless: Callable[[], str] = str  # asked when it could start; a sentence that says why it is left out, or ""


@dataclass
class Outcome:
    status: int  # exit status; -N if signal N ended it
    seconds: float = 0
    cpu: float = 0  # seconds of all processors together
    without: str = ""  # a needed job that failed: this one did not run
    left_out: str = ""  # why it was left out
    late: bool = False  # ended because it ran longer than its limit


class Schedule:
    def __init__(self, jobs: list[Job], cores: int, folder: Path) -> None:
        self.waiting = list(jobs)
        self.free, self.cores, self.folder = cores, cores, folder
        self.outcomes: dict[str, Outcome] = {}
        self.running: dict[str, Job] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ended: queue.Queue[tuple[str, Outcome]] = queue.Queue()

    def run(self, started: Callable[[Job], None], ended: Callable[[str, Outcome], None]) -> dict[str, Outcome]:
        """Reports the start and the end of each job, from this thread."""
        try:
            while self.waiting or self.running:
                self.start(started, ended)
                if self.running:
                    name, outcome = self.ended.get()
                    job = self.running.pop(name)
                    self.free += min(job.cores, self.cores)
                    self.outcomes[name] = outcome
                    ended(name, outcome)
        finally:
            for process in list(self.processes.values()):
                stop(process)
        return self.outcomes

    def start(self, started: Callable[[Job], None], ended: Callable[[str, Outcome], None]) -> None:
        """Starts all that can start, in the order of the jobs."""
        for job in list(self.waiting):
            failed = [need for need in job.needs if need in self.outcomes and self.outcomes[need].status != 0]
            if failed:
                self.end_without_running(job, Outcome(status=1, without=failed[0]), ended)
            elif self.may_start(job):
                if why := job.unless():
                    self.end_without_running(job, Outcome(status=0, left_out=why), ended)
                    continue
                self.waiting.remove(job)
                self.free -= min(job.cores, self.cores)
                self.running[job.name] = job
                started(job)
                threading.Thread(target=self.work, args=(job,), daemon=True).start()

    def end_without_running(self, job: Job, outcome: Outcome, ended: Callable[[str, Outcome], None]) -> None:
        self.waiting.remove(job)
        self.outcomes[job.name] = outcome
        ended(job.name, outcome)

    def may_start(self, job: Job) -> bool:
        done = all(need in self.outcomes for need in job.needs)
        shared = job.shares and any(other.shares == job.shares for other in self.running.values())
        return done and not shared and min(job.cores, self.cores) <= self.free

    def work(self, job: Job) -> None:
        begin = time.monotonic()
        outcome = Outcome(status=127)
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            with job.log.open("wb") as log:
                process = subprocess.Popen(
                    job.command,
                    cwd=self.folder,
                    env=job.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self.processes[job.name] = process
                timer = threading.Timer(job.limit, self.late, (process, outcome))
                timer.start()
                _, status, usage = os.wait4(process.pid, 0)
                timer.cancel()
                process.returncode = outcome.status = os.waitstatus_to_exitcode(status)
                outcome.cpu = usage.ru_utime + usage.ru_stime
        except OSError as error:
            job.log.write_text(f"{job.command[0]}: {error.strerror}\n")
        finally:
            self.processes.pop(job.name, None)
            outcome.seconds = time.monotonic() - begin
            self.ended.put((job.name, outcome))

    @staticmethod
    def late(process: subprocess.Popen[bytes], outcome: Outcome) -> None:
        outcome.late = True
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a job and what it started: first asked, so that it can end what has left its group, then without asking."""
    for sign, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 0.0)):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while process.returncode is None and time.monotonic() < end:
            time.sleep(0.05)
