"""Tests of the prompts, with letters for tokens: what a prompt promises does not depend on the tokenizer.

Not here: running prompts (check_model.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from language import Language
from tasks import QUERIES, SEEN, TASKS, UNSEEN, Prompt
from tasks.continuation import JUDGED
from tasks.filler import DIGITS
from tasks.needle import depth

FACT = r"The secret code of (\w+) is ([1-9]\d{4})\."


class Letters(Language):
    """A character a token."""

    def __init__(self) -> None:
        """Reads no file."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(map(chr, ids))


@cache
def letters() -> Letters:
    return Letters()


def made(task: str, length: int, seed: int, query: str = SEEN) -> Prompt:
    return TASKS[task].make(letters(), length, seed, query)


def context(prompt: Prompt) -> str:
    return letters().decode(prompt.context)


def test_prompts_are_as_long_as_asked_and_repeat() -> None:
    """Within the longest sentence or example; again the same; another seed, another prompt."""
    for name, task in TASKS.items():
        for query in task.queries:
            one = made(name, 3000, 5, query)
            assert 2400 < len(one.context) < 3300, f"{name} {query}: {len(one.context)}"
            assert len(one.stem) > 0 and bool(one.answer) != bool(one.own)
            assert one == made(name, 3000, 5, query) != made(name, 3000, 6, query)


def test_seen_and_unseen_have_the_same_words() -> None:
    for name, task in TASKS.items():
        if task.queries == QUERIES:
            seen, unseen = (made(name, 2000, 3, query) for query in (SEEN, UNSEEN))
            assert seen.context + seen.stem + seen.answer == unseen.context + unseen.stem + unseen.answer
            assert len(seen.context) > len(unseen.context)


def test_the_needle_stands_at_its_depth() -> None:
    for seed in range(10):
        prompt = made("needle", 9000, seed, UNSEEN)
        ((name, code),) = re.findall(FACT, context(prompt))
        assert letters().decode(prompt.answer) == code and len(code) == DIGITS
        assert (
            letters()
            .decode(prompt.stem)
            .endswith(
                f"What is the secret code of {name}?<|im_end|>\n<|im_start|>assistant\nThe secret code of {name} is "
            )
        )
        found = context(prompt).index(code) / len(prompt.context)
        assert abs(found - depth(seed)) < 0.05, f"{found} {depth(seed)}"
    assert [round(depth(seed), 2) for seed in (0, 9, 10)] == [0.05, 0.95, 0.05]


def test_four_keys_stand_in_four_quarters() -> None:
    """Which one is asked goes round with the seed."""
    for seed in range(8):
        prompt = made("four_keys", 9000, seed, UNSEEN)
        facts = re.findall(FACT, context(prompt))
        assert len(facts) == len(dict(facts)) == 4
        assert letters().decode(prompt.answer) == facts[seed % 4][1]
        assert f"code of {facts[seed % 4][0]}?" in letters().decode(prompt.stem)
        for quarter, (_, code) in enumerate(facts):
            assert quarter / 4 - 0.05 < context(prompt).index(code) / len(prompt.context) < (quarter + 1) / 4 + 0.05


def test_few_shot_says_what_its_names_mean() -> None:
    """Every group has one name, three groups have three, and the asked word is in no example."""
    for seed in range(6):
        prompt = made("few_shot", 4000, seed, UNSEEN)
        examples = re.findall(r"Word: (\w+)\nGroup: (\w+)\n\n", context(prompt))
        words = dict(examples)
        assert len(set(examples)) == len(words) and len(set(words.values())) == 3
        (asked,) = re.findall(r"^Word: (\w+)\nGroup:$", letters().decode(prompt.stem))
        assert asked not in words
        groups = [set(group.split()) for group in _groups() if asked in group.split()]
        alike = {words[word] for word in words if word in groups[0]}
        assert alike == {letters().decode(prompt.answer).strip()}


def _groups() -> list[str]:
    from tasks.few_shot import GROUPS

    words = [word for group in GROUPS for word in group.split()]
    assert len(words) == len(set(words)), "a word of two groups has two names"
    return GROUPS


def test_no_token_of_a_continuation_is_judged_twice() -> None:
    """Context, stem and answer are one excerpt of a topic; answers of different seeds do not overlap."""
    topics = ["".join(map(letters().decode, parts)) for parts in letters().passages]
    judged: set[tuple[int, int]] = set()
    for seed in range(40):
        prompt = made("continuation", 2000, seed, "none")
        text = letters().decode(prompt.context + prompt.stem + prompt.answer)
        places = [(topic, whole.index(text)) for topic, whole in enumerate(topics) if text in whole]
        assert places and len(prompt.answer) == JUDGED
        tokens = {(places[0][0], places[0][1] + 2001 + i) for i in range(JUDGED)}
        assert not tokens & judged
        judged |= tokens
    try:
        made("continuation", 2000, 10**6, "none")
    except ValueError as error:
        assert "the texts have" in str(error)
    else:
        raise AssertionError("a prompt beyond the texts was made")
