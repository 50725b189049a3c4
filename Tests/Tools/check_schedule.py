"""When jobs start: after what they need, within the cores, never two that share."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from Tools.schedule import Job, Outcome, Schedule


def play(jobs: list[Job], cores: int = 2) -> tuple[list[str], dict[str, Outcome]]:
    """What started (+name) and ended (-name), in order."""
    events: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for job in jobs:
            job.log, job.environment = Path(folder) / f"{job.name}.log", dict(os.environ)
        schedule = Schedule(jobs, cores, Path(folder))
        outcomes = schedule.run(lambda job: events.append(f"+{job.name}"), lambda name, _: events.append(f"-{name}"))
    return events, outcomes


def job(name: str, script: str = "sleep 0.2", needs: tuple[str, ...] = (), cores: int = 1, shares: str = "") -> Job:
    return Job(name, ["sh", "-c", script], Path(), needs, cores, shares)


def tests_two_run_at_once_and_the_third_waits() -> None:
    events, _ = play([job("a"), job("b"), job("c", "true")])
    assert events[:2] == ["+a", "+b"] and events[2] in ("-a", "-b") and events[3] == "+c"


def tests_a_wide_job_runs_alone_also_on_fewer_cores() -> None:
    assert play([job("a", cores=2), job("b", cores=2)])[0] == ["+a", "-a", "+b", "-b"]
    assert play([job("a", "true", cores=2)], cores=1)[0] == ["+a", "-a"]


def tests_what_is_needed_comes_first() -> None:
    assert play([job("late", "true", needs=("early",)), job("early")])[0] == ["+early", "-early", "+late", "-late"]


def tests_two_that_share_never_run_at_once() -> None:
    assert play([job("a", shares="x"), job("b", shares="x")])[0] == ["+a", "-a", "+b", "-b"]


def tests_without_what_it_needs_a_job_does_not_run() -> None:
    events, outcomes = play([job("build", "exit 3"), job("part", needs=("build",)), job("other", "true")])
    assert outcomes["build"].status == 3 and outcomes["part"].without == "build" and "+part" not in events
    assert outcomes["other"].status == 0


def tests_a_job_may_be_left_out_when_its_turn_comes() -> None:
    part = job("part", needs=("build",))
    part.unless = lambda: "not on this processor"
    events, outcomes = play([job("build", "true"), part])
    assert events == ["+build", "-build", "-part"] and outcomes["part"].left_out == "not on this processor"


def tests_a_job_that_takes_too_long_is_ended_with_its_children() -> None:
    slow = job("slow", "sleep 60 & sleep 60")
    slow.limit = 0.2
    begin = time.monotonic()
    _, outcomes = play([slow])
    assert outcomes["slow"].late and outcomes["slow"].status == -15 and time.monotonic() - begin < 20


def tests_a_job_that_does_not_listen_is_ended_too() -> None:
    deaf = job("deaf", "trap '' TERM; while :; do sleep 0.1; done")
    deaf.limit = 0.2
    assert play([deaf])[1]["deaf"].status == -9


def tests_a_program_that_is_not_there_is_a_failure() -> None:
    absent = Job("absent", ["/no/such/program"], Path())
    assert play([absent])[1]["absent"].status == 127


def tests_time_of_children_is_counted() -> None:
    _, outcomes = play(
        [job("busy", "for i in 1 2; do sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; done")]
    )
    assert outcomes["busy"].cpu > 0.05
