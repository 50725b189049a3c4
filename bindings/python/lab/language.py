"""Words: SmolLM2's tokenizer and chat template, and English prose that every Python installation has.

Here: text to token ids and back, the user's turn of a chat, the topics of `pydoc_data` (Python's language reference) as
paragraphs. Not here: what a prompt asks (tasks). Prompts depend on the Python version, since its reference does.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from pydoc_data.topics import topics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
USER_BEGINS = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
END = "<|im_end|>"
ASSISTANT_BEGINS = f"{END}\n<|im_start|>assistant\n"
SHORTEST = 120  # characters of a paragraph of prose


class Language:
    """A tokenizer with the texts that prompts are made of, each tokenized once."""

    def __init__(self, folder: Path) -> None:
        """Reads tokenizer.json of `folder`."""
        from tokenizers import Tokenizer  # the checks of this folder need no words, and run without it

        self.tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def encode(self, text: str) -> list[int]:
        """Ids; <|im_start|> and its like count as one token."""
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=False)
        return text

    @functools.cached_property
    def sentences(self) -> list[list[str]]:
        """Paragraphs of prose, each a list of sentences."""
        return [re.split(r"(?<=[.:!?]) (?=[A-Z])", paragraph) for paragraph in prose()]

    @functools.cached_property
    def passages(self) -> list[list[list[int]]]:
        """Whole topics, each a list of paragraphs in ids: their concatenation is the topic's text."""
        return [[self.encode(part) for part in re.split(r"(?<=\n\n)", text)] for _, text in sorted(topics.items())]

    @functools.cache  # noqa: B019 - one Language lives as long as its process
    def length(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.encode(text))


def prose() -> list[str]:
    """Paragraphs that are sentences: no grammar, no code, no tables; line ends are blanks."""
    found = []
    for _, text in sorted(topics.items()):
        for paragraph in text.split("\n\n"):
            flush = re.match(r"[A-Z]", paragraph) and not re.search(r"\n {2,}", paragraph)
            if flush and len(paragraph) > SHORTEST and paragraph.rstrip().endswith(".") and "::=" not in paragraph:
                found.append(" ".join(paragraph.split()))
    return found
