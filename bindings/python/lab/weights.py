"""Reads a model's folder: config.json beside .npy files (one a tensor) or model.safetensors, all of float32.

Here: files to arrays. Not here: who wrote the folder (fetch.py for SmolLM2; the small trained models are committed).
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
