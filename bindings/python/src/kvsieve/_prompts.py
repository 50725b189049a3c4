"""The arrays of a whole model as compress takes them: checked, and cut into the sequences of a batch. Nothing is copied.

Letters: B sequences, Hq query heads, H key/value heads, R last queries, T tokens, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ._numbers import whole
from ._tensor import exported, tensor

WANTED = "how many tokens each sequence is padded with in front"
"""What padding is."""


class Prompt(NamedTuple):
    """One sequence: an array a layer."""

    queries: list[Any]
    keys: list[Any]
    values: list[Any]


def prompts(queries: Any, keys: Any, values: Any, padding: Any) -> list[Prompt]:
    """The sequences: one if padding is None, else those of the batch.

    TypeError, ValueError: not an array for each layer; layers that do not have the same heads and tokens; a batch without
    padding; a padding that the batch cannot have.
    """
    given = Prompt(*_lists(queries, keys, values))
    # What is no array is refused here, where the layer is known.
    batch = None if padding is None else _batch(given.keys[0])
    heads, tokens = _size("keys[0]", given.keys[0], batch)
    for name in ("keys", "values"):
        for layer, array in enumerate(getattr(given, name)):
            found = _size(f"{name}[{layer}]", array, batch)
            if found != (heads, tokens):
                raise ValueError(
                    f"{name}[{layer}] has {found[0]} heads and {found[1]} tokens: expected {heads} and {tokens}, as keys[0] has"
                )
    rows = [0 if array is None else _size(f"queries[{i}]", array, batch)[1] for i, array in enumerate(given.queries)]
    if batch is None:
        return [given]
    return [
        _cut(given, rows, number, tokens, padded) for number, padded in enumerate(_paddings(padding, batch, tokens))
    ]


def _lists(queries: Any, keys: Any, values: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Of the same length, at least 1. Queries that are None are None in each layer."""
    arrays: dict[str, Any] = {"queries": queries, "keys": keys, "values": values}
    if queries is None:
        del arrays["queries"]
    for name, array in arrays.items():
        if not hasattr(array, "__len__") or not hasattr(array, "__getitem__") or isinstance(array, (str, bytes, dict)):
            raise TypeError(f"{name} is a {type(array).__name__}: expected a list of arrays, one a layer")
    counts = [len(array) for array in arrays.values()]
    if min(counts) != max(counts) or counts[0] == 0:
        raise ValueError(
            f"{', '.join(arrays)} have {', '.join(map(str, counts))} layers: expected the same number, at least 1"
        )
    listed = {name: [array[layer] for layer in range(counts[0])] for name, array in arrays.items()}
    return listed.get("queries", [None] * counts[0]), listed["keys"], listed["values"]


def _batch(keys: Any) -> int:
    """B."""
    shape = exported("keys[0]", keys).shape
    if len(shape) != 4:
        raise ValueError(f"keys[0] has shape {shape}, and padding is given: expected (batch, heads, tokens, dim)")
    return shape[0]


def _size(name: str, array: Any, batch: int | None) -> tuple[int, int]:
    """Heads and tokens of an array."""
    shape: tuple[int, ...] = getattr(array, "shape", ())
    if batch is None and len(shape) == 4 and shape[0] != 1:
        raise ValueError(
            f"{name} has shape {tuple(shape)}, a batch of {shape[0]}: expected padding= with it, how many tokens each "
            f"sequence is padded with in front (0 if none)"
        )
    if batch is not None:
        shape = exported(name, array).shape
        if len(shape) != 4 or shape[0] != batch or batch == 0:
            raise ValueError(
                f"{name} has shape {shape}: expected (batch, heads, tokens, dim), a batch of {batch or 'at least 1'}"
            )
        array = _of_sequence(name, array, 0, 0)
    struct = tensor(name, array).struct
    return struct.heads, struct.tokens


def _paddings(padding: Any, batch: int, tokens: int) -> list[int]:
    """A number a sequence."""
    if isinstance(padding, (str, bytes, bytearray, Mapping)):
        raise TypeError(f"padding is a {type(padding).__name__}: expected {WANTED}")
    if len(shape := tuple(getattr(padding, "shape", ()))) > 1:
        raise ValueError(f"padding has shape {shape}: expected one number a sequence, not a mask")
    try:
        given = [padding[index] for index in range(len(padding))]
    except TypeError:  # one number, also an array of no dimension
        given = [padding] * batch
    for number in given:
        if _is_bool(number):
            raise TypeError(f"padding is {number}, or has it: expected {WANTED}, not a mask")
    if len(given) != batch:
        raise ValueError(f"padding has {len(given)} numbers: expected {batch}, one a sequence")
    numbers = [whole(f"padding[{index}]", number, 64) for index, number in enumerate(given)]
    for index, number in enumerate(numbers):
        if not 0 <= number < tokens:
            raise ValueError(f"padding[{index}] is {number}: expected 0 to {tokens - 1}, as there are {tokens} tokens")
    return numbers


def _is_bool(number: Any) -> bool:
    """Python's, and numbers and arrays of numpy, torch or jax."""
    return isinstance(number, bool) or "bool" in str(getattr(number, "dtype", ""))


def _cut(given: Prompt, rows: list[int], number: int, tokens: int, padded: int) -> Prompt:
    """One sequence of a batch. rows: R of each layer's queries, which are the last ones: they may reach into the padding.

    Rows beyond the batch's tokens stay: the library refuses them.
    """
    reaching = [min(padded, max(0, asked - tokens + padded)) for asked in rows]
    return Prompt(
        [
            None if array is None else _of_sequence(f"queries[{layer}]", array, number, reaching[layer])
            for layer, array in enumerate(given.queries)
        ],
        [_of_sequence(f"keys[{layer}]", array, number, padded) for layer, array in enumerate(given.keys)],
        [_of_sequence(f"values[{layer}]", array, number, padded) for layer, array in enumerate(given.values)],
    )


def _of_sequence(name: str, array: Any, number: int, first: int) -> Any:
    """The rows of a sequence of a batch, from `first` on: a view."""
    try:
        return array[number, :, first:]
    except (TypeError, NotImplementedError):
        raise TypeError(
            f"{name} is a {type(array).__name__}: expected a batch as an array of numpy, torch or jax"
        ) from None
