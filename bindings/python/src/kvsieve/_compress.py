"""All layers of a finished cache at once: a few lines over Plan, and nothing that Plan cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ._kept import Kept
from ._model import Model
from ._tensor import tensor
from .plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Keywords


class PerLayer(Protocol):
    """A list of arrays, or one array whose first axis is the layer."""

    def __len__(self) -> int: ...

    def __getitem__(self, layer: int, /) -> Any: ...


class Layer(NamedTuple):
    """One layer after compression."""

    keys: Any
    """(total, D) numpy: head h has rows kept.offsets[h] to kept.offsets[h+1]."""
    values: Any
    """(total, any) numpy, likewise."""
    kept: Kept


def compress(
    method: str | int,
    queries: PerLayer,
    keys: PerLayer,
    values: PerLayer,
    *,
    scale: float = 0.0,
    **parameters: Unpack[Keywords],
) -> list[Layer]:
    """What `method` keeps of a whole cache, packed.

    queries, keys, values: an array a layer, as Plan.observe takes them; queries may be None in a layer that does not
    need them. The model is read off the shapes. scale: of the logits, 0 means 1/sqrt(D). The other keywords are the
    method's parameters. Raises what Plan raises, and ValueError if the three do not have the same number of layers.
    """
    if not len(queries) == len(keys) == len(values) or len(keys) == 0:
        raise ValueError(
            f"queries, keys, values have {len(queries)}, {len(keys)}, {len(values)} layers: "
            f"expected the same number, at least 1"
        )
    first = tensor("keys", keys[0]).struct
    given = (queries[layer] for layer in range(len(queries)))
    asking = next((tensor("queries", array).struct for array in given if array is not None), first)
    with Plan(method, Model(len(keys), asking.heads, first.heads, first.dim, scale), **parameters) as plan:
        for layer in range(len(keys)):
            plan.observe(layer, queries[layer], keys[layer], values[layer])
        plan.finish()
        return [
            Layer(plan.gather(layer, keys[layer]), plan.gather(layer, values[layer]), plan.kept(layer))
            for layer in range(len(keys))
        ]
