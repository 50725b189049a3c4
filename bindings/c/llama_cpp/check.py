"""Holds llama.cpp with a compressed cache to the lab: codes answered from 25 % by each cache type, prompts in micro-batches, a chat
without end.

    check.py PROGRAM LAB_PYTHON [TEST ...]     a line a failed test, a table, `N passed, N failed`

PROGRAM is what build.sh has made. LAB_PYTHON has the lab's packages and makes its prompts (bindings/python/lab/texts.py). What the
program says of itself is not believed: which tokens are in the cache is read from the engine's own state files.
"""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = HERE.parents[1] / "python/lab/texts.py"
PROMPTS, LENGTH, SHARE = 20, 1000, 0.25
CACHES = ("f16", "q8_0", "q4_0")
WHOLE = "streamingllm ratio=1"
RECENT = f"streamingllm ratio={SHARE}"
CHOSEN = (f"dynamickv ratio={SHARE} window=16 pool=1 pool_kernel=15", f"snapkv ratio={SHARE} window=16 pool_kernel=15")
METHODS = (WHOLE, *CHOSEN, RECENT)
RIGHT_AT_LEAST = 17  # of 20: the lower end of the lab's interval for 47 of 50 is 84 %
RECENT_AT_MOST = 8  # the upper end of its interval for 12 of 50 is 37 %
LINE = re.compile(r"(\d+) of (\d+) tokens stay, (\d+) ranges go, position (\d+) is next, attention spans (\d+) cells")


@dataclass(frozen=True)
class Said:
    answers: list[str]
    stays: list[tuple[int, ...]]
    """The numbers of each LINE."""


class Engine:
    def __init__(self, program: str, model: str) -> None:
        self.command = [program, "--model", model, "--threads", "1"]  # several programs at once, none that waits

    def run(self, text: str, methods: tuple[str, ...], **options: object) -> Said:
        words = [f"--{name}" if i == 0 else str(value) for name, value in options.items() for i in (0, 1)]
        words += [word for method in methods for word in ("--method", method)]
        done = subprocess.run([*self.command, *words], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        stays = [tuple(map(int, line)) for line in LINE.findall(done.stderr)]
        return Said(done.stdout.splitlines(), stays)


def held(state: Path) -> list[int]:
    """Positions in a file of llama_state_seq_save_file, in the order of the cells: magic, version, tokens, streams, cells, and of
    each cell its position, the number of its sequences, and these."""
    data = state.read_bytes()
    tokens, streams, cells = struct.unpack_from("<8x3I", data)
    assert (tokens, streams) == (0, 1), (tokens, streams)
    found = [struct.unpack_from("<iIi", data, 20 + 12 * cell) for cell in range(cells)]
    assert {(number, sequence) for _, number, sequence in found} == {(1, 0)}, "a cell of another sequence"
    return [position for position, _, _ in found]


def right(answer: str, prompt: dict[str, str]) -> bool:
    """By the lab's rule: the code's five digits are the likeliest where they are due. What the model says after them is not judged."""
    return answer.startswith(prompt["begin"] + prompt["answer"])


class Checks:
    def __init__(self, engine: Engine, prompts: list[dict[str, str]]) -> None:
        self.engine, self.prompts = engine, prompts
        self.table: dict[str, dict[str, int]] = {}

    def needle(self, cache: str) -> None:
        """Codes at ten depths, each twice."""
        counts = dict.fromkeys(METHODS, 0)

        def answered(prompt: dict[str, str]) -> Said:
            return self.engine.run(
                prompt["context"], METHODS, cache=cache, begin=prompt["begin"], tokens=8, context=1280
            )

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            everything = list(pool.map(answered, self.prompts))
        for prompt, said in zip(self.prompts, everything, strict=True):
            tokens = int(prompt["tokens"])
            kept = [int(SHARE * tokens)] * len(METHODS[1:])
            assert [line[:2] for line in said.stays] == [(n, tokens) for n in (tokens, *kept)], said.stays
            for method, answer in zip(METHODS, said.answers, strict=True):
                counts[method] += right(answer, prompt)
        self.table[cache] = counts
        print(cache, counts, flush=True)  # minutes pass
        assert counts[WHOLE] >= PROMPTS - 1, counts
        assert counts[RECENT] <= RECENT_AT_MOST, counts
        for method in CHOSEN:
            assert counts[method] >= RIGHT_AT_LEAST, counts
            assert counts[method] >= counts[RECENT] + PROMPTS // 3, counts

    def needle_f16(self) -> None:
        self.needle("f16")

    def needle_q8_0(self) -> None:
        self.needle("q8_0")

    def needle_q4_0(self) -> None:
        self.needle("q4_0")

    def micro_batches(self) -> None:
        """The window's queries come in pieces: what stays does not depend on the pieces but by the engine's own rounding."""
        prompt = self.prompts[4]
        kept = {}
        for size in (512, 24, 5):
            with tempfile.TemporaryDirectory() as folder:
                options = {"begin": prompt["begin"], "tokens": 8, "ubatch": size, "states": f"{folder}/state"}
                said = self.engine.run(prompt["context"], CHOSEN[1:], **options)
                (state,) = Path(folder).iterdir()
                kept[size] = set(held(state))
            assert right(said.answers[0], prompt), (size, said.answers)
        for size in (24, 5):
            alike = len(kept[512] & kept[size]) / len(kept[512])
            assert alike >= 0.97, (size, alike)

    def endless_chat(self) -> None:
        """Over ten removals: the system prompt stays whole, the budget holds, cells are used again, a code of it is still answered."""
        code, mark, budget, window = "48213", 320, 256, 16
        # Said once, the code is lost to this small model 1,500 tokens later, whole cache or not.
        fact = f"The secret code of Alice is {code}."
        system = (
            f"You are a helpful assistant. {fact} If you are asked for it, say: {fact} Answer in one short sentence."
        )
        facts = [sentence for prompt in self.prompts for sentence in prompt["context"].split("\n\n")[1:6]]
        facts = [
            fact for fact in facts if 200 < len(fact) < 600 and "secret" not in fact
        ]  # of one code is spoken, no other
        turns = [f"{fact} What is this about?" for fact in facts][:14]
        question = "What is the secret code of Alice?\tThe secret code of Alice is "
        method = (f"snapkv budget={budget} window={window} pool_kernel=15",)
        with tempfile.TemporaryDirectory() as folder:
            text = "\n".join([*turns, question]) + "\n"
            options = {
                "chat": system,
                "mark": mark,
                "tokens": 24,
                "context": 1024,
                "states": f"{folder}/state",
            }
            said = self.engine.run(text, method, **options)
            states = sorted(Path(folder).iterdir(), key=lambda file: int(file.name.removeprefix("state")))
            positions = [held(file) for file in states]
        alone = self.engine.run(f"<|im_start|>system\n{system}<|im_end|>\n", (WHOLE,), tokens=1)
        pinned = alone.stays[0][1]  # tokens of the system prompt
        assert pinned > len(system.split()), pinned
        assert len(positions) >= 10, len(positions)
        for cells in positions:
            assert set(range(pinned)) <= set(cells), "the system prompt has lost a token"
            assert len(cells) == len(set(cells)) == budget, len(cells)
        removals = [line for line in said.stays if line[2] > 0]
        assert len(removals) == len(positions), (len(removals), len(positions))
        assert [max(cells) + 1 for cells in positions] == [line[3] for line in removals]
        assert any(cells != sorted(cells) for cells in positions), "no cell was used again"
        assert max(line[4] for line in said.stays) <= 1024 < said.stays[-1][3], said.stays[-1]
        assert code in said.answers[-1], said.answers[-1]


def main(program: str, python: str, *names: str) -> int:
    command = [python, str(LAB), "needle", "--length", str(LENGTH), "--prompts", str(PROMPTS)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, *prompts = [json.loads(line) for line in made.splitlines()]
    checks = Checks(Engine(program, first["gguf"]), prompts)
    tests = [checks.micro_batches, checks.endless_chat, checks.needle_f16, checks.needle_q8_0, checks.needle_q4_0]
    tests = [test for test in tests if not names or test.__name__ in names]
    failed = 0
    for test in tests:
        try:
            test()
        except AssertionError as error:
            failed += 1
            print(f"FAILED {test.__name__}: {error}")
    print(f"\n| right of {PROMPTS} codes | " + " | ".join(checks.table) + " |")
    print("|---|" + "---|" * len(checks.table))
    for method in METHODS:
        print(f"| {method} | " + " | ".join(str(counts[method]) for counts in checks.table.values()) + " |")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
