"""The lab's prompts as text, a JSON object a line, for engines that are not the lab's.

    python texts.py needle --length 1000 --prompts 20

Each has `context` (prefilled, then compressed), `tokens` (of it), `begin` (what the answer begins with), `answer`; a first line names
the model's GGUF file. Not here: tasks (tasks), models (fetch.py).
"""

from __future__ import annotations

import argparse
import json

from fetch import gguf, smollm2
from language import Language
from tasks import QUERIES, SEEN, TASKS


def main() -> None:
    parser = argparse.ArgumentParser(description="The lab's prompts as text.")
    parser.add_argument("task", choices=[name for name, task in TASKS.items() if task.exact])
    parser.add_argument("--length", type=int, default=1000, help="tokens, about")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--query", choices=QUERIES, default=SEEN)
    options = parser.parse_args()
    words = Language(smollm2())
    print(json.dumps({"gguf": str(gguf())}))
    for seed in range(options.prompts):
        made = TASKS[options.task].make(words, options.length, seed, options.query)
        texts = {
            name: words.decode(ids)
            for name, ids in [("context", made.context), ("begin", made.stem), ("answer", made.answer)]
        }
        print(json.dumps({**texts, "tokens": len(made.context)}))


if __name__ == "__main__":
    main()
