"""What is asked: one file a task, each a function from (language, length, seed, query) to a Prompt, and a line in TASKS.

Here: what a task and a prompt are, and the table of tasks. Not here: running and judging (run.py, judge.py).
"""

from __future__ import annotations

from tasks import continuation, few_shot, four_keys, needle, summary
from tasks.prompt import NO_QUERY, QUERIES, SEEN, UNSEEN, Prompt, Task

TASKS = {task.name: task for task in (needle.TASK, four_keys.TASK, few_shot.TASK, continuation.TASK, summary.TASK)}

__all__ = ["NO_QUERY", "QUERIES", "SEEN", "TASKS", "UNSEEN", "Prompt", "Task"]
