"""Trains the second small model: `python train.py --checkpoint FILE` writes model/model.safetensors and train.log.

Here: the Llama in torch, the stages, the loop. Not here: what a batch is (drill.py), judging (table.py).
Needs torch (requirements.txt), which nothing else of this folder does. One thread; a run that was cut off goes on from its
checkpoint. The seed fixes every batch; the numbers of a run still depend on the processor and on torch's version.
Letters: B prompts, T tokens, E hidden size, Hq query heads, H key/value heads, D head size.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from drill import KINDS, Batch, Drill, Stage
from recall.prompts import PromptMaker

HERE = Path(__file__).resolve().parent
MODEL = HERE / "model"
SEED = 20261125
RATE = 2e-3
LANGUAGE = 0.2  # weight of the language modelling loss beside that of the answers
EVERY = 50  # steps between two lines of the log
LEARNED = 0.99
"""A stage but the last ends if this share of the answers' tokens, of every kind, was right in EVERY steps."""

STAGES = (
    Stage("copy", 0, 128, 1500, 1.0),
    Stage("40", 40, 128, 2500, 0.7, 1.0, (2, 1, 2)),
    Stage("96", 96, 48, 800, 0.7, 0.8, (4, 2, 4)),
    Stage("256", 256, 20, 600, 0.5, 0.4, (6, 3, 6)),
    Stage("512", 512, 10, 400, 0.5, 0.25, (8, 4, 8)),
    Stage("1024", 1024, 5, 300, 0.35, 0.15, (8, 4, 8)),
    Stage("2048", 2048, 2, 300, 0.25, 0.1, (8, 4, 8)),
)


class TorchLlama:
    """transformers' LlamaForCausalLM as functions of a dictionary of weights, by its names."""

    def __init__(self, config: dict[str, Any], generator: torch.Generator) -> None:
        self.config = config
        self.weights: dict[str, Any] = {}
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.dim, hidden, inner = config["head_dim"], config["hidden_size"], config["intermediate_size"]
        self.epsilon = config["rms_norm_eps"]
        matrices = {
            "self_attn.q_proj": (self.heads * self.dim, hidden),
            "self_attn.k_proj": (self.kv_heads * self.dim, hidden),
            "self_attn.v_proj": (self.kv_heads * self.dim, hidden),
            "self_attn.o_proj": (hidden, self.heads * self.dim),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        shapes = {"model.embed_tokens": (config["vocab_size"], hidden), "lm_head": (config["vocab_size"], hidden)}
        norms = ["model.norm"]
        for layer in range(config["num_hidden_layers"]):
            shapes |= {f"model.layers.{layer}.{name}": shape for name, shape in matrices.items()}
            norms += [f"model.layers.{layer}.{name}_layernorm" for name in ("input", "post_attention")]
        for name, shape in shapes.items():
            drawn = torch.randn(shape, generator=generator) * config["initializer_range"]
            self.weights[f"{name}.weight"] = drawn.requires_grad_()
        for name in norms:
            self.weights[f"{name}.weight"] = torch.ones(hidden, requires_grad=True)
        exponents = torch.arange(self.dim // 2, dtype=torch.float64) / (self.dim // 2)
        self.frequencies = config["rope_parameters"]["rope_theta"] ** -exponents

    def hidden(self, tokens: Any) -> Any:
        """tokens (B, T) -> the last layer's normalized output (B, T, E)."""
        angles = torch.arange(tokens.shape[1], dtype=torch.float64)[:, None] * self.frequencies
        cosine, sine = angles.cos().float(), angles.sin().float()  # (T, D / 2)
        rows = F.embedding(tokens, self.weights["model.embed_tokens.weight"])
        for layer in range(self.config["num_hidden_layers"]):
            rows = self._block(f"model.layers.{layer}.", rows, cosine, sine)
        return self._normalized("model.norm", rows)

    def logits(self, hidden: Any) -> Any:
        """(..., E) -> (..., vocabulary)."""
        return F.linear(hidden, self.weights["lm_head.weight"])

    def _block(self, prefix: str, rows: Any, cosine: Any, sine: Any) -> Any:
        batch, tokens, _ = rows.shape

        def linear(name: str, given: Any) -> Any:
            return F.linear(given, self.weights[f"{prefix}{name}.weight"])

        def heads(name: str, given: Any) -> Any:  # (B, heads, T, D)
            return linear(f"self_attn.{name}_proj", given).view(batch, tokens, -1, self.dim).transpose(1, 2)

        normalized = self._normalized(f"{prefix}input_layernorm", rows)
        queries, keys = (_rotated(heads(name, normalized), cosine, sine) for name in "qk")
        repeats = self.heads // self.kv_heads
        keys, values = (x.repeat_interleave(repeats, dim=1) for x in (keys, heads("v", normalized)))
        mixed = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        rows = rows + linear("self_attn.o_proj", mixed.transpose(1, 2).reshape(batch, tokens, -1))
        normalized = self._normalized(f"{prefix}post_attention_layernorm", rows)
        gated = F.silu(linear("mlp.gate_proj", normalized)) * linear("mlp.up_proj", normalized)
        return rows + linear("mlp.down_proj", gated)

    def _normalized(self, name: str, rows: Any) -> Any:
        weight = self.weights[f"{name}.weight"]
        return F.rms_norm(rows, weight.shape, weight, self.epsilon)


def _rotated(rows: Any, cosine: Any, sine: Any) -> Any:
    """RoPE, half-split: rows (B, heads, T, D), angles (T, D / 2)."""
    low, high = rows.chunk(2, dim=-1)
    return torch.cat([low * cosine - high * sine, high * cosine + low * sine], dim=-1)


def losses(model: TorchLlama, batch: Batch, random: np.random.Generator) -> tuple[Any, Any, dict[str, list[bool]]]:
    """The losses of answers and of language modelling, and which answer tokens are right, by kind of question."""
    tokens, kinds = torch.from_numpy(batch.tokens), batch.kinds[:, 1:].ravel()
    hidden = model.hidden(tokens[:, :-1]).flatten(0, 1)  # (B * (T - 1), E)
    targets = tokens[:, 1:].flatten()
    asked = np.flatnonzero(kinds)
    others = np.flatnonzero(random.random(kinds.size) < 0.25)
    logits = model.logits(hidden[torch.from_numpy(asked)])
    answered = targets[torch.from_numpy(asked)]
    language = F.cross_entropy(model.logits(hidden[torch.from_numpy(others)]), targets[torch.from_numpy(others)])
    right = (logits.argmax(-1) == answered).numpy()
    by_kind = {kind: right[kinds[asked] == 1 + number].tolist() for number, kind in enumerate(KINDS)}
    return F.cross_entropy(logits, answered), language, by_kind


def write_safetensors(path: Path, weights: dict[str, Any]) -> None:
    """8 bytes of header length, JSON, then the float32 numbers, tensor after tensor."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    numbers = b""
    for name, weight in sorted(weights.items()):
        data = weight.detach().numpy().astype("<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(weight.shape),
            "data_offsets": [len(numbers), len(numbers) + len(data)],
        }
        numbers += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)


class Training:
    """The run: model, optimizer, where in the stages it stands, seconds so far."""

    def __init__(self, checkpoint: Path, log: Path) -> None:
        self.checkpoint, self.log = checkpoint, log
        config = json.loads((MODEL / "config.json").read_text())
        self.model = TorchLlama(config, torch.Generator().manual_seed(SEED))
        self.parameters = list(self.model.weights.values())
        self.optimizer = torch.optim.AdamW(self.parameters, RATE, betas=(0.9, 0.98), weight_decay=0.01)
        self.drill = Drill(PromptMaker(MODEL, SEED))
        self.stage, self.step, self.seconds = 0, 0, 0.0
        if checkpoint.exists():
            saved = torch.load(checkpoint)
            with torch.no_grad():
                for name, weight in saved["weights"].items():
                    self.model.weights[name].copy_(weight)
            self.optimizer.load_state_dict(saved["optimizer"])
            self.stage, self.step, self.seconds = saved["at"]

    def save(self) -> None:
        at = (self.stage, self.step, self.seconds)
        saved = {"weights": self.model.weights, "optimizer": self.optimizer.state_dict(), "at": at}
        beside = self.checkpoint.with_suffix(".new")
        torch.save(saved, beside)
        beside.replace(self.checkpoint)

    def run(self) -> None:
        while self.stage < len(STAGES):
            self.run_stage(STAGES[self.stage])
            self.stage, self.step = self.stage + 1, 0
            self.save()

    def run_stage(self, stage: Stage) -> None:
        start, before = time.perf_counter(), self.seconds
        answer_loss, language_loss = [], []
        rights: defaultdict[str, list[bool]] = defaultdict(list)
        while self.step < stage.steps:
            random = np.random.default_rng([SEED, self.stage, self.step])
            for group in self.optimizer.param_groups:
                group["lr"] = RATE * stage.rate * self.warmth(stage)
            answers, language, by_kind = losses(self.model, self.drill.batch(random, stage), random)
            self.optimizer.zero_grad()
            (answers + LANGUAGE * language).backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.step += 1
            answer_loss.append(answers.item())
            language_loss.append(language.item())
            for kind, right in by_kind.items():
                rights[kind] += right
            self.seconds = before + time.perf_counter() - start
            if self.step % EVERY == 0:
                shares = "  ".join(f"{kind} {np.mean(right):.3f}" for kind, right in rights.items() if right)
                self.say(
                    f"{stage.name:>5} {self.step:>5} {self.seconds:6.0f} s  answers {np.mean(answer_loss):.3f}"
                    f"  language {np.mean(language_loss):.3f}  {shares}"
                )
                learned = min(np.mean(right) for right in rights.values() if right) >= LEARNED
                answer_loss, language_loss, rights = [], [], defaultdict(list)
                self.save()
                if learned and stage is not STAGES[-1]:
                    return

    def warmth(self, stage: Stage) -> float:
        """1 but for the first steps of all, which warm up, and the last stage, which ends at a tenth."""
        if self.stage == 0:
            return min(1.0, (self.step + 1) / 30)
        return 1 - 0.9 * self.step / stage.steps if stage is STAGES[-1] else 1.0

    def say(self, line: str) -> None:
        print(line, flush=True)
        with self.log.open("a") as log:
            log.write(line + "\n")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--checkpoint", type=Path, required=True, help="written every 50 steps; goes on from it")
    options.add_argument("--log", type=Path, default=MODEL / "train.log")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    training = Training(chosen.checkpoint, chosen.log)
    training.run()
    write_safetensors(MODEL / "model.safetensors", training.model.weights)


if __name__ == "__main__":
    main()
