"""Reads a model's folder: config.json beside .npy files (one a tensor) or model.safetensors, all of float32.

Here: files to arrays, the order of rows that RoPE needs. Not here: who wrote the folder (fetch.py for SmolLM2; the small trained
models are committed).
Letters: D head size, E hidden size.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from llama import Llama
from recall.model import read_safetensors


def load(folder: Path) -> Llama:
    """The model of a folder; its .npy files are mapped, not read, so that processes share their memory."""
    config = json.loads((folder / "config.json").read_text())
    one = folder / "model.safetensors"
    return Llama(config, read_safetensors(one) if one.exists() else map_arrays(folder))


def map_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every .npy of a folder by its name."""
    return {path.stem: np.asarray(np.load(path, mmap_mode="r")) for path in sorted(folder.glob("*.npy"))}


def half_split(rows: np.ndarray, heads: int) -> np.ndarray:
    """Undoes GGUF's order of rows: it turns neighbours 2i, 2i+1 of a head; transformers turns i and i + D/2.

    rows (heads * D, E) -> (heads * D, E)
    """
    by_pair = rows.reshape(heads, -1, 2, rows.shape[-1])  # (heads, D/2, 2, E)
    return np.ascontiguousarray(by_pair.swapaxes(1, 2)).reshape(rows.shape)
