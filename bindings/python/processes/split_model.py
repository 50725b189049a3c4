"""A small Llama whose heads are on two ranks, and whose caches are compressed: one rank of test_split_model.py, or the whole.

    split_model.py gloo WAY HEADS FOLDER

WAY     hand    each rank has some rows of the projections of queries, keys and values, and the columns of the output's that fit
        plan    transformers' own tensor parallelism: DistributedConfig(tp_plan="auto"), by which torch's tensors are distributed
HEADS   of keys and values, of the whole model. FOLDER: where the model is saved
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from families import SIZES, words

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import transformers
    from transformers.distributed import DistributedConfig

import kvsieve
from kvsieve import distributed
from kvsieve.transformers import SieveCache

torch.set_num_threads(1)
LAYERS, PROMPT, NEW, QUESTION, MORE = 4, 120, 8, 40, 6
METHODS: dict[str, dict[str, Any]] = {
    "dynamickv": {"budget": 40, "window": 8},
    "taskkv": {"ratio": 0.5, "recent": 12, "sinks": 4, "semantic": 16},
    "windowkv": {"budget": 40, "window": 8, "size": 4, "shared": 2, "pyramid": 4},
    "snapkv": {"budget": 40, "window": 8},
}


def whole(heads: int) -> Any:
    """The same numbers in every process."""
    torch.manual_seed(heads)
    sizes = {**SIZES, "num_key_value_heads": heads, "num_hidden_layers": LAYERS, "tie_word_embeddings": False}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes)).eval()
    for name, parameter in model.named_parameters():
        if "q_proj" in name or "k_proj" in name:
            parameter.data *= 4  # else attention is flat, and every token as good as any other
    return model


def talk(model: Any, method: str, join: Callable[[kvsieve.Plan], None] | None = None) -> dict[str, Any]:
    """A prompt and a follow-up: logits, and by round and layer and head the rows that are kept."""
    text, logits, kept = words(PROMPT, seed=1), [], []
    cache = SieveCache(model, method, join=join, **METHODS[method])
    for new in (NEW, MORE):
        with cache.attached():
            out = model.generate(
                text,
                attention_mask=torch.ones_like(text),
                past_key_values=cache,
                max_new_tokens=new,
                do_sample=False,
                return_dict_in_generate=True,
                output_logits=True,
            )
        logits += [part[0].tolist() for part in out.logits]
        layers = [cache.kept(layer) for layer in range(LAYERS)]
        kept.append([[one.head(head).tolist() for head in range(len(one.counts))] for one in layers])
        text = torch.cat([out.sequences, words(QUESTION, seed=2)], 1)
    return {"logits": logits, "kept": kept}


def bounds(heads: int, rank: int) -> range:
    """The first rank has fewer heads than the second."""
    first = heads // 4
    return range(first) if rank == 0 else range(first, heads)


class Added(torch.nn.Module):  # type: ignore[misc]
    """A projection of this rank's heads; what the ranks get is added up."""

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def forward(self, rows: Any) -> Any:
        out = torch.nn.functional.linear(rows, self.weight)
        torch.distributed.all_reduce(out)
        return out


def by_hand(heads: int, own: range) -> Any:
    model = whole(heads)
    dim, group = model.config.head_dim, model.config.num_attention_heads // heads
    for layer in model.model.layers:
        attention = layer.self_attn
        for name, each in (("q_proj", group * dim), ("k_proj", dim), ("v_proj", dim)):
            weight = getattr(attention, name).weight.data[own.start * each : own.stop * each]
            part = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            part.weight.data = weight.clone()
            setattr(attention, name, part)
        columns = slice(own.start * group * dim, own.stop * group * dim)
        attention.o_proj = Added(attention.o_proj.weight.data[:, columns].clone())
    return model


def main() -> None:
    from peers import peers, write

    way, heads, folder = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    here = peers(sys.argv[1])
    if way == "hand":
        own = bounds(heads, here.rank)
        model = by_hand(heads, own)
    else:
        own = range(heads // 2 * here.rank, heads // 2 * (here.rank + 1))
        plan = DistributedConfig(tp_plan="auto")
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, distributed_config=plan).eval()

    def join(plan: kvsieve.Plan) -> None:
        distributed.join(plan, here.group, layers=LAYERS, heads=heads, first_head=own.start)

    found = {method: talk(model, method, join) for method in METHODS}
    write(here.rank, {"heads": len(own), "found": found})


if __name__ == "__main__":
    with torch.no_grad():
        main()
