"""Keep the part of a KV cache that attention reads, drop the rest.

>>> import numpy as np, kvsieve
>>> rng = np.random.default_rng(0)
>>> queries = rng.standard_normal((2, 4, 32, 64), np.float32)               # 2 layers, 4 query heads, the last 32 queries
>>> keys, values = rng.standard_normal((2, 2, 2, 1000, 64), np.float32)     # 2 layers, 2 KV heads, 1000 tokens
>>> small = kvsieve.compress("snapkv", queries, keys, values, ratio=0.12)
>>> small
<kvsieve.Compressed of 2 layers: 2048000 -> 245760 bytes>
>>> small[0].keys.shape, small[0].kept.counts.tolist()                      # the kept rows, head after head
((240, 64), [120, 120])

An engine observes layer by layer while it reads a prompt:

>>> model = kvsieve.Model(layers=2, query_heads=4, kv_heads=2, head_dim=64)
>>> with kvsieve.Plan("dynamickv", model, budget=120) as plan:
...     for layer in range(2):
...         plan.observe(layer, queries[layer], keys[layer], values[layer])
...     plan.finish()
...     [plan.kept(layer).counts.tolist() for layer in range(2)]            # 120 in the mean of the layers
[[97, 97], [143, 143]]

compress                what a method keeps of a whole cache or a batch of caches: a Compressed, a list with a Layer a layer
Plan                    one sequence, layer by layer, while decoding and when it goes on; made for a Model
Kept, Slots, Report     what a Plan says: which tokens are kept, where they are while decoding, what was lost
Paged, Quantised, Rope  what an array does not say: blocks of a table, quantised rows, how keys were rotated
methods                 the methods, each a MethodInfo with its paper and a ParameterInfo for each parameter
version, build_info     of the library that is loaded; self_check whether it computes what it must
KVSieveError            what the library refuses

Arrays are of numpy, torch or jax, in CPU memory, and are never copied. Numbers, defaults and methods are the library's; its manual
is include/kvsieve.h. `python -m kvsieve` says which library is loaded and when to choose which method. Four of them, and the papers
that published them:

ahakv      arXiv 2506.03762
taskkv     arXiv 2501.15113
windowkv   arXiv 2503.17922
dynamickv  arXiv 2412.14838
"""

from ._compress import compress
from ._compressed import Compressed, Layer
from ._kept import Kept, Slots
from ._library import build_info, version
from ._methods import MethodInfo, ParameterInfo, methods
from ._model import Model
from ._report import Report
from ._rope import Rope
from ._rows import Paged, Quantised
from ._version import VERSION
from .errors import KVSieveError, self_check
from .plan import Plan

__all__ = [
    "Compressed",
    "KVSieveError",
    "Kept",
    "Layer",
    "MethodInfo",
    "Model",
    "Paged",
    "ParameterInfo",
    "Plan",
    "Quantised",
    "Report",
    "Rope",
    "Slots",
    "build_info",
    "compress",
    "methods",
    "self_check",
    "version",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # of the library, which is loaded when first needed
        try:
            return version()
        except ImportError:  # help() asks too
            return VERSION
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
