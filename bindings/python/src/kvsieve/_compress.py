"""All layers of a finished cache at once: a few lines over Plan, and nothing that Plan cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, overload

from ._compressed import Compressed, Layer
from ._model import Model
from ._prompts import Prompt, prompts
from ._protect import pairs
from ._tensor import tensor
from .errors import KVSieveError
from .plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._types import Array, Keywords, Number, Numbers, Numpy, Options, PerLayer, Rows, Torch


@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Numpy[Number]],
    values: PerLayer[Numpy[Number]],
    *,
    padding: None = ...,
    **more: Unpack[Options],
) -> Compressed[Rows[Number]]: ...
@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Torch],
    values: PerLayer[Torch],
    *,
    padding: None = ...,
    **more: Unpack[Options],
) -> Compressed[Torch]: ...
@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Numpy[Number]],
    values: PerLayer[Numpy[Number]],
    *,
    padding: Numbers,
    **more: Unpack[Options],
) -> list[Compressed[Rows[Number]]]: ...
@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Torch],
    values: PerLayer[Torch],
    *,
    padding: Numbers,
    **more: Unpack[Options],
) -> list[Compressed[Torch]]: ...
@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Array],
    values: PerLayer[Array],
    *,
    padding: None = ...,
    **more: Unpack[Options],
) -> Compressed[Any]: ...
@overload
def compress(
    method: str | int,
    queries: PerLayer[Array | None] | None,
    keys: PerLayer[Array],
    values: PerLayer[Array],
    *,
    padding: Numbers,
    **more: Unpack[Options],
) -> list[Compressed[Any]]: ...
def compress(
    method: str | int,
    queries: PerLayer[Any] | None,
    keys: PerLayer[Any],
    values: PerLayer[Any],
    *,
    scale: float = 0.0,
    protect: Iterable[tuple[int, int]] = (),
    padding: Numbers | None = None,
    progress: Callable[[int, int], object] | None = None,
    **parameters: Unpack[Keywords],
) -> Any:
    """What `method` keeps of a whole cache, packed: a Compressed, or of a batch a list with one for each sequence.

        small = kvsieve.compress("snapkv", queries, keys, values, ratio=0.12)
        small[0].keys, small[0].kept.positions, small.bytes_after

    queries, keys, values  for each layer an array as Plan.observe takes it: the last queries or all (Hq, R, D), keys
                           (H, T, D), values (H, T, any). The model is read off the shapes. queries may be None, or None in
                           a layer, where the method reads none.
    scale                  of the logits; 0 means 1/sqrt(D)
    protect                (first, count) pairs: positions that every head keeps, as Plan.protect names them
    padding                of a batch, arrays (B, heads, tokens, dim): how many tokens each sequence is padded with in
                           front, (B,) or one number for all, 0 if none. Padding is neither read nor kept, and positions
                           are counted from the first token behind it. protect holds for each sequence.
    progress               is called as progress(done, total) after each layer; total is L, or B * L of a batch. What it
                           raises ends compress.
    parameters             those of the method: budget, ratio, threads ... (kvsieve.methods())

    Raises what Plan raises, of a batch with the sequence's number in front ("sequence 1: ..."); TypeError or ValueError,
    which name the argument, if layers do not fit together.
    """
    protected = pairs(protect)
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r}: expected a function of two numbers, done and total")
    sequences = prompts(queries, keys, values, padding)
    model = _model(sequences[0], scale)
    done, total = 0, len(sequences) * model.layers
    results: list[Compressed[Any]] = []
    with Plan(method, model, **parameters) as plan:
        for index, prompt in enumerate(sequences):
            number = None if padding is None else index
            with _named(number):
                plan.reset()
                for first, count in protected:
                    plan.protect(first, count)
            for layer, arrays in enumerate(zip(*prompt)):
                with _named(number):
                    plan.observe(layer, *arrays)
                done += 1
                if progress is not None:
                    progress(done, total)
            with _named(number):
                plan.finish()
                layers = enumerate(zip(prompt.keys, prompt.values))
                results.append(Compressed(_layer(plan, layer, *arrays) for layer, arrays in layers))
    return results[0] if padding is None else results


@contextmanager
def _named(number: int | None) -> Iterator[None]:
    """What the library refuses inside is raised with the number of the sequence, unless that is None."""
    try:
        yield
    except KVSieveError as error:
        if number is None:
            raise
        raise KVSieveError(error.status, error.name, f"sequence {number}: {error.message}") from None


def _model(prompt: Prompt, scale: float) -> Model:
    first = tensor("keys", prompt.keys[0]).struct
    asking = next((tensor("queries", array).struct for array in prompt.queries if array is not None), first)
    return Model(len(prompt.keys), asking.heads, first.heads, first.dim, scale)


def _layer(plan: Plan, layer: int, keys: Any, values: Any) -> Layer[Any]:
    kept, view = plan.kept(layer), tensor("keys", keys)
    row = view.row_bytes + tensor("values", values).row_bytes
    before = view.struct.heads * view.struct.tokens * row
    return Layer(plan.gather(layer, keys), plan.gather(layer, values), kept, before, kept.total * row)
