"""Files of the command line: a cache of queries, keys and values in an .npz, and the words of its tokens.

What is wrong with a file is a ValueError whose sentence begins with the file's name.
Letters: L layers, Hq query heads, H key/value heads, W or more last queries, T tokens, D head size.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ._model import Model
from .plan import Plan

SHAPES = {"q": "(L, Hq, W or T, D)", "k": "(L, H, T, D)", "v": "(L, H, T, D)"}

FILE = f"""FILE.npz holds a prompt's cache, as numpy.savez(FILE, q=..., k=..., v=...) writes it:
  q  {SHAPES["q"]:20}  queries after rotary embedding, of the last W tokens or of all T
  k  {SHAPES["k"]:20}  keys after rotary embedding
  v  {SHAPES["v"]:20}  values
  of float32 or float16; L layers, Hq query heads, H key/value heads, T tokens, D head size.
  W is at least the method's window. If a method does not read q or v, the array may be missing.
"""


@dataclass(frozen=True, eq=False)
class Cache:
    """A whole prompt. q or v may be missing until a method asks for them."""

    name: str
    q: np.ndarray | None
    k: np.ndarray
    v: np.ndarray | None

    @property
    def tokens(self) -> int:
        return int(self.k.shape[2])

    def through(self, method: str, parameters: dict[str, Any], scale: float) -> Plan:
        """A finished plan. Raises what Plan raises, and ValueError if the method reads an array that is missing."""
        layers, heads, _, dim = self.k.shape
        query_heads = heads if self.q is None else self.q.shape[1]
        plan = Plan(method, Model(layers, query_heads, heads, dim, scale), **parameters)
        for layer in range(layers):
            for array, name in (("q", "queries"), ("v", "values")):
                if name in plan.needs(layer) and getattr(self, array) is None:
                    raise ValueError(f"{self.name}: {method} reads {name}: expected an array {array} {SHAPES[array]}")
            plan.observe(layer, _layer(self.q, layer), self.k[layer], _layer(self.v, layer))
        plan.finish()
        return plan


def read_cache(path: Path) -> Cache:
    """q, k and v of an .npz."""
    arrays, names = _arrays(path)
    if "k" not in arrays:
        raise ValueError(
            f"{path} has no array k: expected k {SHAPES['k']}; the file has {', '.join(names) or 'nothing'}"
        )
    for name, array in arrays.items():
        shape = getattr(array, "shape", ())  # numpy gives the bytes of what is no .npy file
        if len(shape) != 4 or 0 in shape:
            raise ValueError(f"{path}: {name} has shape {shape}: expected {name} {SHAPES[name]}")
        if array.dtype not in (np.float32, np.float16):
            raise ValueError(f"{path}: {name} has dtype {array.dtype}: expected float32 or float16")
    for name, array in arrays.items():
        if len(array) != len(arrays["k"]):
            raise ValueError(f"{path}: {name} has {len(array)} layers and k has {len(arrays['k'])}: expected the same")
    _fit(path, arrays)
    rows = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return Cache(str(path), rows.get("q"), rows["k"], rows.get("v"))


def _fit(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """That q and v belong to k."""
    _, heads, tokens, dim = arrays["k"].shape
    if "q" in arrays:
        _, query_heads, rows, query_dim = arrays["q"].shape
        if query_dim != dim or rows > tokens or query_heads % heads:
            raise ValueError(
                f"{path}: q has shape {arrays['q'].shape} and k {arrays['k'].shape}: expected the same D, at most T rows, and "
                f"query heads that are a multiple of k's heads"
            )
    if "v" in arrays and arrays["v"].shape[1:3] != (heads, tokens):
        raise ValueError(
            f"{path}: v has shape {arrays['v'].shape} and k {arrays['k'].shape}: expected the same heads and tokens"
        )


def _arrays(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """Those of q, k, v that the file has, and the names of all that it has."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is not an .npz file: expected what numpy.savez writes")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in SHAPES if name in arrays.files}, arrays.files
        except Exception as error:  # numpy, zipfile and the decompressors raise many kinds for a file that is damaged
            raise ValueError(f"{path} cannot be read: {type(error).__name__}: {error}") from None


def read_words(path: Path, tokens: int) -> list[str]:
    """T texts: a JSON list of strings, or if the file's name does not end in .json one a line."""
    try:
        text = path.read_text(encoding="utf-8")
        words = json.loads(text) if path.suffix == ".json" else text.split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{path}: expected a JSON list of strings")
    if path.suffix != ".json" and words[-1] == "":
        words.pop()
    if len(words) != tokens:
        raise ValueError(f"{path} has {len(words)} texts: expected one for each of the {tokens} tokens of k")
    return words


def _layer(arrays: np.ndarray | None, layer: int) -> Any:
    return None if arrays is None else arrays[layer]
